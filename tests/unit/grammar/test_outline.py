"""Files of declarations, read piece by piece: what comes of it is what comes of the whole."""

from __future__ import annotations

import pytest

from ein.grammar.check import declared_operators
from ein.grammar.declarations import outlined
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.load import library_file, library_names, library_outline, library_source
from ein.grammar.notation import syntax as s
from ein.grammar.notation.outline import outline
from ein.grammar.notation.parser import parse, parse_statement
from ein.grammar.unread import Names

OUTLINED = [name for name in library_names() if library_outline(name) is not None]


def spans(node: object) -> list[tuple[int, int]]:
    if isinstance(node, tuple):
        return [span for each in node for span in spans(each)]
    if not isinstance(node, s.Node):
        return []
    return [(node.span.start, node.span.end), *spans(tuple(s.parts(node)))]


def test_std_is_outlined() -> None:
    assert "std" in OUTLINED


@pytest.mark.parametrize("name", OUTLINED)
def test_each_piece_is_the_statement_of_the_whole(name: str) -> None:
    source, pieces = library_source(name), library_outline(name) or ()
    version, *statements = library_file(name)[0].statements
    assert isinstance(version, s.Version)
    alone = [parse_statement(source, piece.start, piece.end) for piece in pieces]
    assert alone == statements
    assert [spans(each) for each in alone] == [spans(each) for each in statements]
    words = {s.OpDecl: "op", s.MacroDecl: "def", s.TypeDecl: "type"}
    assert [(words[type(each)], getattr(each, "name", "")) for each in statements] == [(p.word, p.name) for p in pieces]


@pytest.mark.parametrize("name", OUTLINED)
def test_the_scope_holds_what_checking_the_file_itself_finds(name: str) -> None:
    operators, kinds = declared_operators(name)
    scope = outlined(name)
    found = [operator for overloads in scope.operators.values() for operator in overloads]
    assert [operator.declaration for operator in found] == [operator.declaration for operator in operators]
    assert scope.kinds == kinds
    macros = [x for x in library_file(name)[0].statements if isinstance(x, s.MacroDecl)]
    assert [declaration for declaration, _ in scope.macros.values()] == macros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "type im[c]\n",
        "ein 1\nimport std\n",
        "ein 1\nrule A = relu\n",
        "ein 1\nop f(\nn\n) : t -> t = wires\n",
        "ein 1 op f : t -> t = wires\n",
    ],
)
def test_a_file_of_anything_else_has_no_outline(text: str) -> None:
    assert outline(Source("f.ein", text)) is None


def test_comments_and_indented_lines_belong_to_a_piece() -> None:
    text = "# of f\nein 1\n\ntype im[c]  # one\n# of f\nop f : t -> t\n\n  = wires\ndef g = f\n"
    source = Source("f.ein", text)
    pieces = outline(source) or ()
    assert [(piece.word, piece.name) for piece in pieces] == [("type", "im"), ("op", "f"), ("def", "g")]
    read = [parse_statement(source, piece.start, piece.end) for piece in pieces]
    assert read == list(parse(source)[0].statements[1:])


def test_a_mistake_in_a_piece_is_told_where_it_stands() -> None:
    source = Source("f.ein", "ein 1\nop f : t -> t = wires\nop g : t -> = wires\n")
    first, second = outline(source) or ()
    parse_statement(source, first.start, first.end)
    with pytest.raises(EinError) as error:
        parse_statement(source, second.start, second.end)
    assert list(error.value.diagnostics) == parse(source)[1]


def test_a_name_is_read_when_it_is_asked_for_and_once() -> None:
    read = []
    theirs: Names[int] = Names()
    theirs.leave("a", lambda: read.append("a") or 1)  # type: ignore[func-returns-value]
    theirs["b"] = 2
    ours: Names[int] = Names()
    ours.take_all(theirs)
    ours.take(theirs, "a", "c")
    assert set(ours) == {"a", "b", "c"} and "a" in ours and not read
    assert (ours["c"], ours["a"], theirs["a"], ours["b"]) == (1, 1, 1, 2)
    assert read == ["a"]
