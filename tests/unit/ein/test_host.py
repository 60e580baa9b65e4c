"""`ein.operator`: operators whose meaning is Python, from their registration to a trained network."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ein
from ein.compiler.emit import emit, weight_map
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load as load_source
from ein.grammar.cfg import Grammar
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.files import derivation_text
from ein.grammar.diagnostics import Diagnostic, Source
from ein.grammar.host import forget, registered
from ein.source_text import standing_alone

SWISH = "op swish(beta: real = 1) : t -> t"
TEXT = """ein 1
grammar hosted(classes = 3)
import std
input seq[5, 4]
output vec[classes]
rule Net = A >> head(classes)
rule A = swish(0.5) | mixed >> A | gate(f = gelu) >> swish
def mixed = clone(2) >> (swish & identity) >> mix(4)
limit modules <= 40
"""
SHARED = 0.5


@pytest.fixture(autouse=True)
def unregistered() -> Iterator[None]:
    """Each test begins and ends with what it registers itself."""
    yield
    for name in registered():
        forget(name)


class Swish(nn.Module):
    """Of Ramachandran et al. (2017)."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


class Mix(nn.Module):
    def __init__(self, d: int, n: int, scale: float = 2.0) -> None:
        super().__init__()
        self.weight = nn.Linear(d, n)
        self.scale = scale

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        mixed: Tensor = self.weight(x - y) / math.sqrt(self.scale)
        return mixed


def gate(x: Tensor, f: str, s: tuple[int, ...]) -> Tensor:
    chosen = {"relu": torch.relu, "gelu": nn.functional.gelu}.get(f, torch.tanh)
    return chosen(x) * x / max(1, len(s))


class Halved(nn.Module):
    """Mentions what only this file has."""

    def forward(self, x: Tensor) -> Tensor:
        return x * SHARED


def register_all() -> None:
    ein.operator(SWISH)(Swish)
    ein.operator("op mix(n) : (x: seq[l, d], y: seq[l, d]) -> seq[l, n]", macs=lambda l, d, n: l * d * n)(Mix)  # noqa: E741
    ein.operator("op gate(f: fn = tanh) : any[*s, d] -> any[*s, d]")(gate)


def space() -> ein.Space:
    return ein.Space(load_grammar(Source("hosted.ein", TEXT)))


def said(text: str) -> list[Diagnostic]:
    return check(Source("f.ein", f"ein 1\nimport std\n{text}\n"))[1]


def arch(term: str, input: str, declared: str = "") -> Grammar:
    return load_grammar(Source("f.ein", f"ein 1\nimport std\n{declared}\ninput {input}\narch net = {term}\n"))


# --- networks


def test_drawn_networks_run_and_cost_what_they_say() -> None:
    register_all()
    seen: set[str] = set()
    for d in space().samples(30, seed=3):
        net = ein.build(d)
        assert net(torch.randn(2, 5, 4)).shape == (2, 3)
        assert sum(p.numel() for p in net.parameters()) == d.cost.parameters
        seen |= {name for name in ("swish(beta = 0.5)", "mix(4)", "gate(") if name in d.text}
    assert len(seen) == 3


def test_costs_are_those_of_the_layer_and_of_what_is_given() -> None:
    register_all()
    grammar = arch("clone(2) >> mix(7)", "seq[5, 4]")
    [operator] = grammar.operators["mix"]
    [swish] = grammar.operators["swish"]
    assert operator.host is not None and operator.host.asks == ("d", "n")
    cost = space().sample(seed=3).cost
    assert cost.parameters > 0
    d = ein_arch(grammar)
    assert (d.cost.parameters, d.cost.macs, d.cost.modules) == (4 * 7 + 7, 5 * 4 * 7, 2)
    assert swish.host is not None and ein_arch(arch("swish >> swish(2)", "seq[5, 4]")).cost.parameters == 2


def ein_arch(grammar: Grammar) -> Any:
    from ein.grammar.architecture import architecture

    return architecture(grammar)


def test_interpreter_and_emitted_source_agree() -> None:
    register_all()
    for d in space().samples(12, seed=8):
        graph = ein.lower(d)
        reference, source = Interpreter(graph).eval(), emit(graph)
        net = load_source(source).eval()
        names = weight_map(graph)
        net.load_state_dict({names[name]: value for name, value in reference.state_dict().items()})
        x = torch.randn(3, 5, 4)
        torch.testing.assert_close(reference(x), net(x))


def test_the_source_stands_alone(tmp_path: Path) -> None:
    register_all()
    d = next(d for d in space().samples(50, seed=3) if "mix" in d.text and "gate" in d.text)
    text = ein.emit(d)
    assert text.count("class Swish(nn.Module):") == text.count("class Mix(nn.Module):") == text.count("def gate(") == 1
    assert "import math\n\nimport torch\nfrom torch import Tensor, nn\n" in text
    (tmp_path / "net.py").write_text(text)
    run = "import sys, torch, net; print(*net.Net()(torch.zeros(2, 5, 4)).shape, 'ein' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", run], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "3", "False"]


