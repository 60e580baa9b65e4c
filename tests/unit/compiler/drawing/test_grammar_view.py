"""What a diagram of a grammar shows: every rule it comes to, alternatives with their chances, who names whom."""

import re
from math import inf

import pytest

from ein.compiler.drawing.grammar_view import MOST, grammar_scene
from ein.compiler.drawing.rule_chances import grown
from ein.compiler.drawing.rule_texts import LONGEST, row_text
from ein.compiler.drawing.scene import Box, Look, Scene, boxes
from ein.grammar import cfg
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.load import library_names, library_source
from ein.grammar.notation.parser import parse_expression
from ein.grammar.term import Named, walk

HEAD = "ein 1\ngrammar g(p = 20%)\nimport std\ninput im[4, 8, 8]\noutput vec[5]\n"


def grammar_of(rules: str) -> cfg.Grammar:
    return load_grammar(Source("g.ein", HEAD + rules))


LIBRARY = [name for name in library_names() if "\nrule " in library_source(name).text]


def named(scene: Scene) -> dict[str, Box]:
    """Boxes by the name of the rule or macro, without parameters."""
    return {box.name.partition("(")[0]: box for box in boxes(scene.items)}


def links(scene: Scene) -> list[tuple[str, int | None, str, str]]:
    names = {box.id: box.name.partition("(")[0] for box in boxes(scene.items)}
    return [(names[wire.source], wire.row, names[wire.target], wire.text) for wire in scene.wires]


def mentioned(grammar: cfg.Grammar, name: str) -> set[str]:
    """The rules with a name that a rule comes to directly."""
    found: set[str] = set()
    stack: list[cfg.Term] = [alternative.body for alternative in grammar.rules[name].alternatives]
    while stack:
        term = stack.pop()
        stack += cfg.parts(term)
        if isinstance(term, cfg.RuleUse):
            inner = grammar.rules[term.rule]
            found |= mentioned(grammar, term.rule) if inner.anonymous else {term.rule}
    return found


def reachable(grammar: cfg.Grammar) -> set[str]:
    assert grammar.start is not None
    found = {grammar.start}
    stack = [grammar.start]
    while stack:
        new = mentioned(grammar, stack.pop()) - found
        found |= new
        stack += new
    return found


def test_the_library_is_known() -> None:
    assert {"einspace", "hnb201", "darts", "sequence"} <= set(LIBRARY)


@pytest.mark.parametrize("name", LIBRARY)
def test_laws(name: str) -> None:
    grammar = load_grammar(name)
    scene = grammar_scene(grammar)
    shown = list(boxes(scene.items))
    ids = [box.id for box in shown]
    assert len(set(ids)) == len(ids) and all(id.isascii() and id.isalnum() for id in ids)
    rules = [box for box in shown if box.look is Look.RULE]
    assert sorted(box.name.partition("(")[0] for box in rules) == sorted(reachable(grammar))
    assert rules[0].name == grammar.start and "start" in rules[0].notes
    assert not any("start" in box.notes for box in shown[1:])
    for box in rules:
        assert sum(row.share for row in box.rows) == pytest.approx(1)
        assert len(box.rows) == len(grammar.rules[box.name.partition("(")[0]].alternatives)
        assert all(bool(row.weight) == (len(box.rows) > 1) for row in box.rows)
    assert all(
        len(row.text) <= LONGEST + len(" · recurs x 9") and "\n" not in row.text for b in shown for row in b.rows
    )
    by_id = {box.id: box for box in shown}
    for wire in scene.wires:
        assert wire.target in by_id and wire.source != wire.target
        assert wire.row is not None and 0 <= wire.row < len(by_id[wire.source].rows)
    assert len({(wire.source, wire.row, wire.target) for wire in scene.wires}) == len(scene.wires)
    targets = {wire.target for wire in scene.wires}
    assert targets | {shown[0].id} == set(ids), "every other box is named by one"


@pytest.mark.parametrize("name", LIBRARY)
def test_every_use_is_a_wire_or_a_mark(name: str) -> None:
    """By way of the macros in between."""
    grammar = load_grammar(name)
    scene = grammar_scene(grammar)
    found = named(scene)
    macros = {box.name.partition("(")[0] for box in found.values() if box.look is Look.MACRO}
    wires = {(source, target) for source, _, target, _ in links(scene)}
    for rule in reachable(grammar):
        direct = {target for source, target in wires if source == rule}
        through = {target for source, target in wires if source in macros}
        itself = {rule} if any("· recurs" in row.text for row in found[rule].rows) else set()
        assert mentioned(grammar, rule) <= direct | through | itself
        assert (rule in mentioned(grammar, rule)) == bool(itself)


