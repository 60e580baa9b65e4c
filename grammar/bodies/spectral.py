"""Functions over named axes that keep them: along them, their spectra, and dropout."""

from __future__ import annotations

from collections.abc import Sequence

from ein.grammar.bodies import elements
from ein.grammar.bodies.structure import merged, one, parted, together, two
from ein.grammar.bodies.tensors import Tape, Value, position
from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable


def along(tape: Tape, name: str, names: Sequence[str], value: Value, span: Span) -> Value:
    """`name[axes](value)`: over several axes softmax and its logarithm take them as one, and flip turns each."""
    elements.along(name, value, span)
    if len(names) == 1 or name not in ("softmax", "log_softmax", "flip"):
        return _along(tape, name, value, one(name, names, value, span))
    if name == "flip":
        for axis in names:
            value = _along(tape, name, value, position(value, axis, span))
        return value
    if not names:
        raise Inapplicable(f"`{name}` over no axis at all", span)
    value, first = together(tape, names, value, span)
    flat = merged(tape, value, first, len(names))
    return parted(tape, _along(tape, name, flat, first), first, value, len(names))


def _along(tape: Tape, name: str, value: Value, at: int) -> Value:
    return tape.value("along", [value], value.axes, value.sizes, name, (("axis", at),))


def transform(tape: Tape, name: str, names: Sequence[str], value: Value, span: Span) -> Value:
    """`fft` and `ifft` along axes; `rfft[w, v]` makes the new axis v, of w // 2 + 1 frequencies, of the axis w."""
    if name == "rfft":
        elements.only(name, [value], ("float",), span)
        at = two(name, names, value, span)
        return _turned(tape, name, names[1], value, at, value.sizes[at] // 2 + 1)
    elements.only(name, [value], ("float", "complex"), span)
    axes = tuple(sorted(position(value, axis, span) for axis in names))
    if not axes:
        raise Inapplicable(f"`{name}` over no axis at all", span)
    arguments = (("axes", axes), ("size", None))
    return tape.value("spectrum", [value], value.axes, value.sizes, name, arguments, "complex")


def inverse(tape: Tape, names: Sequence[str], value: Value, size: int | None, span: Span) -> Value:
    """`irfft[v, w]` makes the axis w, of `size` positions, of the frequencies v."""
    elements.only("irfft", [value], ("float", "complex"), span)
    at = two("irfft", names, value, span)
    if size is None:
        raise fail("E403", f"the axis `{names[1]}` has no size", span, help=f"write `irfft[{', '.join(names)}](x, n)`")
    if size < 1 or size // 2 + 1 != value.sizes[at]:
        raise Inapplicable(f"a spectrum of {value.sizes[at]} is none of {size} real numbers", span)
    return _turned(tape, "irfft", names[1], value, at, size)


def _turned(tape: Tape, name: str, new: str, value: Value, at: int, size: int) -> Value:
    tape.sizes.setdefault(new, size)
    axes = [*value.axes[:at], new, *value.axes[at + 1 :]]
    sizes = [*value.sizes[:at], size, *value.sizes[at + 1 :]]
    arguments = (("axes", (at,)), ("size", size if name == "irfft" else None))
    return tape.value("spectrum", [value], axes, sizes, name, arguments, "complex" if name == "rfft" else "float")


def dropout(tape: Tape, names: Sequence[str], value: Value, p: float, span: Span) -> Value:
    """In training each entry is 0 with probability p, else divided by 1 - p; entries along `names` share their fate."""
    elements.only("dropout", [value], ("float",), span)
    if not value.batched:
        raise fail("E416", "`dropout` is applied to what depends on the input", span)
    if not 0 <= p < 1:
        raise Inapplicable(f"a dropout rate is at least 0 and below 1, not {p:g}", span)
    at = tuple(sorted(position(value, axis, span) for axis in names))
    return tape.value("dropout", [value], value.axes, value.sizes, "", (("axes", at), ("p", float(p))))
