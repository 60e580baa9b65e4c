"""The text of an operation graph, read back."""

from __future__ import annotations

import re
from ast import literal_eval
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ein.compiler.graph import Draft, InternalError, OpGraph, Port, verify
from ein.compiler.graph_text import types_text
from ein.compiler.made import base, one_of, written
from ein.compiler.nodes import Input, Output, Scope, Use
from ein.compiler.passes.batched import Memory
from ein.grammar import cfg
from ein.grammar.check import declared_grammar
from ein.grammar.diagnostics import Diagnostic, EinError, Source, Span, fail
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, ValueType, bundle, leaves, tensor

MAX_NODES = 100_000

_ROW = re.compile(r"^(?:%|output\b)")
_USE = re.compile(r"%(\d+) = (.+) : (.+?)(?:\s+as (\w+))?(?:\s+in (\S.*?))?\s*")
_INPUT = re.compile(r"%(\d+) = input : (.+?)\s*")
_OUTPUT = re.compile(r"output\(([^:]*)\) : (.+?)\s*")
_PORT = re.compile(r"%(\d+)(?:\.(\d+))?")
_TENSOR = re.compile(r"(\w+)\[([\d\s,()]*)\]")
_NUMBERED = re.compile(r"(.+?)(?:\.\d+)?")


def read_graph(text: str, name: str = "graph") -> OpGraph:
    """The graph that `graph_file` wrote; places in the file that it came from are not kept.

    Raises EinError (E722, or what is wrong with a declaration), naming the line.
    """
    source = Source(name, text)
    lines = text.split("\n")
    first = next((at for at, line in enumerate(lines) if _ROW.match(line)), len(lines))
    rows = [_read_row(source, at, line.rstrip()) for at, line in enumerate(lines[first:], first + 1) if line.strip()]
    return _Reading(source, lines[:first], rows).graph()


@dataclass(frozen=True, slots=True)
class _Row:
    """`number` None: the output. `use` is empty for input and output."""

    span: Span
    number: int | None
    use: str
    sources: str
    types: str
    key: str | None = None
    path: tuple[str, ...] = ()


def _read_row(source: Source, at: int, line: str) -> _Row:
    start = source.line_starts[at - 1]
    span = Span(source, start, start + len(line))
    code = line.split("  # ", 1)[0].rstrip()
    if found := _INPUT.fullmatch(code):
        return _Row(span, int(found[1]), "", "", found[2])
    if found := _OUTPUT.fullmatch(code):
        return _Row(span, None, "", found[1], found[2])
    found = _USE.fullmatch(code)
    opening = _opening(found[2]) if found and found[2].count("(") == found[2].count(")") else None
    if found is None or opening is None:
        raise _wrong("a line says `%1 = operator(%0) : type`, `%0 = input : type` or `output(%1) : type`", span)
    path = tuple((found[5] or "").split(" > ")) if found[5] else ()
    return _Row(span, int(found[1]), found[2][:opening], found[2][opening + 1 : -1], found[3], found[4], path)


