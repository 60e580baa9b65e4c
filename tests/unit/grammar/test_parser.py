"""The parser: what it builds, what it says about mistakes, and that nothing makes it fail or slow."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.diagnostics import Diagnostic, Source, Span, render
from ein.grammar.notation import syntax as s
from ein.grammar.notation import table
from ein.grammar.notation.actions import ACTIONS
from ein.grammar.notation.lexer import tokenize
from ein.grammar.notation.parser import parse, parse_expression, parse_limit, parse_type
from ein.grammar.notation.reductions import MAX_NESTING

NOTATION = Path(__file__).parent / "notation"
LARK = Path(table.__file__).with_name("ein.lark")
TABLE = Path(table.__file__).with_name("ein.table.json")


def expression(text: str) -> s.Expr:
    node, diagnostics = parse_expression(Source("term", text))
    assert node is not None, diagnostics
    return node


def name(text: str) -> s.Name:
    return s.Name(text)


A, B, C, D = (name(letter) for letter in "abcd")


# --- trees


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a >> b >> c", s.Sequence((A, B, C))),
        ("a >> (b >> c)", s.Sequence((A, s.Sequence((B, C))))),
        ("(a & b) & c", s.Branches((s.Branches((A, B)), C))),
        ("a | b | c", s.Alternatives((A, B, C))),
        ("a & b >> c", s.Branches((A, s.Sequence((B, C))))),
        ("a - b - c", s.Binary("-", s.Binary("-", A, B), C)),
        ("a ^ b * c", s.Binary("*", s.Binary("^", A, B), C)),
        ("a ** b ** c", s.Binary("**", A, s.Binary("**", B, C))),
        ("-a ** -b", s.Unary("-", s.Binary("**", A, s.Unary("-", B)))),
        ("-1", s.Unary("-", s.Number("1"))),
        ("tied a ^ b", s.Binary("^", s.Unary("tied", A), B)),
        ("not a == b and c", s.Binary("and", s.Unary("not", s.Binary("==", A, B)), C)),
        ("((a))", A),
        ("(a, b)", s.Group((s.Argument(A), s.Argument(B)))),
        ("true", s.Boolean(True)),
        ("10%2", s.Binary("%", s.Number("10"), s.Number("2"))),
        ("10% ", s.Percent("10%")),
        ("{1..8}", s.ChoiceSet((s.Item(s.Number("1"), s.Number("8")),))),
        ("{a..b by *c @ d}", s.ChoiceSet((s.Item(A, B, C, True, D),))),
        ("where(a, b)", s.Call(name("where"), (s.Argument(A), s.Argument(B)))),
        ("F.relu", s.Dotted("F.relu")),
        ("F", s.Camel("F")),
        ("a[*b, c = d]", s.Index(A, (s.Axis(s.Star(B)), s.Axis(D, "c")))),
        ("a -> [b]", s.Layout(A, (s.Axis(B),))),
        ("a(b in {c})", s.Call(A, (s.Argument(s.ChoiceSet((s.Item(C),)), "b", True),))),
        ("a @ each if b", s.Alternative(A, weight=s.Each(), guard=B)),
        ("a if b else c", s.Alternative(A, guard=B, otherwise=C)),
        ("for a in b : c", s.Alternative(C, (s.ForBinder((("a", B),)),))),
        ("let (a, b) = c : d", s.Alternative(D, (s.LetBinder((s.Binding(("a", "b"), C),)),))),
    ],
)
def test_expressions(text: str, tree: s.Expr) -> None:
    assert expression(text) == tree


def test_types() -> None:
    node, diagnostics = parse_type(Source("type", "(q: any[*s, each d, _], _) ^ (b - 1)"))
    shape = s.KindType("any", (s.Star(name("s")), s.EachDim("d"), s.Blank()))
    members = (s.Member(shape, "q"), s.Member(s.Blank()))
    assert not diagnostics
    assert node == s.PowerType(s.BundleType(members), s.Binary("-", B, s.Number("1")))


def test_limits() -> None:
    node, diagnostics = parse_limit(Source("--limit", "modules <= 60, depth <= 2 * n"))
    assert not diagnostics
    assert node is not None
    assert [bound.name for bound in node.bounds] == ["modules", "depth"]
    assert parse_limit(Source("--limit", "modules < 60"))[1][0].message == "expected `<=`, found `<`"


def test_spans_cover_what_was_written() -> None:
    source = Source("f", "rule A = (a & b) >> f(c, d = 3)  # end")
    file, _ = parse(source)
    (rule,) = file.statements
    assert isinstance(rule, s.RuleDecl) and isinstance(rule.body, s.Sequence)
    branches, call = rule.body.parts
    assert rule.span.text == "rule A = (a & b) >> f(c, d = 3)"
    assert branches.span.text == "a & b"
    assert isinstance(call, s.Call)
    assert [argument.span.text for argument in call.arguments] == ["c", "d = 3"]
    assert [(comment.text, comment.own_line) for comment in file.comments] == [("# end", False)]


def test_line_breaks_mean_nothing() -> None:
    spread, diagnostics = parse(Source("f", "rule\nA\n=\na\n>>\nb rule B = c"))
    assert not diagnostics
    assert spread == parse(Source("f", "rule A = a >> b\r\nrule B = c"))[0]


# --- messages


MISTAKES = [
    ("rule A = relu >>", "E101", 17, "expected a term or a value, found the end", ""),
    ("rule A = f(a b)", "E101", 14, "expected an operator such as `>>`, `,`, `=`, `in` or `)`, found `b`", ""),
    ("limit modules < 30", "E101", 15, "expected `<=`, found `<`", ""),
    (
        "op f : t -> t param p[a] normal = 3",
        "E101",
        26,
        "expected `=` or `~`, found `normal`",
        "`p` needs a start: `= 0` or `~ normal(0, 0.02)`",
    ),
    ("rule A = a if else b", "E101", 15, "expected a term or a value, found the keyword `else`", ""),
    ("input im[3, 32 32]", "E101", 16, "expected an operator such as `+`, `,` or `]`, found `32`", ""),
    ("rule A : = b", "E101", 10, "expected a type, found `=`", ""),
    (
        "rul A = relu",
        "E101",
        1,
        "expected a statement, which starts with a keyword, found `rul`",
        "did you mean `rule`?",
    ),
    (
        "rule A = a if 1 < b < 3",
        "E101",
        21,
        "comparisons do not chain",
        "write `a < b and b < c`",
    ),
    ("rule A = a if b = 3", "E101", 17, "found `=` in a condition", "`==` compares; one `=` gives a value"),
    (
        "op f : t -> t where k = 3 = relu(x)",
        "E101",
        27,
        "found a second `=`",
        "`==` compares; one `=` begins the body",
    ),
    (
        "op f : t -> t let (a, b) = g = a",
        "E101",
        19,
        "expected a name, found `(`",
        "in the lines of an operator write `let a, b = …`",
    ),
    (
        "rule A = a >> for b in {1} : c",
        "E101",
        15,
        "`for` stands at the start of an alternative or in parentheses",
        "put it in parentheses: `a >> (for … : b)`",
    ),
    (
        'derivation from "x" digest "a" trace "b"',
        "E101",
        12,
        "expected `of`, found `from`",
        'write `derivation of "space" (p = 32%) digest "3f2a91c0" trace "…"`',
    ),
    (
        "op f : t -> t = x.mean(2)",
        "E102",
        18,
        "`.` is not a part of the language",
        "there are no attributes and methods; functions take axes by name: `mean[h, w](x)`",
    ),
    ("rule A = a ? b", "E102", 12, "`?` is not a part of the language", ""),
    ("rule A = \x07", "E102", 10, "the character U+0007 is not a part of the language", ""),
    ("rule A = aB", "E102", 10, "`aB` is not a name", "names are snake_case, names of rules CamelCase"),
    ("rule A = b(2k)", "E103", 12, "`2k` is not a number", "write 2*k for the product, or 2K for the unit"),
    (
        "rule A = b(2kernel)",
        "E103",
        12,
        "`2kernel` is not a number",
        "write 2*kernel for a product; units are K, M and G, exponents 1e-5",
    ),
    (
        "rule A = b(0x1F)",
        "E103",
        12,
        "`0x1F` is not a number",
        "numbers are written 16, 0.5, 1e-5, 2K, and percentages 40%",
    ),
    (
        "rule A = a @ 20 % | b",
        "E103",
        17,
        "`%` behind a space is the remainder of a division",
        "for a percentage write `20%`, without a space",
    ),
    ("rule A = f(input = 3)", "E104", 12, "`input` is a keyword; arguments can be positional", ""),
    ("def start(x) = relu", "E104", 5, "`start` is a keyword", "choose another name, such as `start_`"),
    ("rule input = relu", "E104", 6, "`input` is a keyword", "choose another name, such as `Input`"),
    ("rule A = (b >> c", "E105", 10, "this `(` is never closed", "add a `)`"),
    (
        "rule A = f(b, [c",
        "E101",
        15,
        "expected a term or a value, found `[`",
        "",
    ),
    (
        "input im[(1, 2",
        "E105",
        10,
        "this `(` is never closed",
        "add a `)`; 2 brackets are open at the end",
    ),
    ("rule A = f(a]", "E105", 13, "`]` does not close `(`", ""),
    ("rule A = b)", "E105", 11, "this `)` closes nothing", "take it out, or open it before"),
    ('import "std', "E105", 8, "this string is not closed on its line", "close it with a quotation mark"),
    (
        "rule A = a if c > 3 >> b",
        "E106",
        21,
        "a guard comes last",
        "put the guarded part in parentheses: `(a if condition) >> b`",
    ),
    ("rule A = a if c @ 3", "E106", 17, "a weight comes before the guard", "write `term @ weight if condition`"),
    (
        "grammar g(p = 18446744073709551616)",
        "E107",
        15,
        "this number has more than 64 bits",
        "numbers are less than 2 ** 64",
    ),
    (
        "ein 2",
        "E108",
        1,
        "version 2 of the language is not known here; this is version 1",
        "write `ein 1`, or install an `ein` that knows the newer version",
    ),
    ("rule foo = relu", "E110", 6, "`foo` is not the name of a rule", "rules are CamelCase: `Foo`"),
    ("op ReLu : t -> t = a", "E110", 4, "`ReLu` cannot be a name here", "only rules are CamelCase; write `re_lu`"),
]


@pytest.mark.parametrize(("text", "code", "column", "message", "help"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_messages(text: str, code: str, column: int, message: str, help: str) -> None:
    source = Source("f.ein", f"ein 1\n{text}\n" if code != "E108" else text)
    line = 1 if code == "E108" else 2
    file, (diagnostic,) = parse(source)
    assert diagnostic.span is not None
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == (code, message, help)
    assert source.position(diagnostic.span.start) == (line, column)
    assert len(file.statements) == line - 1


def test_no_message_names_a_terminal() -> None:
    names = {name for name in [*table.load().patterns, *table.load().signs.values()] if len(name) > 2}
    for text, *_ in MISTAKES:
        words = {word.strip("`,.:;") for d in parse(Source("f", text))[1] for word in f"{d.message} {d.help}".split()}
        assert not words & names


def test_an_unclosed_bracket_is_drawn_with_both_places() -> None:
    _, (diagnostic,) = parse(Source("f.ein", "rule A = f(a,\n  b >> (c)\nrule B = d\n"))
    assert render(diagnostic) == (
        "error[E105]: this `(` is never closed\n"
        " --> f.ein:1:11\n"
        "  |\n"
        "1 | rule A = f(a,\n"
        "  |           ^\n"
        "2 |   b >> (c)\n"
        "  |           - the statement ends here\n"
        "  = help: add a `)`"
    )


def test_twenty_mistakes_make_twenty_reports_and_the_rest_is_kept() -> None:
    mistakes = [text for text, code, *_ in MISTAKES if code not in ("E108",)][:20]
    lines: list[str] = []
    for i, mistake in enumerate(mistakes):
        lines += [f"rule Good{i}", f"  = a >> b{i}", mistake]
    source = Source("f.ein", "\n".join(lines))
    file, diagnostics = parse(source)
    assert len(mistakes) == 20
    assert [source.position(place(d))[0] for d in diagnostics] == [3 * i + 3 for i in range(20)]
    assert [node.name for node in file.statements if isinstance(node, s.RuleDecl)] == [f"Good{i}" for i in range(20)]


def place(diagnostic: Diagnostic) -> int:
    assert isinstance(diagnostic.span, Span)
    return diagnostic.span.start


def test_a_keyword_as_argument_on_a_line_of_its_own_is_one_mistake() -> None:
    source = Source("f", "rule A = f(\n  input = 3,\n  b\n)\nrule B = c")
    file, (diagnostic,) = parse(source)
    assert (diagnostic.code, source.position(place(diagnostic))) == ("E104", (2, 3))
    assert [node.span.text for node in file.statements] == ["rule B = c"]


def test_a_misspelt_keyword_spares_the_statement_before_it() -> None:
    file, (diagnostic,) = parse(Source("f", "rule A = a\nrul B = b\nrule C = c"))
    assert diagnostic.help == "did you mean `rule`?"
    assert [node.span.text for node in file.statements] == ["rule A = a", "rule C = c"]


def test_the_version_stands_first() -> None:
    _, (diagnostic,) = parse(Source("f", "rule A = a\nein 1"))
    assert (diagnostic.code, place(diagnostic)) == ("E108", 11)


def test_reports_are_bounded() -> None:
    _, diagnostics = parse(Source("f", "rule A = )\n" * 500))
    assert len(diagnostics) == 101
    assert (diagnostics[-1].code, diagnostics[-1].severity) == ("E109", "note")


# --- bounds


@pytest.mark.parametrize(
    "text",
    [
        "-" * 500 + "a",
        "not " * 500 + "a",
        "(" * 10_000 + "a" + ")" * 10_000,
        "f(" * 10_000,
        "{(" * 1_000,
        "a" + " + a" * 5_000,
        "a" + " ** a" * 5_000,
        "f" + "()" * 5_000,
        "f" + "[a]" * 5_000,
        "a if b else " * 5_000 + "a",
    ],
    ids=lambda text: text[:8],
)
def test_deep_nesting_is_a_diagnostic(text: str) -> None:
    _, (diagnostic,) = parse(Source("f", f"rule A = {text}"))
    assert diagnostic.code == "E107"


def test_the_deepest_trees_that_are_let_through_can_be_walked() -> None:
    for opener, closer in (("f(", ")"), ("-", ""), ("(b & ", ")"), ("b + f(a = ", ")"), ("{", "}"), ("(a, ", ")")):
        depth = next(n for n in range(MAX_NESTING + 1, 0, -1) if parse_expression(_nested(opener, n, closer))[0])
        assert depth >= MAX_NESTING // 2
        node = parse_expression(_nested(opener, depth, closer))[0]
        assert node == parse_expression(_nested(opener, depth, closer))[0]
        assert hash(node) and repr(node)


def _nested(opener: str, depth: int, closer: str) -> Source:
    return Source("f", opener * depth + "a" + closer * depth)


def test_large_numbers_are_refused_and_the_largest_is_not() -> None:
    assert expression("18446744073709551615") == s.Number("18446744073709551615")
    for text in ("9" * 5_000, "1e400", "9" * 19 + "G", "9" * 400 + "%", "18446744073709551616", "1e300G"):
        assert [d.code for d in parse_expression(Source("f", text))[1]] == ["E107"]


def test_large_files_are_refused() -> None:
    for text in ("é" * 600_000, "#" * (2**20 + 1)):
        assert [d.message for d in parse(Source("f", text))[1]] == ["the file is longer than 1 MB"]
    assert parse(Source("f", "a " * 300_000))[1][0].message == "the file has more than 250,000 words and signs"


@pytest.mark.parametrize(
    "text",
    ["(", "-", "$", '"', '"\n', "rule A = a ", "rule A = a\n", "rule A = )\n", "1", "2k ", "#\n", "a", "rule\n", "\x00",
     "rule A = a\nb\n", "rule A = f(a, a, a, a)\n", "rule A = a | a | a "],
)  # fmt: skip
def test_anything_takes_linear_work(text: str) -> None:
    """Calls are counted and not seconds, so that a busy machine fails nothing."""

    def calls(size: int) -> int:
        count = 0

        def seen(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(seen)
        try:
            parse(Source("f", (text * size)[:size]))
        finally:
            sys.setprofile(None)
        return count

    assert calls(40_000) < 4 * max(calls(10_000), 2_000) * 1.5


# --- anything goes in


TEXTS = [
    path.read_text(encoding="utf-8") for path in sorted(NOTATION.glob("*.ein")) if path.stem not in ("std", "packs")
]
SNIPPETS = [
    *table.load().signs,
    *table.load().words,
    "A",
    "a",
    "1",
    "2k",
    '"',
    ".",
    "_",
    "#",
    "\n",
    "λ",
    "\ud800",
    "\0",
]


def check_total(text: str) -> None:
    source = Source("f", text)
    file, diagnostics = parse(source)
    for diagnostic in diagnostics:
        assert diagnostic.span is not None and 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
        assert render(diagnostic)
    for read in (parse_expression, parse_type, parse_limit):
        node, found = read(source)
        assert (node is None) == bool(found)
    assert bool(file.statements) or bool(diagnostics) or not "".join(t.text for t in tokenize(source)[0])


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    check_total(text)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    check_total(data.decode("utf-8", "surrogateescape"))


@given(st.lists(st.sampled_from(SNIPPETS), max_size=40), st.sampled_from([" ", "\n", ""]))
def test_no_sequence_of_tokens_raises(words: list[str], joint: str) -> None:
    check_total(joint.join(words))


@settings(max_examples=200)
@given(st.sampled_from(TEXTS), st.data())
def test_no_mutation_of_a_file_raises(text: str, data: st.DataObject) -> None:
    tokens, _ = tokenize(Source("f", text))
    words = [text[a.end : b.start] + b.text for a, b in pairwise(tokens)]
    places = st.integers(0, len(words) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        first, second = data.draw(places), data.draw(places)
        match data.draw(st.sampled_from(["swap", "delete", "insert"])):
            case "swap":
                words[first], words[second] = words[second], words[first]
            case "delete":
                words[first] = ""
            case _:
                words.insert(first, " " + data.draw(st.sampled_from(SNIPPETS)))
    check_total("".join(words))


# --- the table


def test_the_shipped_table_is_that_of_the_grammar() -> None:
    assert TABLE.read_text(encoding="utf-8") == table.dumps(table.build()), "run `python -m ein.grammar.notation.table`"


def test_the_grammar_builds_in_strict_mode() -> None:
    pytest.importorskip("interegular", reason="lark's strict mode compares terminals with interegular")
    assert table.build(strict=True)["starts"].keys() == {"file", *table.STARTS}


def test_strict_mode_sees_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("interegular")
    from lark.exceptions import GrammarError

    text = LARK.read_text(encoding="utf-8")
    planted = text.replace("?atom: NUMBER ", '?atom: "(" cond ")"\n     | NUMBER ')
    assert planted != text
    (tmp_path / "ein.lark").write_text(planted, encoding="utf-8")
    monkeypatch.setattr(table, "_GRAMMAR", tmp_path / "ein.lark")
    with pytest.raises(GrammarError, match="conflict"):
        table.build(strict=True)


def test_every_production_has_its_action_and_every_action_its_production() -> None:
    assert {rule.action for rule in table.load().rules if rule.action} == set(ACTIONS)


def test_the_words_of_the_language_are_reserved() -> None:
    statements = "ein grammar import type op def rule arch input output limit start derivation"
    others = "where param as for let in by each if and or not tied live true false buffer draw scan repeat over else"
    assert set(table.load().words) == {*statements.split(), *others.split()}


def test_parsing_needs_no_lark() -> None:
    code = "import sys, ein.grammar.notation.printer as p; p.parse(p.Source('f', 'rule A = a'))"
    code += "; print('lark' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_the_table_is_plain_json() -> None:
    data = json.loads(TABLE.read_text(encoding="utf-8"))
    assert table.from_json(data).rows == table.load().rows
