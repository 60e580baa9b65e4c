"""Finished architectures: the one that is meant, at the sizes that are asked for, or what is wrong."""

from __future__ import annotations

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.check import Request, check, load_grammar
from ein.grammar.diagnostics import Diagnostic, EinError, Source

TWO = """ein 1
import std
arch one : im[3, 32, 32] -> vec[10] = conv(8) >> head(10)
arch two : im[c, h, w] -> vec[7] = conv(c) >> head(7)
"""


def fails(text: str, name: str | None = None, request: Request | None = None) -> Diagnostic:
    found = [d for d in check(Source("a.ein", text), request)[1] if d.severity == "error"]
    if not found:
        with pytest.raises(EinError) as caught:
            architecture(load_grammar(Source("a.ein", text), request), name)
        found = list(caught.value.diagnostics)
    [one] = found
    return one


def test_sizes_that_are_open_come_from_the_request() -> None:
    request = Request(input="im[5, 16, 12]")
    grammar = load_grammar(Source("a.ein", TWO), request)
    found = architecture(grammar, "two")
    assert (repr(found.input), repr(found.type)) == ("im[5, 16, 12]", "vec[7]")
    assert found.text == "conv(5) >> pool >> linear(7)"
    notes = check(Source("a.ein", TWO))[1]
    assert {note.code for note in notes} == {"W701"} and {note.severity for note in notes} == {"note"}
    assert fails(TWO, "two").code == "E701"


def test_one_of_several_is_named() -> None:
    request = Request(input="im[3, 32, 32]")
    assert fails(TWO, None, request).help == "there are one, two: write `file.ein:name`"
    found = fails(TWO, "onee", request)
    assert (found.code, found.help) == ("E705", "did you mean `one`?")
    assert architecture(load_grammar(Source("a.ein", TWO), request), "one").text == "conv(8) >> pool >> linear(10)"


def test_an_architecture_may_choose_by_guards_as_long_as_one_is_left() -> None:
    body = "(conv(8) >> conv(c) if c > 3 | norm if c <= 3)"
    text = f"ein 1\nimport std\narch a : im[c, h, w] -> im[c, h, w] = {body}\n"
    for size, wanted in (("3", "norm"), ("4", "conv(8) >> conv(4)")):
        grammar = load_grammar(Source("a.ein", text), Request(input=f"im[{size}, 8, 8]"))
        assert architecture(grammar).text == wanted
    both = fails(text.replace("c > 3", "c > 2"), None, Request(input="im[3, 8, 8]"))
    assert (both.code, both.message) == (
        "E310",
        "an architecture leaves nothing to choose, and 2 alternatives apply here",
    )


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("clone(2) >> (conv(16) & conv(32)) >> add >> head(10)", "`add` needs equal tensors"),
        ("conv(8) >> im2col(64) >> head(10)", "`im2col(64)` needs `h + 2 * p >= k`, and h = 32, k = 64, p = 0"),
        ("(conv(8) & conv(8)) >> add >> head(10)", "put `clone(2)` or `split` before them"),
        ("clone(3) >> (conv(8) & conv(8)) >> add >> head(10)", "2 branches are given, and the bundle has 3 members"),
        ("split(2, 1) >> add >> head(10)", "3 / 2 is not exact"),
        ("tied conv(8) * 2 >> head(10)", "a repeated part must keep the type"),
        ("col2im >> head(10)", "`col2im` needs the kind `seq`"),
    ],
)
def test_what_does_not_type_check_is_told_where_it_stands(term: str, words: str) -> None:
    found = fails(f"ein 1\nimport std\narch a : im[3, 32, 32] -> vec[10] = {term}\n")
    assert found.code == "E301" and words in found.message
    assert found.span is not None and found.span.source.position(found.span.start)[0] == 3
    assert found.span.text in term


def test_the_declared_output_is_held_against_the_real_one() -> None:
    found = fails("ein 1\nimport std\narch a : im[3, 8, 8] -> vec[10] = head(100)\n")
    assert (found.code, found.message) == ("E303", "`a` declares vec[10] and gives vec[100]")


def test_the_zoo() -> None:
    small = architecture(load_grammar("zoo/resnet8"))
    assert repr(small.type) == "vec[10]"
    assert 50_000 < small.cost.parameters < 150_000
    assert architecture(load_grammar("zoo/resnet18")).cost.parameters == 11_689_512


def test_errors_elsewhere_do_not_hide_those_of_an_architecture() -> None:
    text = "ein 1\nimport std\ninput im[4, 8, 8]\nrule S = rlue\narch a : im[3, 8, 8] -> vec[9] = head(10)\n"
    assert [d.code for d in check(Source("a.ein", text))[1]] == ["E201", "E303"]


def test_an_architecture_that_cannot_be_read_is_reported_once() -> None:
    text = "ein 1\nimport std\nop f : t -> t = relu(\narch a : im[3, 8, 8] -> vec[9] = f >> head(10)\n"
    assert [d.code for d in check(Source("a.ein", text))[1]] == ["E105"]
    text = "ein 1\nimport std\nop f : vec[d] -> vec[n] = relu(x)\narch a : im[3, 8, 8] -> vec[9] = f >> head(10)\n"
    assert [d.code for d in check(Source("a.ein", text))[1]] == ["E302"]
