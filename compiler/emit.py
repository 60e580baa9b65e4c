"""From an operation graph to torch source that a person would commit.

The text needs torch alone, and this file needs no torch. It is the same for the same graph, and `ruff check`
and `ruff format` find nothing to do.
"""

from __future__ import annotations

from collections import Counter
from keyword import iskeyword

from ein.compiler.emit_body import layer
from ein.compiler.forward import forward, shape, write
from ein.compiler.graph import OpGraph, cost
from ein.compiler.program import Program, Slot, program
from ein.compiler.source import WIDTH, Doc, Group, layout, quoted
from ein.compiler.source import number as literal
from ein.compiler.weights import Start, slots, start
from ein.grammar.tensors import Step

MAX_ATTRIBUTE = 24
"""Characters of an operator's name that go into the name of its layer."""

_IMPORTS = (("torch.", "import torch"), ("F.", "import torch.nn.functional as F"))


class EmittedSource(str):
    """Text that `emit` made; the only text that `ein.compiler.load` runs."""

    __slots__ = ()


def emit(graph: OpGraph, name: str = "Net", docstring: str | None = None) -> EmittedSource:
    """A module with one class `name(nn.Module)`, built without arguments; `forward` takes the batch first.

    Without a docstring the class says its types and costs. Raises ValueError if `name` cannot name a class.
    """
    if not name.isidentifier() or iskeyword(name) or name in ("torch", "nn", "F", "super"):
        raise ValueError(f"name={name!r}: a class cannot be called so")
    made = program(graph)
    names = attributes(graph)
    inputs, body = write(forward(made, names), made.inputs, 8)
    text = (describe(graph) if docstring is None else docstring).strip()
    shapes = "; ".join(shape(made.values[number].step.sizes) for number in made.inputs)
    code = [
        f"class {name}(nn.Module):",
        *([*quoted(text, 4), ""] if text else []),
        *_constructor(made, names),
        *_signature(inputs, shapes),
        *body,
    ]
    return EmittedSource("\n".join([*_imports("\n".join(body + code)), "", "", *code, ""]))


def describe(graph: OpGraph) -> str:
    """Types and costs of a graph in a line."""
    given = ", ".join(map(repr, graph.node(graph.input).outputs))
    made = ", ".join(map(repr, graph.node(graph.output).inputs))
    found = cost(graph)
    return f"{given} -> {made}: {found.parameters:,} parameters, {found.macs:,} MACs."


def weight_map(graph: OpGraph) -> dict[str, str]:
    """Names of the state of the interpreter, each with its name in the state of the emitted class."""
    names = attributes(graph)
    live = _slots(program(graph))
    found: dict[str, str] = {}
    for _, node in graph.uses():
        entries = node.weights
        for slot in slots(node.applied.body):
            if (node.key, slot.name) not in live:
                continue
            for entry in entries:
                if entry == slot.name or entry.startswith(f"{slot.name}."):
                    found[f"{node.key}.{entry}"] = names[node.key, slot.name] + entry.removeprefix(slot.name)
    return found


def attributes(graph: OpGraph) -> dict[Slot, str]:
    """Names in the class of all layers and parameters: `conv1`, `conv2`, `norm1`, `squeeze1_linear`."""
    found: dict[Slot, str] = {}
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    for _, node in graph.uses():
        own = slots(node.applied.body)
        if not own or (node.key, own[0].name) in found:
            continue
        base = node.application.name[:MAX_ATTRIBUTE].strip("_") or "op"
        while True:
            counts[base] += 1
            stem = f"{base}{'_' * base[-1].isdigit()}{counts[base]}"
            names = [stem] if len(own) == 1 else [f"{stem}_{slot.name.removeprefix('param_')}" for slot in own]
            if taken.isdisjoint(names) and len(set(names)) == len(names):
                break
        taken.update(names)
        found |= {(node.key, slot.name): name for slot, name in zip(own, names, strict=True)}
    return found


def _slots(made: Program) -> dict[Slot, Step]:
    """Layers and parameters that the results depend on, in the order of their first use."""
    found: dict[Slot, Step] = {}
    for number in sorted(made.live):
        value = made.values[number]
        if value.slot is not None:
            found.setdefault(value.slot, value.step)
    return found


def _imports(code: str) -> list[str]:
    return [*(line for mark, line in _IMPORTS if mark in code), "from torch import nn"]


def _signature(inputs: list[str], shapes: str) -> list[str]:
    line = f"    def forward({', '.join(['self', *inputs])}):"
    if len(line) + len(shapes) + 4 <= WIDTH:
        return [f"{line}  # {shapes}"]
    return [*layout("def forward", Group("", ("self", *inputs)), ":", 4), f"        # {shapes}"]


def _constructor(made: Program, names: dict[Slot, str]) -> list[str]:
    rows = []
    for slot, step in _slots(made).items():
        target = f"self.{names[slot]}"
        rows += _parameter(target, step) if step.op == "weight" else layout(f"{target} = ", layer(step), "", 8)
    return ["    def __init__(self):", "        super().__init__()", *rows, ""] if rows else []


def _parameter(target: str, step: Step) -> list[str]:
    """A parameter with its start: in one line where torch has a word for it."""
    begin = start(step)
    sizes = tuple(map(str, step.sizes)) or ("()",)
    match begin:
        case Start("constant", (0.0 | 1.0 as value,)):
            made = Group("torch.ones" if value else "torch.zeros", sizes)
        case Start("constant", (value,)):
            made = Group("torch.full", (str(step.sizes), literal(float(value))))
        case Start("normal", (0.0, 1.0)):
            made = Group("torch.randn", sizes)
        case _:
            made = Group("torch.empty", sizes)
    rows = layout(f"{target} = ", Group("nn.Parameter", (made,)), "", 8)
    return [*rows, *_filling(target, begin, len(step.sizes))]


def _filling(target: str, begin: Start, rank: int) -> list[str]:
    arguments: tuple[Doc, ...]
    match begin:
        case Start("uniform", (low, high)):
            arguments = (literal(low), literal(high))
        case Start("normal", (mean, std)) if begin.numbers != (0.0, 1.0):
            arguments = (literal(mean), literal(std))
        case Start("trunc_normal", (std,)):
            arguments = (f"std={literal(std)}",)
        case Start("orthogonal") if rank > 2:
            blocks = ".data" if rank == 3 else ".data.flatten(0, -3)"
            return [f"        for block in {target}{blocks}:", "            nn.init.orthogonal_(block)"]
        case Start("orthogonal"):
            arguments = ()
        case _:
            return []
    return layout("", Group(f"nn.init.{begin.kind}_", (target, *arguments)), "", 8)