def test_einspace() -> None:
    scene = grammar_scene(load_grammar("einspace"))
    assert scene.title == "einspace(p = 32%, classes = 10)"
    limits = "modules <= 500, depth <= 100, params <= 50M, macs <= 2G, elements <= 16M"
    assert scene.subtitle == f"im 3 x 32 x 32 -> vec 10 · {limits}"
    assert scene.summary == "A grammar: 10 rules with 30 alternatives, from Net."
    found = named(scene)
    assert [(row.weight, row.text) for row in found["M"].rows] == [
        ("32%", "C"),
        ("22.7%", "M >> M · recurs x 2"),
        ("22.7%", "Fork"),
        ("22.7%", "Route"),
    ]
    assert found["Inner"].name == "Inner(b)"
    assert [row.text for row in found["Inner"].rows] == ["M & M if b == 2", "M ^ b if b > 2"]
    assert found["C"].rows[1].text == "linear(out in {16..2048 by *2}) @ each"
    assert found["C"].rows[1].share == pytest.approx(8 / 13)
    assert ("Inner", 0, "M", "x 2") in links(scene) and ("Inner", 1, "M", "") in links(scene)
    assert ("25%", "for b in {2, 4, 8} : clone(b) >> Inner(b) >> Join(b) @ each") in found["Fork"].facts
    assert ("place", "einspace:36:1") in found["Inner"].facts
    assert ("expected modules", "no mean") in found["Net"].facts


def test_macros_are_boxes_and_those_of_std_are_text() -> None:
    scene = grammar_scene(
        grammar_of(
            "rule Net = wrap(Leaf, Leaf) >> twice(wrap(relu, Leaf)) >> head(5)\n"
            "rule Leaf : im[c, h, w] -> im[c, h, w] = relu | residual(Other)\n"
            "rule Other = norm\n"
            "def wrap(a, b) = a >> b >> both\n"
            "def twice(f) : im[c, h, w] -> im[c, h, w] = f >> f\n"
            "def both = (norm | Other)\n"
            "def same(f) = f\n"
        )
    )
    assert [(box.name, box.look) for box in boxes(scene.items)] == [
        ("Net", Look.RULE),
        ("Leaf", Look.RULE),
        ("Other", Look.RULE),
        ("wrap(a, b)", Look.MACRO),
        ("both", Look.MACRO),
        ("twice(f)", Look.MACRO),
    ]
    assert links(scene) == [
        ("Net", 0, "wrap", "x 2"),
        ("Net", 0, "Leaf", "x 3"),
        ("Net", 0, "twice", ""),
        ("Leaf", 1, "Other", ""),
        ("wrap", 0, "both", ""),
        ("both", 0, "Other", ""),
    ]
    assert named(scene)["twice"].notes == ("im[c, h, w] -> im[c, h, w]",)
    assert named(scene)["Leaf"].rows[1].text == "residual(Other)"


def test_a_rule_is_named_by_the_text_that_it_stands_in() -> None:
    """And not by the macro that it is handed to, there or further on."""
    scene = grammar_scene(
        grammar_of(
            "rule Net = outer(A) >> head(5)\nrule A = relu\nrule B = norm\n"
            "def outer(f) = inner(B) >> inner(f)\ndef inner(g) = g >> residual(g)\n"
        )
    )
    assert links(scene) == [
        ("Net", 0, "outer", ""),
        ("Net", 0, "A", ""),
        ("outer", 0, "inner", "x 2"),
        ("outer", 0, "B", ""),
    ]


def test_an_imported_macro_is_shown_with_its_place() -> None:
    box = named(grammar_scene(load_grammar("hnb201")))["res_block"]
    assert box.look is Look.MACRO
    assert dict(box.facts)["place"].startswith("nb201:")


def test_shares_of_weights_percentages_and_values() -> None:
    scene = grammar_scene(
        grammar_of(
            "rule Net = A >> head(5)\n"
            "rule A = relu @ p | norm @ 3 | linear(out in {8, 16 @ 3}) | softmax @ each\n"
            "  | for k in {1, 2, 3} : relu * k @ k if k > 1\n"
        )
    )
    rows = named(scene)["A"].rows
    plain = 3 + 1 + 1 + 5
    assert [row.share for row in rows] == pytest.approx([0.2, *(0.8 * each / plain for each in (3, 1, 1, 5))])
    assert rows[0].text == "relu" and rows[1].text == "norm"
    assert rows[3].text == "softmax @ each" and rows[4].text == "for k in {1, 2, 3} : relu * k if k > 1"


def test_shares_of_a_rule_with_parameters_are_those_of_its_uses() -> None:
    """`A(1)` is used three times as often as `A(2)`; `B` is what both of them have."""
    grammar = grammar_of(
        "rule Net = A(1) >> A(1) >> A(1) >> A(2) >> head(5)\n"
        "rule A(n) = relu if n == 1 | norm | softmax @ 2 if n == 2\n"
    )
    box = named(grammar_scene(grammar))["A"]
    assert [row.share for row in box.rows] == pytest.approx([3 / 8, 3 / 8 + 1 / 12, 1 / 6])
    assert ("expected uses", "4") in box.facts
    assert box.facts[-2:] == (("A(1)", "50%, 50%, 0%"), ("A(2)", "0%, 33.3%, 66.7%"))