def _opening(text: str) -> int | None:
    """Where the last parenthesis that is closed at the end of the text opens."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth <= 0:
            return at if text[at] == "(" and text.endswith(")") else None
    return None


def _as_written(type: ValueType, text: str) -> ValueType:
    """The type with its dimensions put together as the text says, where the sizes are the same."""
    try:
        found = [(kind, literal_eval(f"[{sizes}]")) for kind, sizes in _TENSOR.findall(text)]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return type
    types = list(leaves(type))
    shapes = [shape for _, shape in found] * (len(types) // max(len(found), 1))
    made = [tensor(one.kind, shape, one.live, one.element) for one, shape in zip(types, shapes, strict=False)]
    if [one.sizes for one in made] != [one.sizes for one in types]:
        return type
    return made[0] if len(made) == 1 else bundle(made)


def _wrong(message: str, span: Span | None, help: str = "") -> EinError:
    return fail("E722", f"this is no operation graph: {message}", span, help=help)


@dataclass(slots=True)
class _Reading:
    source: Source
    header: Sequence[str]
    rows: Sequence[_Row]
    draft: Draft = field(default_factory=Draft)
    ports: dict[Port, tuple[Port, Tensor]] = field(default_factory=dict)
    scopes: dict[tuple[str, ...], tuple[Scope, ...]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    memory: Memory = field(default_factory=Memory)

    def graph(self) -> OpGraph:
        ends = [row for row in self.rows if not row.use]
        if len(self.rows) > MAX_NODES or [row.number is None for row in ends] != [False, True]:
            raise _wrong(f"it has one input, one output behind it, and at most {MAX_NODES:,} lines", None)
        grammar = self._grammar(ends)
        uses = {text: self._application(grammar, name) for text, name in self._names().items()}
        for row in self.rows:
            if row.use:
                self._use(row, uses)
            elif row.number is not None:
                assert grammar.input is not None
                types = tuple(leaves(grammar.input))
                self._give(row.number, self.draft.add(Input(types)), types)
            else:
                self._end(row, grammar.output)
        graph = self.draft.done()
        try:
            verify(graph)
        except InternalError as error:
            raise _wrong(str(error), None) from None
        return graph

    def _names(self) -> dict[str, str]:
        """A rule for each use of an operator that occurs."""
        return {text: f"U{at}" for at, text in enumerate(dict.fromkeys(base(row.use) for row in self.rows if row.use))}

    def _grammar(self, ends: Sequence[_Row]) -> cfg.Grammar:
        """Declarations, and the uses as rules, so that the parser of the language reads them: a line for each."""
        first = {base(row.use): row for row in reversed(self.rows)}
        rules = [(first[text], f"rule {name} = {text}") for text, name in self._names().items()]
        written = [(ends[0], f"input {ends[0].types}"), (ends[1], f"output {ends[1].types}"), *rules]
        text = "\n".join([*self.header, *(line for _, line in written)])
        try:
            return declared_grammar(Source(self.source.name, text))
        except EinError as error:
            rows = [row.span for row, _ in written]
            raise EinError([self._placed(found, rows) for found in error.diagnostics]) from None

    def _placed(self, found: Diagnostic, rows: Sequence[Span]) -> Diagnostic:
        """What is told of the text that was read, about the line of the graph."""
        if found.span is None:
            return found
        line = found.span.source.position(found.span.start)[0] - len(self.header)
        return replace(found, span=rows[line - 1], label="", labels=()) if line > 0 else found

    def _application(self, grammar: cfg.Grammar, rule: str) -> cfg.Application:
        alternatives = grammar.rules[rule].alternatives
        body = alternatives[0].body
        if len(alternatives) > 1 or alternatives[0].choices or not isinstance(body, cfg.Use):
            raise _wrong("each line uses one operator, without choices", body.span)
        try:
            given = tuple((name, each.evaluate({})) for name, each in body.arguments)
        except Inapplicable as error:
            raise _wrong(error.reason, body.span) from None
        return grammar.application(body.overloads, given)

    def _use(self, row: _Row, uses: Mapping[str, cfg.Application]) -> None:
        sources, input = self._sources(row)
        try:
            application, applied = self._applied(row.use, input, uses)
            if types_text(tuple(leaves(applied.output))) != row.types.strip():
                applied = replace(applied, output=_as_written(applied.output, row.types))
            _ = applied.checked_body
        except Inapplicable as error:
            raise _wrong(f"`{row.use}` {error.reason}", row.span) from None
        self.counts[application.name] += 1
        key = row.key or f"{application.name}_{self.counts[application.name]}_"
        use = Use(application, applied, key, path=self._path(row.path))
        if types_text(use.outputs) != row.types.strip():
            raise _wrong(f"`{row.use}` gives {types_text(use.outputs)} here, and the line says {row.types}", row.span)
        assert row.number is not None
        self._give(row.number, self.draft.add(use, sources), use.outputs)

    def _applied(
        self, text: str, input: ValueType, uses: Mapping[str, cfg.Application]
    ) -> tuple[cfg.Application, cfg.Applied]:
        """An operator as a file declares it, or of several copies, of which one is applied first."""
        said = written(text)
        if said is None:
            return uses[text], uses[text].at(input)
        types = one_of(said, list(leaves(input)))
        one = self._applied(said.base, types[0] if len(types) == 1 else bundle(types), uses)
        found = self.memory.written(Use(*one, ""), said, list(leaves(input)))
        if found is None:
            raise Inapplicable("is not written for several copies")
        return found

    def _give(self, written: int, number: int, types: Sequence[Tensor]) -> None:
        """A number may be written anew: what reads it later reads the last one."""
        self.ports |= {Port(written, at): (Port(number, at), type) for at, type in enumerate(types)}

    def _end(self, row: _Row, output: ValueType | None) -> None:
        sources, _ = self._sources(row)
        assert output is not None
        self.draft.add(Output(tuple(leaves(output))), sources)

    def _sources(self, row: _Row) -> tuple[list[Port], ValueType]:
        """What a line reads, and its type: parentheses are bundles."""
        ports: list[Port] = []
        stack: list[list[ValueType]] = [[]]
        for token in re.findall(r"[()]|%[\d.]+|[^\s,]", row.sources):
            if token == "(":
                stack.append([])
            elif token == ")" and len(stack) > 1 and stack[-1]:
                members = stack.pop()
                stack[-1].append(bundle(members) if len(members) > 1 else members[0])
            else:
                port, type = self._port(token, row)
                ports.append(port)
                stack[-1].append(type)
        if len(stack) > 1 or not ports:
            raise _wrong(f"`{row.sources}` is no list of results such as `%1, %2.1`", row.span)
        return ports, bundle(stack[0]) if len(stack[0]) > 1 else stack[0][0]

    def _port(self, token: str, row: _Row) -> tuple[Port, Tensor]:
        found = _PORT.fullmatch(token)
        known = self.ports.get(Port(int(found[1]), int(found[2] or 0))) if found else None
        if known is None:
            raise _wrong(f"`{token}` is no result of a line above", row.span)
        return known

    def _path(self, names: tuple[str, ...]) -> tuple[Scope, ...]:
        """One scope for each name within the same scopes."""
        found: tuple[Scope, ...] = ()
        for depth in range(1, len(names) + 1):
            prefix = names[:depth]
            if prefix not in self.scopes:
                numbered = _NUMBERED.fullmatch(names[depth - 1])
                self.scopes[prefix] = (*found, Scope(numbered[1] if numbered else names[depth - 1]))
            found = self.scopes[prefix]
        return found
