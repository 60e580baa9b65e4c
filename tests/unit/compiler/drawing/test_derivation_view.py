"""What a picture of a derivation tree shows."""

import re

from ein.compiler.drawing.derivation_view import derivation_scene
from ein.compiler.drawing.scene import Box, Look, Scene, boxes
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


def labels(scene: Scene) -> list[str]:
    """The names of the boxes, in their order."""
    return [box.name for box in boxes(scene.items)]


def edges(scene: Scene) -> list[tuple[int, int]]:
    return [(int(wire.source[1:]), int(wire.target[1:])) for wire in scene.wires]


def box(scene: Scene, name: str) -> Box:
    return next(each for each in boxes(scene.items) if each.name == name)


def test_the_tree_is_the_one_of_the_choices() -> None:
    for index in range(30):
        derivation = sample(index)
        scene = derivation_scene(derivation.term)
        rules = [node for node in walk(derivation.term) if isinstance(node, Named)]
        operators = [node for node in walk(derivation.term) if isinstance(node, Op)]
        shown = labels(scene)
        assert len(edges(scene)) == len(shown) - 1, "every node but the root has one parent"
        assert sorted(child for _, child in edges(scene)) == list(range(1, len(shown)))
        assert sum(name in ("Net", "Body", "Leaf", "( | )") for name in shown) == len(rules)
        leaves = set(range(len(shown))) - {parent for parent, _ in edges(scene)}
        assert [shown[i] for i in sorted(leaves)] == [op.application.text for op in operators]


def test_joints_and_order() -> None:
    derivation = next(d for d in map(sample, range(99)) if "clone" in d.text)
    scene = derivation_scene(derivation.term)
    shown = [re.sub(r"linear\(\d+\)", "relu", name) for name in labels(scene)]
    assert shown[:4] == ["Net", "Body", "clone(2)", "&"]
    assert shown[4:11] == [">>", "Leaf", "relu", "norm", "Leaf", "relu", "add"]
    copies = next(d for d in map(sample, range(99)) if "split" in d.text)
    assert labels(derivation_scene(copies.term))[2:5] == ["split(2, 1)", "^ 2", "Leaf"]


def test_probabilities_stand_at_the_choices() -> None:
    derivation = next(d for d in map(sample, range(99)) if "clone" in d.text)
    scene = derivation_scene(derivation.term)
    assert "p = 0.2" in box(scene, "Body").notes and "p = 0.333" in box(scene, "Leaf").notes
    assert {"p = 0.75", "p = 0.25"} & set(box(scene, "( | )").notes)
    assert not any("p = " in note for note in box(scene, "Net").notes), "there was nothing to choose"
    assert f"log10 p = {derivation.log10_probability:.2f}" in scene.subtitle
    assert dict(box(scene, "Leaf").facts)["probability"] == "0.333333"


def test_types_stand_at_the_nodes() -> None:
    scene = derivation_scene(arch("arch net : im[3, 8, 8] -> vec[5] = relu >> head(5)"))
    assert box(scene, "relu").notes == ("im 3 x 8 x 8",)
    assert box(scene, "head").notes == ("im 3 x 8 x 8 -> vec 5",)


def test_copies_in_a_row_are_drawn_once() -> None:
    scene = derivation_scene(arch("input im[3, 8, 8]\narch net = tied (relu >> norm) * 5 >> conv(8) * 2"))
    assert labels(scene) == ["arch net", "tied * 5", "relu", "norm", "* 2", "conv(8)"]
    assert edges(scene) == [(0, 1), (1, 2), (1, 3), (0, 4), (4, 5)]


def test_macros_are_told_from_rules() -> None:
    term = arch("def twice = relu >> relu\nrule R = twice >> norm\ninput im[3, 8, 8]\narch net = R")
    scene = derivation_scene(term)
    assert (box(scene, "twice").look, box(scene, "R").look) == (Look.MACRO, Look.RULE)


def test_wide_trees_grow_to_the_right() -> None:
    wide = arch(f"input im[3, 8, 8]\narch net = {' >> '.join(['relu'] * 9)}")
    assert derivation_scene(wide).direction == "LR"
    assert derivation_scene(wide, direction="TB").direction == "TB"
    assert derivation_scene(sample(0).term).direction == "TB"


def test_depth_is_no_limit() -> None:
    term = arch("input im[3, 8, 8]\narch net = relu")
    for i in range(5000):
        body = Series((term,), term.input, term.output)
        term = Named(f"R{i}", body, body.input, body.output, NOWHERE, choice=(0, ()), probability=0.5)
    scene = derivation_scene(term)
    assert len(labels(scene)) == 5002
    assert scene.summary == "A derivation tree: 5001 uses of rules, 1 operators."