def test_what_cannot_stand_alone_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "import torch\nfrom torch import nn\nHALF = 0.5\nclass Half(nn.Module):\n    def forward(self, x):\n"
    (tmp_path / "halves_of_a_test.py").write_text(f"{body}        return x * HALF\n")
    monkeypatch.syspath_prepend(tmp_path)
    import halves_of_a_test  # type: ignore[import-not-found]

    ein.operator("op half : t -> t")(halves_of_a_test.Half)
    d = ein_arch(arch("half", "vec[4]"))
    line = "from halves_of_a_test import Half  # the operator `half` of the program that wrote this\n"
    assert line in ein.emit(d)
    assert ein.build(d)(torch.ones(1, 4)).tolist() == [[0.5] * 4]


def test_a_class_that_is_nowhere_to_be_found_is_refused() -> None:
    factor = 3

    class Local(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * factor

    with pytest.raises(
        ValueError, match=r"Local` cannot be written into the source of a network: it mentions `factor`"
    ):
        ein.operator("op local : t -> t")(Local)


def test_a_decorated_class_is_what_it_was() -> None:
    @ein.operator("op double : t -> t")
    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    assert Double()(torch.ones(1)).item() == 2
    text = ein.emit(ein_arch(arch("double", "vec[4]")))
    assert "\nclass Double(nn.Module):\n    def forward" in text and "@ein" not in text


def test_a_layer_with_running_statistics_keeps_them() -> None:
    class Normed(nn.Module):
        def __init__(self, d: int) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(d)

        def forward(self, x: Tensor) -> Tensor:
            normed: Tensor = self.norm(x)
            return normed

    ein.operator("op normed : vec[d] -> vec[d]")(Normed)
    graph = ein.lower(ein_arch(arch("tied normed * 2", "vec[4]")))
    names = weight_map(graph)
    assert len(names) == 5 and set(names.values()) == set(load_source(graph).state_dict())


# --- files


def test_a_file_needs_the_program() -> None:
    line = "input vec[4]\narch a = swish(0.5)"
    assert [d.code for d in said(line)] == ["E201"]
    ein.operator(SWISH)(Swish)
    assert said(line) == []
    forget("swish")
    assert [d.code for d in said(line)] == ["E201"]


def test_a_file_can_say_what_it_needs() -> None:
    line = f"{SWISH}\ninput vec[4]\narch a = swish(0.5)"
    [missing] = said(line)
    assert (
        missing.code == "E410" and "`swish` has no `= body`, and this program has not registered it" in missing.message
    )
    assert "`@ein.operator`" in missing.help
    ein.operator(SWISH)(Swish)
    assert said(line) == []
    [other] = said(line.replace("beta", "alpha"))
    assert other.code == "E430" and "`op swish(beta: real = 1) : t -> t`" in other.help


def test_names_of_the_file_come_first() -> None:
    ein.operator(SWISH)(Swish)
    grammar = load_grammar(Source("f.ein", "ein 1\nop swish(beta: real = 1) : t -> t = tanh(x)\ntype vec[d]\n"))
    [operator] = grammar.operators["swish"]
    assert operator.host is None


def test_an_imported_file_says_what_it_needs(tmp_path: Path) -> None:
    ein.operator(SWISH)(Swish)
    (tmp_path / "part.ein").write_text("ein 1\nimport std\ndef act = swish(0.5)\n")
    (tmp_path / "whole.ein").write_text('ein 1\nimport std\nimport "part.ein"\ninput vec[4]\narch a = act\n')
    assert [d.code for d in ein.check(tmp_path / "whole.ein")] == ["E201"]
    (tmp_path / "part.ein").write_text(f"ein 1\nimport std\n{SWISH}\ndef act = swish(0.5)\n")
    assert ein.check(tmp_path / "whole.ein") == []


def test_derivation_files_say_what_they_need(tmp_path: Path) -> None:
    register_all()
    (tmp_path / "hosted.ein").write_text(TEXT)
    d = next(d for d in ein.load(tmp_path / "hosted.ein").samples(50, seed=3) if "mix" in d.text)
    path = tmp_path / "d.ein"
    path.write_text(derivation_text(d))
    assert "\nop mix(n) : (x: seq[l, d], y: seq[l, d]) -> seq[l, n]\n" in path.read_text()
    again = ein.architecture(path)
    assert (again.id, again.text) == (d.id, d.text) and not again.finished
    forget("mix")
    with pytest.raises(ein.EinError, match="`mix` has no `= body`, and this program has not registered it"):
        ein.architecture(path)


def test_the_digest_knows_the_signatures_that_a_file_uses() -> None:
    register_all()
    before = space().digest
    ein.operator("op other : t -> t")(Swish1)
    assert space().digest == before
    ein.operator("op swish(beta: real = 2) : t -> t")(Swish)
    assert space().digest != before


class Swish1(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


def test_a_kind_of_its_own() -> None:
    @ein.operator("type vol[c, d, h, w]\nop squash : vol[c, d, h, w] -> vec[c]")
    def squash(x: Tensor) -> Tensor:
        return x.mean((2, 3, 4))

    assert [d.code for d in said("input vec[4]\narch a = squash")] == ["E201"]
    d = ein_arch(arch("squash", "vol[2, 3, 4, 5]", "type vol[c, d, h, w]"))
    assert ein.build(d)(torch.zeros(2, 2, 3, 4, 5)).shape == (2, 2)


# --- registration


@pytest.mark.parametrize(
    ("signature", "implementation", "words"),
    [
        ("op f : vec[d] -> vec[d + 1]", lambda x: x, r"`f` gives \[1, 1\] where \[1, 2\] is expected"),
        ("op f(n) : vec[d] -> vec[n]", lambda x, d, n: x.new_empty(len(x), 3), r"where \[1, \d+\] is expected"),
        ("op f : seq[l, d] -> vec[d]", lambda x: x[:, 2], "index 2 is out of bounds"),
        ("op f : vec[d] -> vec[d]", lambda x: x + x.sum().item(), "meta"),
        ("op f : vec[d] -> vec[d] where d < 1", lambda x: x, "no sizes were found"),
    ],
)
def test_a_wrong_signature_is_refused(signature: str, implementation: Callable[..., Any], words: str) -> None:
    implementation.__name__ = implementation.__qualname__ = "f"
    with pytest.raises(ein.EinError, match=words) as caught:
        ein.operator(signature)(implementation)
    [found] = caught.value.diagnostics
    assert found.code == "E401" and not registered()


def test_the_plainest_sizes_are_shown() -> None:
    def twice(x: Tensor, n: int) -> Tensor:
        return x[:, : 2 * n]

    with pytest.raises(ein.EinError) as caught:
        ein.operator("op twice(n) : vec[d] -> vec[n] where d >= n")(twice)
    [found] = caught.value.diagnostics
    assert found.labels[0].text == "vec[1] at vec[2] with n = 1"
    assert found.label == "`twice` gives [1, 2] where [1, 1] is expected, the batch first"


@pytest.mark.parametrize(
    ("signature", "implementation", "error", "words"),
    [
        ("op f : t -> t", 3, TypeError, "a class of nn.Module or a function, not 3"),
        ("op f : t -> t", Mix, TypeError, "Mix asks for `d`; parameters and dimensions are none"),
        ("op f(n) : seq[l, d] -> seq[l, n]", lambda n, x: x, TypeError, "asks for `x`; .* are `n`, `l`, `d`"),
        ("op f : t -> t = relu(x)", gate, ValueError, "without a body"),
        ("rule A = relu", gate, ValueError, "without a body"),
        ("op relu : t -> t", gate, ValueError, "`relu` is a name of std"),
        ("op f : t -> t ^ 2", gate, ValueError, "gives one tensor"),
        ("op f : t - t", gate, ein.EinError, "E101"),
        ("op f : vek[d] -> vek[d]", gate, ein.EinError, "vek"),
    ],
)
def test_what_cannot_be_registered(signature: str, implementation: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ein.operator(signature)(implementation)
    assert not registered()


def test_two_classes_of_one_name() -> None:
    ein.operator("op one : t -> t")(Swish1)
    other = type("Swish1", (nn.Module,), {"forward": lambda self, x: x, "__module__": "elsewhere"})
    with pytest.raises(ValueError, match="`one` is registered with another `Swish1`"):
        ein.operator("op two : t -> t")(other)
    ein.operator("op again : t -> t")(Swish1)
    assert "class Swish1" in ein.emit(ein_arch(arch("one >> again", "vec[4]")))


def test_the_last_registration_holds_for_files_loaded_later() -> None:
    ein.operator(SWISH)(Swish)
    before = arch("swish(3)", "vec[4]")

    @ein.operator("op swish(beta: real = 1) : t -> t")
    def scaled(x: Tensor, beta: float) -> Tensor:
        return x * beta

    after = ein.build(ein_arch(arch("swish(3)", "vec[4]")))
    assert after(torch.ones(1, 4)).tolist() == [[3.0] * 4]
    assert ein_arch(before).cost.parameters == 1


# --- other processes


def test_a_search_trains_host_operators_in_other_processes() -> None:
    ein.operator(SWISH)(Swish)
    text = "ein 1\nimport std\ninput vec[4]\noutput vec[3]\nrule Net = linear(8) >> swish(0.5) >> linear(3)\n"
    found = ein.search(ein.Space(load_grammar(Source("s.ein", text))), data="iris", evals=1, steps=2, strategy="random")
    [trial] = found.trials
    assert trial.status == "ok", trial.reason


def test_a_search_says_what_other_processes_cannot_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Halved, "__module__", "__main__")
    assert standing_alone(Halved).source is None
    ein.operator("op halved : t -> t")(Halved)
    text = "ein 1\nimport std\ninput vec[4]\noutput vec[3]\nrule Net = halved >> linear(3)\n"
    with pytest.raises(ein.EinError, match="`halved` is a Python operator of this process alone"):
        ein.search(ein.Space(load_grammar(Source("s.ein", text))), data="iris", evals=1, steps=2)
    unused = ein.Space(load_grammar(Source("s.ein", text.replace("halved >> ", ""))))
    assert ein.search(unused, fitness=lambda d: 1.0, evals=1, strategy="random").trials
