"""The text of emitted source, and what loading it allows."""

from __future__ import annotations

import inspect
import linecache
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ein.compiler.emit import EmittedSource, emit
from ein.compiler.graph import OpGraph
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar.architecture import architecture
from ein.grammar.bodies.vetted import FUNCTIONS, LAYERS, Required, Row
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

GOLDEN = Path(__file__).parents[2] / "golden" / "emit"


def graph_of(text: str) -> OpGraph:
    return lower(architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}\n"))).term)


@pytest.mark.parametrize("name", ["resnet8", "sampled"])
def test_golden_source(name: str) -> None:
    """Rewritten with EIN_REWRITE_GOLDEN=1, and then read."""
    sampled = Source("sampled.ein", (GOLDEN / "sampled.ein").read_text("utf-8"))
    grammar = load_grammar("zoo/resnet8" if name == "resnet8" else sampled)
    made = emit(optimise(lower(architecture(grammar).term)).graph)
    path = GOLDEN / f"{name}.py.txt"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8")


def test_identities_and_clones_leave_no_trace() -> None:
    graph = graph_of("input vec[4]\narch net = identity * 3 >> clone(3) >> (identity & identity & relu) >> add")
    assert emit(graph).endswith("        return x + x + F.relu(x)  # 4\n")


def test_numbers_that_torch_takes_for_integers_are_floats() -> None:
    text = "op f : any[*s, d] -> any[*s, d] param p[d] = 3 = where(x > 0, 1, 0) * p\ninput vec[4]\narch net = f"
    source = emit(graph_of(text))
    assert "torch.full((4,), 3.0)" in source and "torch.where(x > 0, 1.0, 0.0)" in source
    assert load(graph_of(text))(torch.ones(2, 4)).dtype == torch.float32


def test_names_of_layers_are_distinct() -> None:
    """`conv` used for the eleventh time, and `conv1` for the first."""
    text = "op linear1(o) : vec[d] -> vec[o] where o >= 1 = nn.Linear(d, o)\ninput vec[4]\n"
    source = emit(graph_of(f"{text}arch net = linear(4) * 11 >> linear1(4) * 2"))
    names = [line.split()[0] for line in source.splitlines() if "nn.Linear(" in line]
    assert len(names) == 13 == len(set(names)) and "self.linear1_2" in names


@pytest.mark.parametrize("name", ["class", "1net", "a b", "nn", "torch", "", 'Net):\n    """'])
def test_names_that_cannot_name_a_class(name: str) -> None:
    with pytest.raises(ValueError, match="a class cannot be called so"):
        emit(graph_of("input vec[4]\narch net = relu"), name)


def test_the_docstring_can_be_left_out_and_can_be_anything() -> None:
    graph = graph_of("input vec[4]\narch net = relu")
    assert '"""' not in emit(graph, docstring="")
    module = load(emit(graph, docstring='"""\nraise SystemExit\n"""'))
    assert "raise SystemExit" in (type(module).__doc__ or "")


def test_emitting_needs_no_torch() -> None:
    code = (
        "import sys; from ein.compiler import emit, lower, passes; from ein.grammar.check import load_grammar\n"
        "from ein.grammar.architecture import architecture\n"
        "graph = passes.optimise(lower.lower(architecture(load_grammar('zoo/resnet8')).term)).graph\n"
        "print(len(emit.emit(graph)), 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.split()[1:] == ["False", "False"]


def test_the_package_imports_nothing_heavy() -> None:
    code = "import sys, ein.compiler; print(sorted({'torch', 'networkx', 'lark'} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("row", [*LAYERS.values(), *FUNCTIONS.values()], ids=lambda row: str(row.name))
def test_defaults_that_are_left_out_are_torch_s(row: Row) -> None:
    home: Any = nn if row.name.startswith("nn.") else F
    recurrent = {"num_layers": 1, "bias": True, "bidirectional": False}
    written_in_c: dict[str, dict[str, Any]] = {
        "nn.LSTM": recurrent,
        "nn.GRU": recurrent,
        "F.gelu": {"approximate": "none"},
        "F.avg_pool1d": {"stride": None, "padding": 0},
        "F.adaptive_avg_pool1d": {},
        "F.pixel_shuffle": {},
        "F.pixel_unshuffle": {},
        "F.avg_pool2d": {"stride": None, "padding": 0},
        "F.scaled_dot_product_attention": {"is_causal": False, "scale": None},
    }
    name = row.name.partition(".")[2]
    function = getattr(home, f"{name}_with_indices", getattr(home, name))  # a flag of torch chooses between the two
    found = written_in_c.get(row.name, {})
    if row.name not in written_in_c:
        found = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    for name, _, default in row.parameters:
        if not isinstance(default, Required):
            assert found[name] == default, (row.name, name)
    required = [name for name, _, default in row.parameters if isinstance(default, Required)]
    first = 0 if home is nn else row.tensors
    if row.name not in written_in_c and row.name != "F.grid_sample":  # its align_corners is required by us alone
        assert list(found)[first : first + len(required)] == required


def calls_of(repeats: int) -> int:
    """Of functions, while a network of so many blocks in four sizes is emitted."""
    part = "def part(c) = conv(c) >> batch_norm >> relu >> conv(c) >> batch_norm >> gelu"
    row = " >> ".join(f"part({4 + at % 4})" for at in range(repeats))
    graph = optimise(graph_of(f"{part}\ninput im[3, 8, 8]\narch net = {row}")).graph
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        emit(graph)
    finally:
        sys.setprofile(None)
    return count


def test_the_work_grows_with_the_network() -> None:
    """Twice as many blocks take twice the calls and not four times."""
    assert calls_of(160) < 2.2 * calls_of(80)


# --- load


def test_only_emitted_text_is_run() -> None:
    text = str(emit(graph_of("input vec[4]\narch net = relu")))
    with pytest.raises(TypeError, match="no other text is run"):
        load(text)  # type: ignore[arg-type]
    assert isinstance(load(EmittedSource(text)), nn.Module)


def test_the_class_must_be_there() -> None:
    source = emit(graph_of("input vec[4]\narch net = relu"), "Other")
    with pytest.raises(ValueError, match="name='Net': the source has no such class"):
        load(source)
    assert type(load(source, "Other")).__name__ == "Other"


def test_tracebacks_show_the_source_as_long_as_the_class_lives() -> None:
    module = load(graph_of("input vec[4]\narch net = linear(5)"))
    with pytest.raises(RuntimeError) as caught:
        module(torch.zeros(2, 3))
    assert "return self.linear(x)" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert type(module).__module__ in linecache.cache
