"""What is told to the user: where, what was found, what was expected, what to do.

A `Diagnostic` is a value; `render` is the one place that turns it into text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

DISTRIBUTION = "ein-lang"
"""The name to install; `ein` on the index is somebody else's."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, eq=False)
class Source:
    """A text and the name it is shown under (a path, or a library name such as `std`)."""

    name: str
    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(i + 1 for i, c in enumerate(self.text) if c == "\n")]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` up to, not including, `end` of a source."""

    source: Source = field(repr=False)
    start: int
    end: int

    def to(self, other: Span) -> Span:
        return Span(self.source, self.start, max(self.end, other.end))

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]


NOWHERE = Span(Source("", ""), 0, 0)


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that explains the first, with a few words."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is stable: `ein explain E301` tells more about it."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    labels: tuple[Label, ...] = ()
    help: str = ""
    severity: Severity = "error"

    def to_json(self) -> dict[str, Any]:
        """The fields of `ein check --json`. What stands beside the carets is the first of `labels`."""
        place = _place(self.span)
        labels = (Label(self.span, self.label), *self.labels) if self.span and self.label else self.labels
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            **place,
            "help": self.help,
            "labels": [{**_place(label.span), "text": label.text} for label in labels],
        }


@dataclass(eq=False)
class EinError(Exception):
    """The root of all errors that are shown to the user; carries every diagnostic of a run."""

    diagnostics: Sequence[Diagnostic] = field(default_factory=tuple)

    def __str__(self) -> str:
        return render_all(self.diagnostics)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self.diagnostics),)


def fail(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    help: str = "",
    label: str = "",
    labels: Iterable[Label] = (),
) -> EinError:
    """An `EinError` of a single diagnostic, to be raised by the caller."""
    return EinError((Diagnostic(code, message, span, label, tuple(labels), help),))


def order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The order of the file; findings without a place come first."""
    return sorted(diagnostics, key=lambda d: (d.span.source.name, d.span.start, d.code) if d.span else ("", -1, d.code))


def render_all(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    return "\n\n".join(render(d, color) for d in diagnostics)


_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m"}


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """The diagnostic as rustc would lay it out: place, source lines, carets, labels, help."""
    paint = (lambda code, text: f"{code}{text}\x1b[0m") if color else (lambda code, text: text)
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    lines = [f"{paint(_COLORS[diagnostic.severity], head)}: {printable(diagnostic.message)}"]
    gutter = ""
    if diagnostic.span is not None and diagnostic.span.source.name:
        places = [(diagnostic.span, printable(diagnostic.label), "^")]
        places += [(label.span, printable(label.text), "-") for label in diagnostic.labels]
        here = [p for p in places if p[0].source is diagnostic.span.source]
        numbers = sorted({span.source.position(span.start)[0] for span, _, _ in here})
        gutter = " " * len(str(numbers[-1]))
        line, column = diagnostic.span.source.position(diagnostic.span.start)
        lines.append(f"{gutter}--> {printable(diagnostic.span.source.name)}:{line}:{column}")
        lines.append(f"{gutter} |")
        for number in numbers:
            on_line = [p for p in here if p[0].source.position(p[0].start)[0] == number]
            lines += _excerpt(diagnostic.span.source, number, on_line, gutter)
        for span, text, _ in places:
            if span.source is not diagnostic.span.source:
                other_line, other_column = span.source.position(span.start)
                lines.append(f"{gutter} = {printable(span.source.name)}:{other_line}:{other_column}: {text}")
    if diagnostic.help:
        lines.append((f"{gutter} = " if gutter else "") + f"help: {printable(diagnostic.help)}")
    return "\n".join(lines)


MAX_WIDTH = 160
"""Of a source line that is shown whole."""


def printable(text: str) -> str:
    """The text with control characters escaped: a hostile name cannot steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _excerpt(source: Source, number: int, places: list[tuple[Span, str, str]], gutter: str) -> list[str]:
    """A source line, the marks below it, and the texts of the marks, the rightmost beside its mark."""
    text = source.line(number)
    shown = printable(text[: MAX_WIDTH + 1]).expandtabs(1)
    if len(shown) > MAX_WIDTH:
        return _long_excerpt(source, number, places, gutter)
    start = source.line_starts[number - 1]
    marks = [" "] * (len(text) + 1)
    texts = []
    for span, words, mark in sorted(places, key=lambda p: p[2] == "^"):
        first = span.start - start
        last = max(first + 1, min(span.end - start, len(text)))
        marks[first:last] = mark * (last - first)
        if words:
            texts.append((first, words))
    texts.sort()
    below = []
    line = "".join(marks).rstrip()
    if texts:
        line = f"{line} {texts[-1][1]}" if len(line) >= texts[-1][0] and texts[-1][0] >= line.rfind(" ") else line
        rest = texts[:-1] if line != "".join(marks).rstrip() else texts
        below = _stack(rest)
    rows = [f"{number:>{len(gutter)}} | {shown}", f"{gutter} | {line}", *(f"{gutter} | {row}" for row in below)]
    return [row.rstrip() for row in rows]


def _stack(texts: list[tuple[int, str]]) -> list[str]:
    """Texts at their columns, on as few rows as they fit without touching."""
    rows: list[str] = []
    for column, words in texts:
        for i, row in enumerate(rows):
            if len(row) + 2 <= column:
                rows[i] = row + " " * (column - len(row)) + words
                break
        else:
            rows.append(" " * column + words)
    return rows


def _long_excerpt(source: Source, number: int, places: list[tuple[Span, str, str]], gutter: str) -> list[str]:
    span, words, mark = places[0]
    column = source.position(span.start)[1] - 1
    text = printable(source.line(number)[max(0, column - 40) : column + 80]).expandtabs(1)
    lead = "..." if column > 40 else ""
    shift = len(lead) + min(column, 40)
    width = max(1, min(span.end - span.start, 80))
    return [
        f"{number:>{len(gutter)}} | {lead}{text}...",
        f"{gutter} | {' ' * shift}{mark * width} {words}".rstrip(),
    ]


def _place(span: Span | None) -> dict[str, Any]:
    if span is None or not span.source.name:
        return {"file": None, "line": None, "column": None, "end_line": None, "end_column": None}
    (line, column), (end_line, end_column) = span.source.position(span.start), span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }
