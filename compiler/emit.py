"""From an operation graph to torch source that a person would commit.

The text needs torch alone, and this file needs no torch. It is the same for the same graph, and `ruff check`
and `ruff format` find nothing to do.
"""

from __future__ import annotations

from collections import Counter
from keyword import iskeyword

from ein.compiler.constants import hoisted
from ein.compiler.emit_host import definitions, hosts, import_lines
from ein.compiler.emit_starts import constructor
from ein.compiler.forward import forward
from ein.compiler.graph import OpGraph, cost
from ein.compiler.naming import shape, write
from ein.compiler.program import Program, Slot, program
from ein.compiler.source import WIDTH, Group, layout, quoted
from ein.compiler.weights import TIED, slots
from ein.compiler.weights import Slot as Kept
from ein.grammar.bodies.tensors import Step

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
    names = attributes(graph)
    found = hoisted(program(graph), names.values())
    made, names = found.program, names | found.attributes
    inputs, body = write(forward(made, names), made.inputs, 8)
    text = (describe(graph) if docstring is None else docstring).strip()
    shapes = "; ".join(shape(made.values[number].step.sizes) for number in made.inputs)
    code = [
        f"class {name}(nn.Module):",
        *([*quoted(text, 4), ""] if text else []),
        *constructor(graph, set(_slots(made)), names, found.rows(8)),
        *_signature(inputs, shapes),
        *body,
    ]
    used = hosts(made.step(number) for number in sorted(made.live))
    if any(host.name == name for host in used):
        raise ValueError(f"name={name!r}: what an operator of it is made with is called so")
    imports = import_lines(_imports("\n".join(body + code)), used)
    return EmittedSource("\n".join([*imports, "", "", *definitions(used), *code, ""]))


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
            home = slot.home(node.key)
            if home not in live:
                continue
            if slot.key is not None:
                found[".".join(home)] = names[home]
            for entry in entries:
                if entry == slot.name or entry.startswith(f"{slot.name}."):
                    found[f"{node.key}.{entry}"] = names[home] + entry.removeprefix(slot.name)
    return found


def attributes(graph: OpGraph) -> dict[Slot, str]:
    """Names in the class of all layers, parameters and buffers: `conv1`, `conv2`, `squeeze1_linear`, `tied_wte`."""
    found: dict[Slot, str] = {}
    for _, node in graph.uses():
        found |= {slot.home(""): f"{TIED}_{slot.key}" for slot in slots(node.applied.body) if slot.key is not None}
    counts: Counter[str] = Counter()
    taken = set(found.values())
    for _, node in graph.uses():
        own = [slot for slot in slots(node.applied.body) if slot.key is None]
        if not own or (node.key, own[0].name) in found:
            continue
        base = node.application.name[:MAX_ATTRIBUTE].strip("_") or "op"
        while True:
            counts[base] += 1
            stem = f"{base}{'_' * base[-1].isdigit()}{counts[base]}"
            names = [stem] if len(own) == 1 else [f"{stem}_{_word(slot)}" for slot in own]
            if taken.isdisjoint(names) and len(set(names)) == len(names):
                break
        taken.update(names)
        found |= {(node.key, slot.name): name for slot, name in zip(own, names, strict=True)}
    return found


def _word(slot: Kept) -> str:
    return slot.name.removeprefix("param_").removeprefix("buffer_")


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
