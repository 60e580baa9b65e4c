"""Operation graphs as text, and back.

    %0 = input : im[3, 32, 32]
    %1 = conv(16)(%0) : im[16, 32, 32]             as conv_1 in Net > Block.1  # small.ein:10:13
    %2 = relu(%1) : im[16, 32, 32]                 in Net > Block.1            # small.ein:10:39
    output(%2) : im[16, 32, 32]

One line for each node: its number, the operator, what it reads, what it gives; `as` names its weights, `in` the rules
and macros around it (the second entry into `Block` is `Block.2`), and behind `#` stands where the file says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Input, Node, Output, Scope, Use
from ein.grammar.derivations.files import declarations
from ein.grammar.diagnostics import Span
from ein.grammar.patterns import Kinds
from ein.grammar.types import Bundle, Tensor, ValueType, bundle

BESIDE = 72
"""Columns of what a node computes, before where it comes from; longer lines go over them."""


def to_text(graph: OpGraph) -> str:
    """The lines of the nodes. With the declarations of operators before them, `graph_file` stands on its own."""
    scopes = Scopes(graph)
    rows = [_row(graph, scopes, number, node) for number, node in graph.nodes()]
    width = min(BESIDE, max(len(left) for left, _, _ in rows))
    lines = [f"{left:<{width}}  {home}" if home else left for left, home, _ in rows]
    edge = min(BESIDE + 40, max(map(len, lines)))
    notes = [note for _, _, note in rows]
    return "\n".join(f"{line:<{edge}}  # {note}" if note else line for line, note in zip(lines, notes, strict=True))


def graph_file(graph: OpGraph) -> str:
    """A text that `ein.compiler.graph_reading.read_graph` reads back: operators that std lacks, then the nodes."""
    uses = [node for _, node in graph.uses()]
    lines = ["ein 1", "import std", *declarations(uses, _kinds(graph))]
    return "\n".join([*lines, "", to_text(graph), ""])


def _kinds(graph: OpGraph) -> Kinds:
    """As the operators know them; where none of them does, the axes get letters for names."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for _, node in graph.nodes():
        for leaf in (*node.inputs, *node.outputs):
            found.setdefault(leaf.kind, (tuple("abcdefgh"[: len(leaf.sizes)]), leaf.element))
    for _, use in graph.uses():
        found |= use.applied.operator.kinds
    return found


class Scopes:
    """Names for the scopes of a graph: their labels, numbered where several are alike."""

    def __init__(self, graph: OpGraph) -> None:
        scopes = dict.fromkeys(scope for _, node in graph.uses() for scope in node.path)
        alike = Counter(scope.label for scope in scopes)
        counts: Counter[str] = Counter()
        self.names: dict[Scope, str] = {}
        for scope in scopes:
            counts[scope.label] += 1
            self.names[scope] = f"{scope.label}.{counts[scope.label]}" if alike[scope.label] > 1 else scope.label

    def text(self, path: Sequence[Scope]) -> str:
        return " > ".join(self.names[scope] for scope in path)


def _row(graph: OpGraph, scopes: Scopes, number: int, node: Node) -> tuple[str, str, str]:
    """What a node computes, whose weights and within what, and where a file says so."""
    sources = iter(_port_text(graph, source) for source in graph.sources(number))
    match node:
        case Input(types):
            return f"%{number} = input : {types_text(types)}", "", ""
        case Output(types):
            return f"output({', '.join(sources)}) : {types_text(types)}", "", ""
        case Use():
            read = _nested(node.applied.input, sources).removeprefix("(").removesuffix(")")
            home = [f"as {node.key}"] if node.weights else []
            home += [f"in {scopes.text(node.path)}"] if node.path else []
            return f"%{number} = {node.text}({read}) : {types_text(node.outputs)}", " ".join(home), place(node.span)


def _nested(type: ValueType, sources: Iterator[str]) -> str:
    """What is read, in parentheses as its types are."""
    if not isinstance(type, Bundle):
        return next(sources)
    return f"({', '.join(_nested(member, sources) for member in type.members)})"


def _port_text(graph: OpGraph, port: Port) -> str:
    single = len(graph.node(port.node).outputs) == 1
    return f"%{port.node}" if single else f"%{port.node}.{port.port}"


def types_text(types: Sequence[Tensor]) -> str:
    """As a type of the language; several side by side."""
    return repr(types[0] if len(types) == 1 else bundle(types))


def place(span: Span) -> str:
    """`small.ein:10:13`, or nothing; no folders of this machine."""
    name = span.source.name
    if not name:
        return ""
    line, column = span.source.position(span.start)
    return f"{Path(name).name if Path(name).is_absolute() else name}:{line}:{column}"
