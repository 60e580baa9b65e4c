"""Names, starts and moves of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ein.compiler.carry import carry, carry_back
from ein.compiler.graph import OpGraph
from ein.compiler.interpret import Interpreter, initialise
from ein.compiler.lower import lower
from ein.compiler.weights import Entry, Moved, Start, start
from ein.grammar.architecture import architecture
from ein.grammar.bodies.tensors import Step
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source


def graph_of(text: str) -> OpGraph:
    return lower(architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}\n"))).term)


def weight(kind: str, *sizes: int) -> Step:
    return Step("weight", (), sizes, "p", (("start", (kind,)),), batched=False)


def test_names_are_those_of_the_interpreter() -> None:
    graph = graph_of("input im[3, 4, 4]\narch net = conv(2) >> norm >> pos_enc >> pool >> linear(5, bias = false)")
    found = {f"{node.key}.{name}": sizes for _, node in graph.uses() for name, sizes in node.weights.items()}
    assert found == {name: tuple(value.shape) for name, value in Interpreter(graph).state_dict().items()}
    assert found["pos_enc_1.param_p"] == (2, 4, 4) and found["norm_1.batchnorm2d.num_batches_tracked"] == ()


def test_kaiming_is_the_start_of_torch_s_linear() -> None:
    torch.manual_seed(0)
    wanted = nn.Linear(9, 400).weight.detach()
    found = start(weight("kaiming", 400, 9))
    assert found.kind == "uniform" and found.numbers == pytest.approx((-1 / 3, 1 / 3))
    torch.manual_seed(0)
    torch.testing.assert_close(initialise(torch.empty(400, 9), found), wanted)


def test_xavier_is_torch_s() -> None:
    torch.manual_seed(0)
    wanted = nn.init.xavier_uniform_(torch.empty(20, 30, 3))
    torch.manual_seed(0)
    torch.testing.assert_close(initialise(torch.empty(20, 30, 3), start(weight("xavier", 20, 30, 3))), wanted)


def test_orthogonal_blocks() -> None:
    blocks = initialise(torch.empty(2, 3, 4, 6), Start("orthogonal"))
    torch.testing.assert_close(blocks @ blocks.mT, torch.eye(4).expand(2, 3, 4, 4), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="needs two axes, and `p` has 1"):
        start(weight("orthogonal", 5))


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match="no start `cauchy`"):
        initialise(torch.empty(3), Start("cauchy"))


def test_moves_of_two_passes_there_and_back() -> None:
    """Two matrices become one below the other, and that is cut another way by the second pass."""
    first = {
        "both": Moved((Entry("a", (2, 3)), Entry("b", (1, 3))), (3, 3)),
        "count": Moved((Entry("i", ()), Entry("j", ())), ()),
    }
    second = {"turned": Moved((Entry("both", (3, 3)),), (1, 9), (3, 3), (1, 0))}
    state = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.tensor([[6.0, 7, 8]]),
        "i": torch.ones(()),
        "j": torch.ones(()),
    }
    state["same"] = torch.zeros(1)
    found = carry((first, second), ("turned", "count", "same"), state)
    assert found["turned"].tolist() == [[0, 3, 6, 1, 4, 7, 2, 5, 8]]
    assert found["same"] is state["same"] and found["count"] == 1
    back = carry_back((first, second), state, found)
    assert back.keys() == state.keys() and all(torch.equal(back[name], state[name]) for name in state)


def test_a_pass_may_keep_a_name_for_something_else() -> None:
    moves = ({"a": Moved((Entry("a", (2,)), Entry("b", (1,))), (3,))},)
    state = {"a": torch.tensor([1.0, 2]), "b": torch.tensor([3.0])}
    found = carry(moves, ("a",), state)
    assert found["a"].tolist() == [1, 2, 3]
    assert {name: value.tolist() for name, value in carry_back(moves, state, found).items()} == {"a": [1, 2], "b": [3]}


def test_what_a_pass_dropped_is_left_out_on_the_way_back() -> None:
    assert carry_back(({},), ("a", "gone"), {"a": torch.ones(1)}).keys() == {"a"}
    with pytest.raises(KeyError, match="lost"):
        carry((), ("lost",), {})
