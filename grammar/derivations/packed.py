"""Derivations as bytes: a few bits for each choice, many in one stream.

A stream is a row of blocks. One that begins `ein` and the version names the space: its grammar, digest, parameters,
input and output. One that begins `d` holds the choices of a derivation of the space named last. Each says its length
and ends in a checksum, so streams can be written on and put one behind the other.

The choices are written out, not as numbers in a table of the grammar: bytes are read without the grammar, and where
it has changed the answer is which grammar they are of, never another derivation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from ein.grammar.cfg import Limits, value_text
from ein.grammar.derivations.attempt import MAX_CHOICES, Attempt, DeadEnd
from ein.grammar.derivations.coding import Reader, choices_bytes, damaged, number_bytes, text_bytes
from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import Candidate, Instance, Options

VERSION = 1
_SPACE, _DERIVATION = b"ein", b"d"
MAX_BLOCK = 4 * MAX_CHOICES
"""Bytes of one block, packed or not."""

_PLAIN, _DEFLATED = range(2)


@dataclass(frozen=True, slots=True)
class Heading:
    """The space that derivations are of."""

    grammar: str
    digest: str
    parameters: str
    input: str
    output: str

    @classmethod
    def of(cls, space: Space) -> Heading:
        grammar = space.grammar
        values = ", ".join(f"{name} = {value_text(value)}" for name, value in sorted(grammar.env.items()))
        output = "" if grammar.output is None else repr(grammar.output)
        return cls(grammar.name, grammar.digest, values, repr(grammar.input), output)

    @property
    def fields(self) -> tuple[str, ...]:
        return self.grammar, self.digest, self.parameters, self.input, self.output


def pack(derivation: Derivation) -> bytes:
    """A stream of one derivation; `unpack` reads it back. Raises EinError as `write_many` does."""
    stream = BytesIO()
    write_many(stream, [derivation])
    return stream.getvalue()


def unpack(space: Space | Sampler, data: bytes) -> Derivation:
    """The one derivation of a stream. Raises EinError as `read_many` does, and where there is not one."""
    found = list(_first(read_many(space, BytesIO(data)), 2))
    if len(found) != 1:
        raise damaged("there is more than one derivation" if found else "there is no derivation")
    return found[0]


def write_many(stream: BinaryIO, derivations: Iterable[Derivation]) -> int:
    """Appends derivations, and the name of their space where it is another than before; how many they are.

    Raises EinError for an architecture of a file, and for a derivation on another input than its grammar's.
    """
    count = 0
    space: Space | None = None
    for derivation in derivations:
        grammar = derivation.space.grammar
        if derivation.finished or derivation.input is not grammar.input:
            why = "leaves nothing to choose" if derivation.finished else f"begins with {derivation.input!r}"
            help = "`ein parse` finds the derivation of an architecture; a derivation file keeps its term"
            raise fail("E720", f"`{grammar.name}` draws derivations, and this {why}", help=help)
        if derivation.space is not space:
            space = derivation.space
            _block(stream, _SPACE + bytes([VERSION]), b"".join(map(text_bytes, Heading.of(space).fields)))
        _block(stream, _DERIVATION, choices_bytes(derivation.choices))
        count += 1
    return count


def read_many(space: Space | Sampler, stream: BinaryIO) -> Iterator[Derivation]:
    """The derivations of a stream, each when it is asked for.

    Raises EinError: E721 where they are of another space or of this one before it changed, E720 where the bytes are
    none of a derivation, all that were whole before having been given.
    """
    if isinstance(space, Space):
        space = Sampler(space.grammar, space.grammar.limits, space)
    if space.grammar.input is None:
        raise fail("E701", f"`{space.grammar.name}` does not say its input", help="write `input im[3, 32, 32]`")
    named = False
    while (block := _read(stream)) is not None:
        kind, reader = block
        if kind == _SPACE:
            _same(space.space, Heading(*(reader.text() for _ in range(5))))
            named = True
        elif not named:
            raise damaged("no space is named before the first derivation")
        else:
            yield _derivation(space, reader.choices())
        reader.end()


def _first(derivations: Iterator[Derivation], count: int) -> Iterator[Derivation]:
    """As many as there are, and no more than are needed."""
    for _, derivation in zip(range(count), derivations, strict=False):
        yield derivation


def _same(space: Space, heading: Heading) -> None:
    mine = Heading.of(space)
    if mine == heading:
        return
    if mine.grammar != heading.grammar:
        text = f"these are derivations of `{heading.grammar}` ({heading.digest}), not of `{mine.grammar}`"
        raise fail("E721", text, help=f"read them with the grammar `{heading.grammar}`")
    text = f"`{mine.grammar}` is not what these derivations were drawn from: then {heading.digest}, now {mine.digest}"
    asked = [
        f"{name} {then}"
        for name, then, now in zip(("parameters", "input", "output"), heading.fields[2:], mine.fields[2:], strict=True)
        if then != now
    ]
    if asked:
        raise fail("E721", text, help=f"load it with what they had: {', '.join(asked)}")
    help = "load the grammar as it was; a derivation file also keeps the term, which `ein parse` finds in the new one"
    raise fail("E721", text, help=help)


def _derivation(sampler: Sampler, choices: Choices) -> Derivation:
    """Raises EinError where the grammar does not make these choices."""
    left = iter(choices)

    def choose(instance: Instance, table: Options) -> Candidate:
        choice = next(left, None)
        for candidate in table.candidates:
            if candidate.choice == choice:
                return candidate
        raise damaged("the choices end before it does" if choice is None else f"`{instance!r}` has no such choice")

    input = sampler.grammar.input
    assert input is not None
    attempt = Attempt(sampler.space, Limits(elements=None))
    unbounded = attempt.modules_left
    try:
        sampler.ends(attempt.run(input, choose))
        made = Derivation(sampler.space, choices, unbounded - attempt.modules_left, input)
        sampler.shares(made)
    except DeadEnd as dead:
        raise damaged(dead.reason) from None
    except Inapplicable as error:
        raise damaged(error.reason) from None
    if next(left, None) is not None:
        raise damaged("there are more choices than it makes")
    return made


# --- blocks


def _block(stream: BinaryIO, head: bytes, body: bytes) -> None:
    deflated = zlib.compress(body, 9, -15)
    if len(body) >= MAX_BLOCK:
        raise fail("E720", f"a derivation of {len(body):,} bytes is too long to be kept")
    packed = bytes([_DEFLATED]) + deflated if len(deflated) < len(body) else bytes([_PLAIN]) + body
    block = head + number_bytes(len(packed)) + packed
    stream.write(block + struct.pack("<I", zlib.crc32(block)))


def _read(stream: BinaryIO) -> tuple[bytes, Reader] | None:
    """The kind and the contents of the next block; None at the end of the stream."""
    start = stream.read(1)
    if not start:
        return None
    head = start
    if start == _SPACE[:1]:
        head += _exactly(stream, len(_SPACE))
        if head[:-1] != _SPACE:
            raise damaged("they do not begin as a stream of derivations does")
        if head[-1] != VERSION:
            raise damaged(f"they are of version {head[-1]} of the format, and this reads version {VERSION}")
    elif start != _DERIVATION:
        raise damaged("they do not begin as a stream of derivations does")
    length, said = _length(stream)
    packed = _exactly(stream, length)
    if struct.unpack("<I", _exactly(stream, 4))[0] != zlib.crc32(head + said + packed):
        raise damaged("they have changed since they were written")
    return head[: len(_SPACE)], Reader(_inflated(packed))


def _exactly(stream: BinaryIO, count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise damaged("they are cut off")
    return found


def _length(stream: BinaryIO) -> tuple[int, bytes]:
    said = b""
    while not said or said[-1] >= 128:
        said += _exactly(stream, 1)
        if len(said) > 4:
            raise damaged("a part of them is too long")
    length = Reader(said).number()
    if not 1 <= length <= MAX_BLOCK:
        raise damaged("a part of them is empty or too long")
    return length, said


def _inflated(packed: bytes) -> bytes:
    if packed[0] == _PLAIN:
        return packed[1:]
    if packed[0] != _DEFLATED:
        raise damaged("they are packed in a way that is not known")
    inflater = zlib.decompressobj(-15)
    try:
        found = inflater.decompress(packed[1:], MAX_BLOCK)
    except zlib.error:
        raise damaged("they cannot be unpacked") from None
    if not inflater.eof or inflater.unused_data:
        raise damaged("they cannot be unpacked")
    return found
