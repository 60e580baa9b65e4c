"""Derivations as bytes: what comes back, how large they are, and what is said of bytes that are none."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.coding import MAX_KINDS, Reader, choices_bytes, number_bytes, text_bytes
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.packed import MAX_BLOCK, pack, read_many, unpack, write_many
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source, render_all
from ein.grammar.load import library_names
from ein.grammar.numbers import Order


def samplers() -> dict[str, Sampler]:
    found = {}
    for name in library_names():
        grammar = load_grammar(name)
        if grammar.start is not None and grammar.input is not None:
            found[name] = Sampler.of(grammar)
    return found


SAMPLERS = samplers()
EINSPACE = SAMPLERS["einspace"]
DRAWN = [EINSPACE.draw(5, index) for index in range(40)]


def message(data: bytes, sampler: Sampler = EINSPACE) -> str:
    with pytest.raises(EinError) as caught:
        unpack(sampler, data)
    return render_all(caught.value.diagnostics)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_draw_of_every_grammar_comes_back(name: str) -> None:
    sampler = SAMPLERS[name]
    for index in range(25):
        drawn = sampler.draw(1, index)
        found = unpack(sampler, pack(drawn))
        assert (found, found.modules, found.text, found.id) == (drawn, drawn.modules, drawn.text, drawn.id)
        assert [list(map(type, values)) for _, values in found.choices] == [
            list(map(type, values)) for _, values in drawn.choices
        ]


def test_many_come_back_one_by_one_and_streams_can_be_joined() -> None:
    stream = BytesIO()
    assert write_many(stream, DRAWN) == len(DRAWN)
    alone = [pack(derivation) for derivation in DRAWN]
    assert len(stream.getvalue()) < sum(map(len, alone)) / 2
    write_many(stream, DRAWN[:3])
    assert list(read_many(EINSPACE.space, BytesIO(stream.getvalue()))) == [*DRAWN, *DRAWN[:3]]
    assert list(read_many(EINSPACE, BytesIO(b"".join(alone)))) == DRAWN
    first = read_many(EINSPACE, BytesIO(stream.getvalue() + b"?"))
    assert list(islice(first, len(DRAWN) + 3)) == [*DRAWN, *DRAWN[:3]]
    with pytest.raises(EinError, match="do not begin"):
        next(first)


def test_no_derivation_and_two_are_not_one() -> None:
    assert "there is no derivation" in message(b"")
    assert "more than one" in message(pack(DRAWN[0]) + pack(DRAWN[1]))


def long(choices: int) -> Derivation:
    text = "ein 1\nimport std\ninput vec[4]\nrule A = relu @ 2 | (relu | gelu) >> A | linear(out in {4, 5}) >> A\n"
    sampler = Sampler.of(load_grammar(Source("long", text)))
    kinds = ([(1, ()), (0, ())], [(1, ()), (1, ())], [(2, (5,))], [(2, (4,))])
    made = [choice for i in range(choices) for choice in kinds[i * i % 7 % 4]]
    assert sampler.grammar.input is not None
    return Derivation(sampler.space, (*made, (0, ())), choices + 1, sampler.grammar.input)


def test_large_ones_are_small_and_linear() -> None:
    """Of hierarchical NAS-Bench-201, some of the largest; and a hundred thousand modules."""
    hnb = SAMPLERS["hnb201"]
    for drawn in (hnb.draw(0, index) for index in range(40)):
        assert len(pack(drawn)) < 100 + len(drawn.choices) / 2
    large = long(100_000)
    data = pack(large)
    assert len(data) < 100_000
    assert unpack(large.space, data) == large
    assert unpack(large.space, data).modules == 100_001


# --- bytes that are none


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_bytes_that_were_changed_are_a_clear_error(data: st.DataObject) -> None:
    """Cut off, or changed in some places: an error, or in the rarest of cases a derivation of the grammar."""
    packed = bytearray(pack(data.draw(st.sampled_from(DRAWN))))
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(0, len(packed) - 1)) :]
    for _ in range(data.draw(st.integers(1, 3))):
        if packed:
            packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    checked(bytes(packed))


@given(st.binary(max_size=60), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_block_with_a_right_checksum_can_hold_anything(body: bytes, deflate: bool) -> None:
    inside = bytes([1]) + zlib.compress(body, 9, -15) if deflate else bytes([0]) + body
    checked(pack(DRAWN[0])[: heading_length()] + block(b"d", inside))
    checked(block(b"ein\x01", inside) + block(b"d", inside))


def checked(data: bytes) -> None:
    try:
        found = unpack(EINSPACE, data)
    except EinError as error:
        assert {d.code for d in error.diagnostics} <= {"E720", "E721"}
        assert render_all(error.diagnostics).replace("\n", "").isprintable()
    else:
        assert found.text


def block(head: bytes, packed: bytes) -> bytes:
    whole = head + number_bytes(len(packed)) + packed
    return whole + struct.pack("<I", zlib.crc32(whole))


def heading_length() -> int:
    """Of the first block: those of two derivations are the same."""
    first, second = pack(DRAWN[0]), pack(DRAWN[1])
    common = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return first.rindex(b"d", 0, common + 1)


def of_choices(body: bytes) -> bytes:
    return pack(DRAWN[0])[: heading_length()] + block(b"d", body)


WRONG = {
    "cut off": (of_choices(b"\x00\x05"), "they are cut off"),
    "kinds": (of_choices(b"\x00" + number_bytes(MAX_KINDS + 1) + bytes(2 * MAX_KINDS)), "different choices"),
    "a long number": (of_choices(b"\x00\x01" + b"\xff" * 9), "a number is too large"),
    "a long integer": (of_choices(b"\x00\x01\x00\x01\x00" + number_bytes(600) + bytes(600)), "a number is too large"),
    "no such kind of value": (of_choices(b"\x00\x01\x00\x01\x09\x00"), "a value is of no known kind"),
    "a text that is none": (of_choices(b"\x00\x01\x00\x01\x05\x02\xff\xfe\x00"), "a text is no UTF-8"),
    "a text that steers": (of_choices(b"\x00\x01\x00\x01\x05\x02\x1b[\x00"), "a text cannot be printed"),
    "a choice that is not named": (of_choices(b"\x00\x01\x00\x00\x01\x04"), "a choice is none of those named"),
    "packed in another way": (of_choices(b"\x07\x01"), "packed in a way that is not known"),
    "unpacked": (of_choices(b"\x01\xff\xff\xff"), "they cannot be unpacked"),
    "more than is read": (of_choices(b"\x00" + choices_bytes(DRAWN[0].choices) + b"?"), "more than is read"),
    "too few choices": (of_choices(b"\x00" + choices_bytes(DRAWN[0].choices[:-1])), "the choices end before it does"),
    "too many": (of_choices(b"\x00" + choices_bytes((*DRAWN[0].choices, (0, ())))), "more choices than it makes"),
    "a choice that there is not": (of_choices(b"\x00" + choices_bytes(((77, ()),))), "`Net` has no such choice"),
    "an empty block": (block(b"d", b""), "empty or too long"),
    "a block that is too long": (b"d" + number_bytes(MAX_BLOCK + 1), "empty or too long"),
    "a length without end": (b"d" + b"\xff" * 40, "too long"),
    "no space": (block(b"d", b"\x00\x00\x00"), "no space is named before"),
    "another beginning": (b"PK\x03\x04", "do not begin as"),
    "another word": (b"eim\x01", "do not begin as"),
    "a later version": (b"ein\x02", "version 2 of the format, and this reads version 1"),
    "a checksum": (pack(DRAWN[0])[:-1] + b"?", "they have changed since they were written"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told(what: str) -> None:
    data, why = WRONG[what]
    told = message(data)
    assert told.startswith("error[E720]: these bytes are no derivation: ")
    assert why in told
    assert told.endswith("help: draw them anew, or take them from their derivation files")


@pytest.mark.parametrize("size", [MAX_BLOCK + 1, 200 * 10**6])
def test_a_bomb_does_not_go_off(size: int) -> None:
    import tracemalloc

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = b"".join(packer.compress(bytes(10**6)) for _ in range(size // 10**6 + 1)) + packer.flush()
    data = of_choices(b"\x01" + small)
    tracemalloc.start()
    try:
        assert "they cannot be unpacked" in message(data)
        assert tracemalloc.get_traced_memory()[1] < 12 * MAX_BLOCK
    finally:
        tracemalloc.stop()


# --- another grammar

GRAMMAR = "ein 1\ngrammar g(width = 8)\nimport std\ninput im[3, 8, 8]\nrule A = relu | conv(width) >> A\n"


def drawn(text: str = GRAMMAR, request: Request | None = None) -> tuple[Sampler, bytes]:
    sampler = Sampler.of(load_grammar(Source("g.ein", text), request))
    return sampler, pack(sampler.draw(0))


def test_another_grammar_is_named() -> None:
    digest = EINSPACE.grammar.digest
    sampler, _ = drawn()
    assert message(pack(DRAWN[0]), sampler) == (
        f"error[E721]: these are derivations of `einspace` ({digest}), not of `g`\n"
        "help: read them with the grammar `einspace`"
    )


def test_a_changed_grammar_is_told_with_both_digests() -> None:
    before, data = drawn()
    after, _ = drawn(GRAMMAR.replace("relu |", "relu @ 3 |"))
    assert message(data, after) == (
        f"error[E721]: `g` is not what these derivations were drawn from: then {before.grammar.digest}, "
        f"now {after.grammar.digest}\n"
        "help: load the grammar as it was; "
        "a derivation file also keeps the term, which `ein parse` finds in the new one"
    )


def test_other_parameters_and_types_are_told() -> None:
    _, data = drawn(request=Request({"width": 4}, "im[3, 16, 16]"))
    assert message(data, drawn()[0]).endswith(
        "help: load it with what they had: parameters width = 4, input im[3, 16, 16]"
    )
    same = drawn(request=Request({"width": 4}, "im[3, 16, 16]"))[0]
    assert unpack(same, data).input is same.grammar.input


def test_what_is_no_draw_of_a_grammar_is_not_packed() -> None:
    with pytest.raises(EinError, match="leaves nothing to choose"):
        pack(architecture(load_grammar("zoo/resnet8")))


# --- values


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**100), 2**100),
    st.lists(st.integers(1, 9), min_size=1, max_size=6).map(Order),
    st.floats(allow_nan=False),
    st.text(st.characters(categories=("L", "N")), max_size=8),
)


@given(st.lists(st.tuples(st.integers(0, 2**30), st.lists(VALUES, max_size=4).map(tuple)), max_size=20))
def test_every_kind_of_value_comes_back(choices: list[tuple[int, tuple[object, ...]]]) -> None:
    reader = Reader(choices_bytes(tuple(choices)))
    found = reader.choices()
    reader.end()
    assert found == tuple(choices)
    assert [[type(v) for v in values] for _, values in found] == [[type(v) for v in values] for _, values in choices]


def test_equal_values_of_two_kinds_are_told_apart() -> None:
    choices = ((0, (1,)), (0, (True,)), (0, (1.0,)))
    assert [type(values[0]) for _, values in Reader(choices_bytes(choices)).choices()] == [int, bool, float]


def test_texts() -> None:
    assert Reader(text_bytes("größe")).text() == "größe"
