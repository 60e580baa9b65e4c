"""What a picture of a derivation tree shows."""

import re

from ein.compiler.draw_derivation import derivation_picture
from ein.compiler.draw_dot import Picture
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import NOWHERE, Source
from ein.grammar.term import Named, Op, Series, TypedTerm, walk

SPACE = """ein 1
grammar space
import std
input im[4, 8, 8]
rule Net = Body >> (relu | norm @ 3)
rule Body = clone(2) >> (Leaf >> norm & Leaf) >> add @ 20% | split(2, 1) >> Leaf ^ 2 >> concat(1)
rule Leaf = relu | linear(out in {8, 16}) @ each
"""


def sample(index: int) -> Derivation:
    return Sampler.of(load_grammar(Source("space.ein", SPACE))).draw(1, index)


def arch(text: str) -> TypedTerm:
    return architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}")), "net").term


def labels(picture: Picture) -> list[str]:
    """The first line of each node's label, in the order of the nodes."""
    found = re.findall(r"^ *n\d+ \[label=<(?:<table[^>]*><tr><td>)?<b>(.*?)</b>", picture.dot, re.M)
    return [text.replace("&gt;", ">").replace("&amp;", "&") for text in found]


def edges(picture: Picture) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in re.findall(r"^ *n(\d+) -> n(\d+)$", picture.dot, re.M)]


def test_the_tree_is_the_one_of_the_choices() -> None:
    for index in range(30):
        derivation = sample(index)
        picture = derivation_picture(derivation.term)
        rules = [node for node in walk(derivation.term) if isinstance(node, Named)]
        operators = [node for node in walk(derivation.term) if isinstance(node, Op)]
        shown = labels(picture)
        assert len(edges(picture)) == len(shown) - 1, "every node but the root has one parent"
        assert sorted(child for _, child in edges(picture)) == list(range(1, len(shown)))
        assert sum(name in ("Net", "Body", "Leaf", "( | )") for name in shown) == len(rules)
        leaves = set(range(len(shown))) - {parent for parent, _ in edges(picture)}
        assert [shown[i] for i in sorted(leaves)] == [op.application.text for op in operators]


def test_joints_and_order() -> None:
    derivation = next(d for d in map(sample, range(99)) if "clone" in d.text)
    picture = derivation_picture(derivation.term)
    shown = [re.sub(r"linear\(\d+\)", "relu", name) for name in labels(picture)]
    assert shown[:4] == ["Net", "Body", "clone(2)", "&"]
    assert shown[4:11] == [">>", "Leaf", "relu", "norm", "Leaf", "relu", "add"]
    copies = next(d for d in map(sample, range(99)) if "split" in d.text)
    assert labels(derivation_picture(copies.term))[2:5] == ["split(2, 1)", "^ 2", "Leaf"]


def test_probabilities_stand_at_the_choices() -> None:
    derivation = next(d for d in map(sample, range(99)) if "clone" in d.text)
    dot = derivation_picture(derivation.term).dot
    body = next(line for line in dot.splitlines() if "<b>Body</b>" in line)
    net = next(line for line in dot.splitlines() if "<b>Net</b>" in line)
    group = next(line for line in dot.splitlines() if "<b>( | )</b>" in line)
    leaf = next(line for line in dot.splitlines() if "<b>Leaf</b>" in line)
    assert "p = 0.2<" in body and "p = 0.333<" in leaf
    assert "p = 0.75<" in group or "p = 0.25<" in group
    assert "p = " not in net, "there was nothing to choose"
    assert f"log10 p = {derivation.log10_probability:.2f}" in dot


def test_types_stand_at_the_nodes() -> None:
    dot = derivation_picture(arch("arch net : im[3, 8, 8] -> vec[5] = relu >> head(5)")).dot
    relu = next(line for line in dot.splitlines() if "<b>relu</b>" in line)
    head = next(line for line in dot.splitlines() if "<b>head</b>" in line)
    assert ">im 3 x 8 x 8<" in relu
    assert ">im 3 x 8 x 8 -&gt; vec 5<" in head


def test_copies_in_a_row_are_drawn_once() -> None:
    picture = derivation_picture(arch("input im[3, 8, 8]\narch net = tied (relu >> norm) * 5 >> conv(8) * 2"))
    assert labels(picture) == ["arch net", "tied * 5", "relu", "norm", "* 2", "conv(8)"]
    assert edges(picture) == [(0, 1), (1, 2), (1, 3), (0, 4), (4, 5)]


def test_macros_are_told_from_rules() -> None:
    term = arch("def twice = relu >> relu\nrule R = twice >> norm\ninput im[3, 8, 8]\narch net = R")
    lines = {
        name: line for line in derivation_picture(term).dot.splitlines() for name in re.findall("<b>(.*?)</b>", line)
    }
    assert "dashed" in lines["twice"] and "dashed" not in lines["R"]


def test_wide_trees_grow_to_the_right() -> None:
    wide = arch(f"input im[3, 8, 8]\narch net = {' >> '.join(['relu'] * 9)}")
    assert 'rankdir="LR"' in derivation_picture(wide).dot
    assert 'rankdir="TB"' in derivation_picture(wide, direction="TB").dot
    assert 'rankdir="TB"' in derivation_picture(sample(0).term).dot


def test_depth_is_no_limit() -> None:
    term = arch("input im[3, 8, 8]\narch net = relu")
    for i in range(5000):
        body = Series((term,), term.input, term.output)
        term = Named(f"R{i}", body, body.input, body.output, NOWHERE, choice=(0, ()), probability=0.5)
    picture = derivation_picture(term)
    assert len(labels(picture)) == 5002
    assert picture.summary == "A derivation tree: 5001 uses of rules, 1 operators."