@pytest.mark.parametrize("name", ["sequence", "hybrid", "tabular"])
def test_expected_uses_are_those_of_draws(name: str) -> None:
    """Within five standard errors of the mean of 100 draws with a fixed seed, and a slack for what limits refuse."""
    grammar = load_grammar(name)
    scene = grammar_scene(grammar)
    rules = [box.name for box in boxes(scene.items) if box.look is Look.RULE]
    found = grown(grammar, rules)
    counts = {rule: [] for rule in rules}  # type: dict[str, list[int]]
    for derivation in Sampler.of(grammar).samples(100, 0):
        used = [node.name for node in walk(derivation.term) if isinstance(node, Named) and not node.macro]
        for rule in rules:
            counts[rule].append(used.count(rule))
    for rule, seen in counts.items():
        mean = sum(seen) / len(seen)
        error = (sum((each - mean) ** 2 for each in seen) / len(seen) ** 2) ** 0.5
        assert abs(mean - found.rules[rule].uses) <= 5 * error + 0.1 * mean, rule


def test_a_grammar_that_grows_without_end_has_no_mean() -> None:
    grammar = grammar_of(
        "rule Net = A >> head(5)\nrule A = A >> A @ 2 | B(1)\nrule B(n) = relu | norm if n > 1\nlimit modules <= 50\n"
    )
    found = grown(grammar, ["Net", "A", "B"])
    assert (found.rules["A"].uses, found.rules["Net"].uses) == (inf, 1)
    assert found.rules["B"].shares == (1, 0)
    box = named(grammar_scene(grammar))["A"]
    assert dict(box.facts)["expected uses"] == "no mean"
    assert box.hover == "rule A · expected uses: no mean · g.ein:7:1"


def test_a_rule_that_is_never_drawn_has_the_weights_of_the_text() -> None:
    grammar = grammar_of("rule Net = A(1) >> head(5)\nrule A(n) = relu | B if n > 1\nrule B = relu @ 25% | norm\n")
    assert [row.share for row in named(grammar_scene(grammar))["B"].rows] == [0.25, 0.75]


def test_many_macros_are_left_out_and_that_is_said() -> None:
    def scene(count: int, twice: int) -> Scene:
        macros = "".join(f"def m{i} = relu >> A\n" for i in range(count))
        used = " >> ".join([*(f"m{i}" for i in range(count)), *(f"m{i}" for i in range(twice))])
        return grammar_scene(grammar_of(f"rule Net = {used} >> head(5)\nrule A = norm | relu\n{macros}"))

    assert scene(MOST - 2, 0).subtitle.endswith("vec 5")
    few = scene(MOST, 3)
    assert few.subtitle.endswith("macros used once are left out")
    assert [box.name for box in boxes(few.items)] == ["Net", "A", "m0", "m1", "m2"]
    assert ("Net", 0, "A", f"x {MOST - 3}") in links(few), "what they name counts for the rule"
    none = scene(MOST, MOST)
    assert none.subtitle.endswith("macros are left out") and len(none.items) == 2


def test_the_direction_suits_the_size() -> None:
    assert grammar_scene(load_grammar("einspace")).direction == "LR"
    assert grammar_scene(load_grammar("darts")).direction == "TB"
    assert grammar_scene(load_grammar("darts"), "A title", "LR").direction == "LR"
    assert grammar_scene(load_grammar("darts"), "A title", "LR").title == "A title"


def test_a_file_without_rules_is_refused() -> None:
    with pytest.raises(EinError, match="has no rules to draw from"):
        grammar_scene(load_grammar(Source("g.ein", "ein 1\nimport std\ndef f = relu\n")))


def row(text: str, longest: int = LONGEST) -> str:
    """Of the alternative `text`."""
    node, found = parse_expression(Source("row", text))
    assert node is not None and not found
    return row_text(node, longest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relu @ 32%", "relu"),
        ("relu @ each if a > 1", "relu @ each if a > 1"),
        ("(relu | norm @ 3) >> relu", "(relu | norm @ 3) >> relu"),
        ("first >> second >> third >> fourth >> last", "first >> second >> … >> last"),
        ("a(bbbbbbbbbbbbbbb, cccccccccccccccccc) >> d", "a(bbbbbbbbbbbbbbb, … >> d"),
        ("for k in {1, 2} : aaaa >> bbbb >> cccc >> dddd if k > 1", "for… : aaaa >> bbbb … if k > 1"),
    ],
)
def test_long_alternatives_are_cut_in_the_middle(text: str, expected: str) -> None:
    assert row(text, 30) == expected
    assert len(expected) <= 30


def test_a_cut_row_keeps_binders_weight_and_guard() -> None:
    chain = " >> ".join(["conv(64, k = 3)"] * 9)
    shown = row(f"for k in {{1, 3}}, b in {{2, 4}} : {chain} @ each if k < b")
    assert re.fullmatch(r"for k in \{1, 3\}, b in \{2, 4\} : conv.* … >> conv\(64, k = 3\) @ each if k < b", shown)
    assert len(shown) <= LONGEST
