"""The printer: `parse(print(t)) == t` for every tree, and what the formatter does with layout and comments."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.diagnostics import EinError, Source, render_all
from ein.grammar.notation import syntax as s
from ein.grammar.notation.lexer import tokenize
from ein.grammar.notation.parser import parse, parse_expression, parse_type
from ein.grammar.notation.printer import WIDTH, format_source, print_expression, print_file, print_statement, print_type

# --- trees of every kind of node

names = st.sampled_from(["a", "b", "x1", "long_name", "average_pooling_of_everything", "inf", "of"])
camels = st.sampled_from(["A", "Cell", "ResidualBlockOfTheLargestKind"])
strings = st.text(st.characters(exclude_characters='"\n', exclude_categories=["Cs"]), max_size=5)
numbers = st.builds(s.Number, st.sampled_from(["0", "16", "0.5", "1e-5", "2K", "18446744073709551615"]))
percents = st.builds(s.Percent, st.sampled_from(["32%", "0.5%"]))
dotted = st.builds(s.Dotted, st.sampled_from(["nn.Linear", "F.max_pool2d"]))
atoms = st.one_of(
    numbers,
    percents,
    dotted,
    st.builds(s.String, strings),
    st.builds(s.Boolean, st.booleans()),
    st.builds(s.Name, names),
    st.builds(s.Camel, camels),
)


def tuples(element: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(element, min_size=least, max_size=least + 2).map(tuple)


def optional(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | element


def axes_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return tuples(st.builds(s.Axis, inner, optional(names)) | st.builds(s.Axis, st.builds(s.Star, inner)))


def arguments_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(s.Argument, inner, optional(names)) | st.builds(s.Argument, inner, names, st.just(True))


def items_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(s.Item, inner, weight=optional(inner)),
        st.builds(s.Item, inner, inner, weight=optional(inner)),
        st.builds(s.Item, inner, inner, inner, st.booleans(), optional(inner)),
    )


def alternatives_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bindings = st.builds(s.Binding, tuples(names), inner)
    binders = st.builds(s.ForBinder, tuples(st.tuples(names, inner))) | st.builds(s.LetBinder, tuples(bindings))
    weights = optional(inner | st.builds(s.Each))
    return st.one_of(
        st.builds(s.Alternative, inner, tuples(binders), weights, optional(inner)),
        st.builds(s.Alternative, inner, tuples(binders, 0), weights, inner, optional(inner)),
        st.builds(s.Alternative, inner, weight=inner | st.builds(s.Each)),
    )


def compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    binary = ["+", "-", "*", "/", "//", "%", "^", "**", "<=", ">=", "==", "!=", "<", ">", "and", "or"]
    return st.one_of(
        st.builds(s.Call, inner, tuples(arguments_of(inner), 0)),
        st.builds(s.Call, st.just(s.Name("where")), tuples(arguments_of(inner))),
        st.builds(s.Index, inner, axes_of(inner)),
        st.builds(s.Layout, inner, axes_of(inner)),
        st.builds(s.Group, tuples(arguments_of(inner), 2)),
        st.builds(s.ChoiceSet, tuples(items_of(inner))),
        st.builds(s.Unary, st.sampled_from(["-", "not", "tied"]), inner),
        st.builds(s.Binary, st.sampled_from(binary), inner, inner),
        st.builds(s.Sequence, tuples(inner, 2)),
        st.builds(s.Branches, tuples(inner, 2)),
        st.builds(s.Alternatives, tuples(inner, 2)),
        alternatives_of(inner),
    )


expressions = st.recursive(atoms, compounds, max_leaves=12)
small = st.recursive(atoms, compounds, max_leaves=4)

dims = st.one_of(small, st.builds(s.Star, small), st.builds(s.EachDim, names), st.builds(s.Blank))
simple_types = st.one_of(st.builds(s.KindType, names, tuples(dims)), st.builds(s.TypeName, names), st.builds(s.Blank))
atomic_types = st.recursive(
    simple_types,
    lambda inner: st.builds(
        s.BundleType, tuples(st.builds(s.Member, inner | st.builds(s.PowerType, inner, small), optional(names)))
    ),
    max_leaves=5,
)
types = atomic_types | st.builds(s.PowerType, atomic_types, small)

parameters = tuples(st.builds(s.Parameter, names, optional(names), optional(small)), 0)
goals = st.one_of(
    st.none(), st.builds(s.Goal, types), st.builds(s.Goal, types, types), st.builds(s.Goal, types, types, st.just(True))
)
weights = st.builds(s.Weight, names, optional(axes_of(small)), st.booleans(), small, optional(names))
steps = tuples(st.builds(s.Assignment, tuples(names), small, st.booleans()))
lines = st.one_of(
    st.builds(s.WeightLine, st.sampled_from(["param", "buffer", "draw"]), tuples(weights)),
    st.builds(s.Assignment, tuples(names), small),
    st.builds(s.Scan, tuples(st.builds(s.State, names, axes_of(small), small)), names, steps),
    st.builds(s.Repeat, names, small, small, steps),
)
statements = st.one_of(
    st.builds(s.GrammarDecl, names, parameters),
    st.builds(s.Import, names, names=tuples(st.builds(s.Alias, names | camels, optional(names | camels)), 0)),
    st.builds(s.Import, strings, st.just(True)),
    st.builds(s.TypeDecl, names, tuples(names), optional(names)),
    st.builds(s.OpDecl, names, parameters, types, types, tuples(small, 0), tuples(lines, 0), optional(expressions)),
    st.builds(s.MacroDecl, names, parameters, goals, expressions),
    st.builds(s.RuleDecl, camels, parameters, goals, expressions),
    st.builds(s.ArchDecl, names, st.none(), st.none(), expressions) | st.builds(s.ArchDecl, names, types, types, small),
    st.builds(s.InputDecl, types),
    st.builds(s.OutputDecl, types),
    st.builds(s.LimitDecl, tuples(st.builds(s.Bound, names, small))),
    st.builds(s.StartDecl, camels),
    st.builds(s.DerivationDecl, strings, tuples(arguments_of(small), 0), strings, strings),
)
files = st.builds(
    lambda version, rest: s.File((*version, *rest)), tuples(st.just(s.Version("1")), 0).map(lambda t: t[:1]),
    st.lists(statements, max_size=4),
)  # fmt: skip


@settings(max_examples=300)
@given(expressions)
def test_an_expression_is_what_its_text_says(node: s.Expr) -> None:
    text = print_expression(node)
    again, diagnostics = parse_expression(Source("printed", text))
    assert not diagnostics, render_all(diagnostics)
    assert again == node
    assert "\n" not in text


@given(types)
def test_a_type_is_what_its_text_says(node: s.Type) -> None:
    text = print_type(node)
    again, diagnostics = parse_type(Source("printed", text))
    assert not diagnostics, render_all(diagnostics)
    assert again == node
    assert "\n" not in text


@settings(max_examples=150)
@given(files)
def test_a_file_is_what_its_text_says(file: s.File) -> None:
    text = print_file(file)
    again, diagnostics = parse(Source("printed", text))
    assert not diagnostics, render_all(diagnostics)
    assert again == file
    assert format_source(again.source) == text
    assert all(line == line.rstrip() for line in text.split("\n"))


@settings(max_examples=150)
@given(files, st.data())
def test_comments_stay_and_formatting_is_idempotent(file: s.File, data: st.DataObject) -> None:
    source = Source("commented", _with_comments(print_file(file), data))
    text = format_source(source)
    again, diagnostics = parse(Source("formatted", text))
    assert not diagnostics, render_all(diagnostics)
    assert again == file
    assert [comment.text for comment in again.comments] == [comment.text for comment in parse(source)[0].comments]
    assert format_source(again.source) == text


def _with_comments(text: str, data: st.DataObject) -> str:
    """The text with comments and parentheses that mean nothing strewn in."""
    tokens, _ = tokenize(Source("", text))
    out = ""
    end = 0
    for token in tokens:
        out += text[end : token.start]
        for i in range(data.draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2]))):
            out += data.draw(st.sampled_from([f"# c{i}\n", f"\n  # c{i}\n\n", f" #{i}\r\n\n\n"]))
        grouped = token.kind in ("NUMBER", "DOTTED", "TRUE") and data.draw(st.booleans())
        out += f"({token.text} # g\n)" if grouped and _may_be_grouped(text, token.start) else token.text
        end = token.end
    return out


def _may_be_grouped(text: str, start: int) -> bool:
    return not text[:start].endswith(("^ ", "ein "))


# --- parentheses where precedence needs them


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((a) >> (b)) & (c)", "a >> b & c"),
        ("a >> (b & c)", "a >> (b & c)"),
        ("(a >> b) >> c", "(a >> b) >> c"),
        ("(a + b) + c", "a + b + c"),
        ("a + (b + c)", "a + (b + c)"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a * b) / c", "a * b / c"),
        ("M ^ 2 * k".replace("M", "a"), "(a ^ 2) * k"),
        ("a * 2 ^ k", "(a * 2) ^ k"),
        ("a ^ 2 ^ 3", "a ^ 2 ^ 3"),
        ("(a ** b) ** c", "(a ** b) ** c"),
        ("a ** (b ** c)", "a ** b ** c"),
        ("(-a) ** b", "(-a) ** b"),
        ("-(a ** b)", "-a ** b"),
        ("-(a * b)", "-(a * b)"),
        ("(-a) * b", "-a * b"),
        ("(tied a) ^ n", "tied a ^ n"),
        ("tied (a ^ n)", "tied (a ^ n)"),
        ("not (a and b)", "not (a and b)"),
        ("(not a) and b", "not a and b"),
        ("(a < b) == c", "(a < b) == c"),
        ("(a or b) and c", "(a or b) and c"),
        ("a + (b if c else d)", "a + (b if c else d)"),
        ("(a if b else (c if d else e))", "a if b else c if d else e"),
        ("(a if b else c) if d else e", "(a if b else c) if d else e"),
        ("a if b else (c if d)", "a if b else (c if d)"),
        ("(a | b) | c", "(a | b) | c"),
        ("(a @ 2) | b", "a @ 2 | b"),
        ("(a @ 2) @ 3", "(a @ 2) @ 3"),
        ("(a -> [b]) + c", "(a -> [b]) + c"),
        ("(20%)(a)", "(20%)(a)"),
        ("a @ 20 % (b)", "a @ 20 % b"),
        ("f(a=1,b  in{1 .. 8 by * 2@3})", "f(a = 1, b in {1..8 by *2 @ 3})"),
        ("for a in {b} : (let c = d : e)", "for a in {b} : (let c = d : e)"),
    ],
)
def test_parentheses(text: str, printed: str) -> None:
    node, diagnostics = parse_expression(Source("term", text))
    assert node is not None, diagnostics
    assert print_expression(node) == printed


# --- layout


def test_a_short_rule_stays_on_its_line_and_a_long_one_has_a_line_for_each_alternative() -> None:
    short = "rule Norm = batch_norm | instance_norm | layer_norm"
    assert format_source(Source("f", short.replace(" | ", "\n  | "))) == short + "\n"
    long = "rule Norm = " + " | ".join(f"normalisation_number_{i}" for i in range(4))
    assert format_source(Source("f", long)) == (
        "rule Norm\n"
        "  = normalisation_number_0\n"
        "  | normalisation_number_1\n"
        "  | normalisation_number_2\n"
        "  | normalisation_number_3\n"
    )


def test_the_lines_of_an_operator_stand_on_their_own() -> None:
    text = (
        "op ema(n=2):seq[l,d]->seq[l,d] where d>1,l>1 param alpha[d]=0 let g=sigmoid(alpha) "
        "scan h[d]=0 over l{h=g*x+(1-g)*h} repeat i in 1 .. n{let a=h a=a+1}=h"
    )
    assert format_source(Source("f", text)) == (
        "op ema(n = 2) : seq[l, d] -> seq[l, d]\n"
        "  where d > 1, l > 1\n"
        "  param alpha[d] = 0\n"
        "  let g = sigmoid(alpha)\n"
        "  scan h[d] = 0 over l { h = g * x + (1 - g) * h }\n"
        "  repeat i in 1..n {\n"
        "    let a = h\n"
        "    a = a + 1\n"
        "  }\n"
        "  = h\n"
    )


def test_long_terms_are_broken_before_their_operators() -> None:
    term = " >> ".join(f"convolution({i}, k = 3)" for i in range(5))
    assert format_source(Source("f", f"arch main = clone(2) >> ({term} & identity) >> add")) == (
        "arch main\n"
        "  = clone(2)\n"
        "    >> (convolution(0, k = 3)\n"
        "          >> convolution(1, k = 3)\n"
        "          >> convolution(2, k = 3)\n"
        "          >> convolution(3, k = 3)\n"
        "          >> convolution(4, k = 3)\n"
        "        & identity)\n"
        "    >> add\n"
    )


def test_blank_lines_of_the_author_are_kept_one_at_most() -> None:
    text = "\n\nein 1\n\n\n\nimport std\n# about\n\nrule A = a\nrule B = b\n\n# end\n\n"
    assert format_source(Source("f", text)) == ("ein 1\n\nimport std\n# about\n\nrule A = a\nrule B = b\n\n# end\n")


def test_an_empty_file_stays_empty_and_a_byte_order_mark_goes() -> None:
    assert format_source(Source("f", " \n\n")) == ""
    assert format_source(Source("f", "\ufeff# c\r\nein 1\r\n")) == "# c\nein 1\n"


def test_statements_are_printed_in_lines_of_a_hundred_columns() -> None:
    file, _ = parse(Source("f", f"limit {', '.join(f'bound_{i} <= {i}' for i in range(20))}"))
    shown = print_statement(file.statements[0])
    assert len(shown.split("\n")) == 20
    assert max(map(len, shown.split("\n"))) <= WIDTH


def test_a_file_with_mistakes_is_not_formatted() -> None:
    with pytest.raises(EinError) as caught:
        format_source(Source("f.ein", "rule A = )\nrule B = b\nrule C = )"))
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["E105", "E105"]


def test_comments_set_in_stay_with_the_statement_above_them() -> None:
    """A commented-out alternative is no heading of the next rule; what stands at the margin or apart is."""
    text = "rule A\n  = relu  # x\n  # | silu @ 2\n    # more\n# of B\nrule B = gelu\n\n  # apart\n"
    wanted = "rule A = relu  # x\n  # | silu @ 2\n  # more\n# of B\nrule B = gelu\n\n# apart\n"
    assert format_source(Source("f.ein", text)) == wanted
    assert format_source(Source("f.ein", wanted)) == wanted
