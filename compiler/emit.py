"""From an operation graph to torch source that a person would commit.

What a rule or macro stands for and repeats is a class of its own. The text needs torch alone, and this file needs no
torch. It is the same for the same graph, and `ruff check` and `ruff format` find nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from keyword import iskeyword

from ein.compiler.blocks import Blocks
from ein.compiler.blocks import blocks as blocks_of
from ein.compiler.emit_class import ClassText
from ein.compiler.emit_host import definitions, hosts, import_lines
from ein.compiler.graph import OpGraph, cost
from ein.compiler.memo import per_body
from ein.compiler.source_map import SourceMap, mapped
from ein.compiler.state_names import state_names
from ein.grammar.bodies.tensors import Body
from ein.grammar.host import Host

_IMPORTS = (("torch.", "import torch"), ("F.", "import torch.nn.functional as F"))


class EmittedSource(str):
    """Text that `emit` made; the only text that `ein.compiler.load` runs. `origins` says where its lines come from."""

    __slots__ = ("origins",)
    origins: Callable[[], SourceMap] | None


def emit(graph: OpGraph, name: str = "Net", docstring: str | None = None, *, blocks: bool = True) -> EmittedSource:
    """A module with the class `name(nn.Module)`, built without arguments; `forward` takes the batch first.

    What repeats is a class too, unless `blocks` is false. Without a docstring the class says its types and costs.
    Raises ValueError if `name` cannot name a class.
    """
    if not name.isidentifier() or iskeyword(name) or name in ("torch", "nn", "F", "super"):
        raise ValueError(f"name={name!r}: a class cannot be called so")
    plan = _plan(graph, name, blocks)
    classes = [ClassText(block) for block in plan.blocks]
    used = tuple(dict.fromkeys(host for each in classes for host in each.hosts))
    if any(host.name == name for host in used):
        raise ValueError(f"name={name!r}: what an operator of it is made with is called so")
    text = (describe(graph) if docstring is None else docstring).strip()
    names = {block.structure: block.name for block in plan.blocks}
    rows = [each.rows(text if each is classes[-1] else "", names) for each in classes]
    code = "\n".join("\n".join(("", "", *(row.text for row in own))) for own in rows)
    head = [*import_lines(_imports(code), used), *_defined(used)]
    source = EmittedSource("\n".join([*head, code, ""]))
    source.origins = partial(mapped, plan, classes, rows, len(head))
    return source


def source_map(graph: OpGraph, name: str = "Net", docstring: str | None = None, *, blocks: bool = True) -> SourceMap:
    """Of the text that `emit` gives with these arguments."""
    origins = emit(graph, name, docstring, blocks=blocks).origins
    assert origins is not None
    return origins()


def describe(graph: OpGraph) -> str:
    """Types and costs of a graph in a line."""
    given = ", ".join(map(repr, graph.node(graph.input).outputs))
    made = ", ".join(map(repr, graph.node(graph.output).inputs))
    found = cost(graph)
    return f"{given} -> {made}: {found.parameters:,} parameters, {found.macs:,} MACs."


def weight_map(graph: OpGraph, *, blocks: bool = True) -> dict[str, str]:
    """Names of the state of the interpreter, each with its name in the state of the emitted class."""
    return state_names(_plan(graph, "Net", blocks))


def _plan(graph: OpGraph, name: str, with_classes: bool) -> Blocks:
    used = dict.fromkeys(host for _, node in graph.uses() for host in _hosts(node.applied.body))
    imported = {word for host in used for line in host.imports for word in re.findall(r"\w+", line)}
    return blocks_of(graph, name, with_classes, [*(host.name for host in used), *imported])


@per_body
def _hosts(body: Body) -> tuple[Host, ...]:
    return hosts(body.steps)


def _defined(used: Iterable[Host]) -> list[str]:
    lines = definitions(used)
    return ["", "", *lines[:-2]] if lines else []


def _imports(code: str) -> list[str]:
    return [*(line for mark, line in _IMPORTS if mark in code), "from torch import nn"]
