"""Laws of pictures of what changed, over mutants of the library's grammars, and some pictures in full."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ein.compiler.drawing import matching, overlay
from ein.compiler.drawing.difference_view import difference_scene
from ein.compiler.drawing.dot import write_dot
from ein.compiler.drawing.folding import resolved
from ein.compiler.drawing.scene import Box, Change, Frame, Item, Look, Run, Scene, Wire, boxes
from ein.compiler.drawing.texts import type_text
from ein.compiler.drawing.theme import LIGHT
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.compiler.passes.wires import remove_wires
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.editing.edit import KINDS, mutant

KEPT, ADDED, REMOVED, CHANGED = Change.KEPT, Change.ADDED, Change.REMOVED, Change.CHANGED
GRAMMARS = ("einspace", "einspace1d", "hnb201_act", "hybrid", "sequence", "tabular", "nb201")
SMALL = ("einspace", "hnb201_act", "hybrid", "sequence")
TURNED = {KEPT: KEPT, ADDED: REMOVED, REMOVED: ADDED, CHANGED: CHANGED}
FOREIGN = (ADDED, REMOVED)
"""What the first, and what the second of the two does not have."""
ROOT = Path(__file__).parents[4]

Pair = tuple[Derivation, Derivation]


@cache
def space(name: str) -> Sampler:
    return Sampler.of(load_grammar(name))


@cache
def mutated(name: str, seed: int, kind: str) -> Pair | None:
    parent = space(name).draw(seed)
    try:
        return parent, mutant(space(name), parent, seed, kind=kind)
    except EinError:
        return None


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """A derivation and a mutant of it, or two draws."""
    name, seed = draw(st.sampled_from(GRAMMARS)), draw(st.integers(0, 10_000))
    kind = draw(st.sampled_from((*KINDS, "none")))
    found = (space(name).draw(seed), space(name).draw(seed + 1)) if kind == "none" else mutated(name, seed, kind)
    assume(found is not None)
    assert found is not None
    return found


def net(term: str, defs: str = "") -> OpGraph:
    source = Source("test.ein", f"ein 1\nimport std\n{defs}\ninput im[4, 8, 8]\narch net = {term}")
    return lower(architecture(load_grammar(source), "net").term)


def operators(scene: Scene) -> list[Box]:
    return [box for box in boxes(scene.items) if box.look is not Look.END]


def names(scene: Scene, change: Change) -> list[str]:
    return [box.name for box in operators(scene) if box.change is change]


def befell(scene: Scene, wires: bool = False) -> Counter[Change]:
    parts = scene.wires if wires else operators(scene)
    return Counter(part.change for part in parts if part.change is not None)


def containers(items: Sequence[Item]) -> Iterator[Frame | Run]:
    for item in items:
        if not isinstance(item, Box):
            yield item
            yield from containers(item.items)


def loud(scene: Scene) -> list[Box]:
    """Boxes that are seen and not kept, without those in which types alone are others."""
    seen = [box for box in operators(resolved(scene)) if box.change is not KEPT and box.look is not Look.FOLDED]
    return [
        box for box in seen if box.change is not CHANGED or " -> " in box.name or any("was" in n for n in box.notes)
    ]


# ---- what one of the two is, told by the picture and by its graph


Sources = Mapping[str, Sequence[tuple[str, str]]]
NUMBERS: dict[str, int] = {}


def histories(kinds: Mapping[str, Sequence[str]], sources: Sources) -> Counter[int]:
    """Each operator with all that leads to it, as a number; `sources` with the types of the wires."""
    order = TopologicalSorter({one: [source for source, _ in found] for one, found in sources.items()}).static_order()
    found: dict[str, int] = {}
    for one in order:
        before = sorted(f"{type} {found[source]}" for source, type in sources[one])
        found[one] = NUMBERS.setdefault(f"{kinds[one]} {before}", len(NUMBERS))
    return Counter(found.values())


def side_of(text: str, side: int) -> str:
    type = text.partition(" · ")[0]
    return type.split(" -> ")[side] if " -> " in type else type


def told(scene: Scene, side: int) -> Counter[int]:
    here = [box for box in boxes(scene.items) if box.change is not FOREIGN[side]]
    sources: dict[str, list[tuple[str, str]]] = {box.id: [] for box in here}
    for wire in scene.wires:
        if wire.change is not FOREIGN[side]:
            count, _, type = wire.text.rpartition(" of ")
            sources[wire.target] += [(wire.source, side_of(type, side))] * int(count or 1)
    wanted = ("operator", "input", "output")
    kinds = {box.id: [side_of(text, side) for name, text in box.facts if name in wanted] for box in here}
    return histories(kinds, sources)


def drawn(architecture: Derivation) -> Counter[int]:
    graph = remove_wires(lower(architecture.term)).graph
    kinds, sources = {}, {}
    for number, node in graph.nodes():
        sources[f"{number}"] = [(f"{s.node}", type_text(graph.type(s))) for s in graph.sources(number)]
        if isinstance(node, Use):
            kinds[f"{number}"] = [node.text, type_text(node.applied.input), type_text(node.applied.output)]
        else:
            kinds[f"{number}"] = [", ".join(map(type_text, node.inputs or node.outputs))]
    return histories(kinds, sources)


# ---- the laws


def nothing_changes_to_itself(first: Derivation, second: Derivation) -> None:
    for each in (first, second):
        scene = difference_scene(each, each)
        assert {box.change for box in boxes(scene.items)} == {KEPT}
        assert {wire.change for wire in scene.wires} == {KEPT}
        assert scene.subtitle.startswith("nothing changed")


def turned_round_what_came_went(first: Derivation, second: Derivation) -> None:
    scene, turned = difference_scene(first, second), difference_scene(second, first)
    for found, other in ((befell(scene), befell(turned)), (befell(scene, wires=True), befell(turned, wires=True))):
        assert Counter({TURNED[change]: count for change, count in found.items()}) == other
    for change in (ADDED, REMOVED):
        assert Counter(names(scene, change)) == Counter(names(turned, TURNED[change]))


def each_side_is_whole(first: Derivation, second: Derivation) -> None:
    scene = difference_scene(first, second)
    assert told(scene, 0) == drawn(first)
    assert told(scene, 1) == drawn(second)


def changed_is_one_operator(first: Derivation, second: Derivation) -> None:
    for box in operators(difference_scene(first, second)):
        text = dict(box.facts)["operator"]
        assert side_of(text, 0).partition("(")[0] == side_of(text, 1).partition("(")[0]
        assert box.change is CHANGED or " -> " not in text


LAWS = (nothing_changes_to_itself, turned_round_what_came_went, each_side_is_whole, changed_is_one_operator)
Law = Callable[[Derivation, Derivation], None]


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=40)
@given(found=pairs())
def test_laws(law: Law, found: Pair) -> None:
    law(*found)


@settings(max_examples=40)
@given(found=pairs(), few=st.integers(1, 40))
def test_the_scene_is_sound(found: Pair, few: int) -> None:
    scene = difference_scene(*found, most=few)
    ids = [each.id for each in (*boxes(scene.items), *containers(scene.items))]
    assert len(ids) == len(set(ids))
    seen = resolved(scene)
    for each in (scene, seen):
        known = {box.id for box in boxes(each.items)}
        before: dict[str, set[str]] = {id: set() for id in known}
        for wire in each.wires:
            assert {wire.source, wire.target} <= known
            before[wire.target].add(wire.source)
        assert set(TopologicalSorter(before).static_order()) == known
    counts = Counter(box.change for box in operators(scene))
    assert dict(scene.changes) == counts
    assert scene == difference_scene(*found, most=few)


@settings(max_examples=20)
@given(found=pairs())
def test_what_is_folded_is_far_from_changes(found: Pair) -> None:
    """Kept boxes in folded frames are three wires or more from all that came, went or has other arguments."""
    scene = difference_scene(*found)
    beside: dict[str, set[str]] = {box.id: set() for box in boxes(scene.items)}
    for wire in scene.wires:
        beside[wire.source].add(wire.target)
        beside[wire.target].add(wire.source)
    near = {box.id for box in operators(scene) if box.change in (ADDED, REMOVED) or " -> " in box.name}
    for _ in range(2):
        near |= {other for one in near for other in beside[one]}
    hidden = [each for each in containers(scene.items) if isinstance(each, Frame) and each.folded]
    assert all(frame.change in (KEPT, CHANGED) for frame in hidden)
    assert not near & {box.id for frame in hidden for box in boxes(frame.items)}


def test_small_edits_change_little() -> None:
    """Over 200 mutants of one edit; a branch that is copied is seen once."""
    counts = []
    for kind in ("swap", "value"):
        found = (
            mutated(name, seed, kind) for seed in range(60) for name in ("einspace", "hnb201_act", "hybrid", "sequence")
        )
        scenes = [difference_scene(*pair) for pair in found if pair is not None][:100]
        assert len(scenes) == 100
        counts.append(sorted(len(loud(scene)) for scene in scenes))
    swaps, values = counts
    assert median(swaps) <= 4 and swaps[89] <= 4, swaps
    assert values[89] == 1 and values[-1] <= 2, values


@pytest.mark.parametrize("law", LAWS)
def test_large_graphs_keep_the_laws(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_CELLS", 50)
    for kind in ("subtree", "delete", "swap"):
        for seed in range(12):
            found = mutated("sequence", seed, kind)
            if found is not None:
                law(*found)


def test_large_graphs_are_matched_as_small_ones() -> None:
    block = "(conv(4) >> relu >> clone(2) >> (norm & identity) >> add)"
    first, second = net(f"{block} * 200"), net(f"{block} * 90 >> gelu >> {block} * 110")
    scene = difference_scene(first, second)
    assert dict(scene.changes) == {KEPT: 800, ADDED: 1}
    assert len(operators(resolved(scene))) < 12


def matches_nothing(first: OpGraph, second: OpGraph) -> dict[int, int]:
    return {first.input: second.input, first.output: second.output}


def matches_in_order(first: OpGraph, second: OpGraph) -> dict[int, int]:
    """Whatever the operators are."""
    return dict(zip([n for n, _ in first.uses()], [n for n, _ in second.uses()], strict=False)) | matches_nothing(
        first, second
    )


def matches_twice(first: OpGraph, second: OpGraph) -> dict[int, int]:
    """One operator with several."""
    (other, _), *_ = second.uses()
    return dict.fromkeys((n for n, _ in first.uses()), other) | matches_nothing(first, second)


def matches_early(first: OpGraph, second: OpGraph) -> dict[int, int]:
    """Each with the first of its kind that is left, in one direction alone."""
    free = [number for number, _ in second.uses()]
    found = matches_nothing(first, second)
    for number, use in first.uses():
        same = [b for b in free if second.node(b).text == use.text]
        if same and len(first) <= len(second):
            found[number] = same[-1]
            free.remove(same[-1])
    return found


@pytest.mark.parametrize("broken", [matches_nothing, matches_in_order, matches_twice, matches_early])
def test_a_broken_matcher_is_seen(broken: Callable[..., dict[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "matched", broken)
    found = [pair for seed in range(8) if (pair := mutated("sequence", seed, "subtree"))]
    failed = set()
    for law in LAWS:
        for pair in found:
            try:
                law(*pair)
            except (AssertionError, KeyError):
                failed.add(law)
    assert failed


def test_hash_seeds_change_nothing() -> None:
    line = (
        "from ein.grammar.check import load_grammar as load; from ein.grammar.derivations.sample import Sampler;"
        "from ein.compiler.drawing.difference_view import difference_scene as scene;"
        "s = Sampler.of(load('hybrid')); print(scene(s.draw(1), s.draw(2)))"
    )
    texts = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
        run = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, env=environment, check=True)
        texts.append(run.stdout)
    assert texts[0] == texts[1] and "added" in texts[0]


def test_other_arguments_are_a_change() -> None:
    scene = difference_scene(net("relu >> conv(4) >> norm"), net("relu >> conv(8) >> norm"))
    assert names(scene, KEPT) == ["relu"]
    conv, norm = (box for box in operators(scene) if box.change is CHANGED)
    assert conv.name == "conv(4) -> conv(8)"
    assert conv.notes == ("148 -> 296 params · 9.22 K -> 18.4 K MACs", "out: im 4 x 8 x 8 -> im 8 x 8 x 8")
    assert dict(conv.facts)["parameters"] == "148 -> 296" and dict(conv.facts)["input"] == "im 4 x 8 x 8"
    assert norm.name == "norm", "what follows differs in its types"
    assert "in: im 4 x 8 x 8 -> im 8 x 8 x 8" in norm.notes
    assert [wire.text for wire in scene.wires][2:] == ["im 4 x 8 x 8 -> im 8 x 8 x 8"] * 2
    assert scene.subtitle.startswith("2 operators changed (1 in types only); 156 -> 312 params; ")
    assert scene.summary.endswith("2 operators changed (1 in types only).")


def test_long_names_tell_what_was_below() -> None:
    old, new = (f"conv({n}, k = 3, s = 2, p = 1, groups = 2, bias = false)" for n in (4, 8))
    (box,) = operators(difference_scene(net(old), net(new)))
    assert box.name.startswith("conv(8") and box.notes[0].startswith("was conv(4")


def test_another_operator_comes_and_goes() -> None:
    scene = difference_scene(net("conv(4) >> relu >> norm"), net("conv(4) >> gelu >> norm"))
    assert (names(scene, ADDED), names(scene, REMOVED), names(scene, CHANGED)) == (["gelu"], ["relu"], [])
    assert Counter(wire.change for wire in scene.wires) == {KEPT: 2, ADDED: 2, REMOVED: 2}
    assert scene.subtitle.startswith("1 operator added, 1 removed; ")


def test_branches_in_other_order_are_wires_at_other_ports() -> None:
    one = "clone(2) >> ({} & {}) >> concat(1)"
    scene = difference_scene(net(one.format("relu >> norm", "gelu")), net(one.format("gelu", "relu >> norm")))
    assert {box.change for box in operators(scene)} == {KEPT}
    changed = [wire.text for wire in scene.wires if wire.change is CHANGED]
    assert sorted(changed) == ["im 4 x 8 x 8 · input 1 -> 2", "im 4 x 8 x 8 · input 2 -> 1"]
    assert scene.subtitle.startswith("no operator changed; of the wires 2 changed; ")


def test_identities_are_told_in_words() -> None:
    first, second = net("relu >> norm"), net("relu >> identity >> norm")
    scene = difference_scene(first, second)
    assert scene.subtitle.startswith("nothing changed but identities and clones, 2 -> 3 modules")
    assert names(difference_scene(first, second, wires=True), ADDED) == ["identity"]


def test_signs_that_changed_have_names() -> None:
    scene = difference_scene(net("clone(2) >> add >> relu"), net("relu"))
    (box,) = (box for box in operators(scene) if box.change is REMOVED)
    assert (box.name, box.small) == ("add", False)


def test_shared_weights_are_a_change() -> None:
    scene = difference_scene(net("conv(4) * 2"), net("tied conv(4) * 2"))
    assert {box.change for box in operators(scene)} == {CHANGED}
    assert all(box.notes[-1] == "now shares its weights" for box in operators(scene))


def test_one_name_for_two_operators_is_a_change() -> None:
    defs = "op mine : im[c, h, w] -> im[c, h, w] = {}"
    first, second = (net("mine >> norm", defs.format(body)) for body in ("relu(x)", "tanh(x)"))
    scene = difference_scene(first, second)
    assert names(scene, CHANGED) == ["mine"]


def test_copies_that_changed_alike_are_seen_once() -> None:
    one = "clone(4) >> (relu >> conv({}) >> norm) ^ 4 >> add"
    scene = difference_scene(net(one.format(4)), net(one.format("4, k = 1")))
    assert [box.name for box in loud(scene)] == ["conv(4) -> conv(4, k = 1)"]
    assert dict(scene.changes) == {KEPT: 9, CHANGED: 4}


def test_a_repeated_block_is_added_whole() -> None:
    defs = "def block(n) = conv(n) >> relu >> clone(2) >> (norm & identity) >> add >> relu"
    scene = difference_scene(net("block(4) * 2", defs), net("block(4) * 3", defs))
    (frame,) = (each for each in containers(scene.items) if isinstance(each, Frame) and each.change is ADDED)
    assert [box.name for box in boxes(frame.items)] == ["conv(4)", "relu", "norm", "add", "relu"]


def test_what_is_far_is_folded_and_named() -> None:
    scene = difference_scene(net("(relu >> norm) * 20 >> gelu"), net("(relu >> norm) * 20 >> silu"))
    (frame,) = (each for each in containers(scene.items) if isinstance(each, Frame) and each.folded)
    assert frame.name == "38 operators unchanged"
    assert [box.name for box in operators(resolved(scene))] == [frame.name, "relu", "norm", "gelu", "silu"]


def test_wires_that_came_and_went_are_both_seen_where_their_ends_are_folded() -> None:
    one, other = (
        Frame(id, id, tuple(Box(f"{id}{i}", "relu", Look.COMPUTATION) for i in range(2)), folded=True)
        for id in ("f", "g")
    )
    wires = (Wire("f0", "g0", "im 4", change=REMOVED), Wire("f1", "g1", "im 4", change=ADDED))
    seen = resolved(Scene("", "", "", (one, other), wires))
    assert [(wire.source, wire.target, wire.change) for wire in seen.wires] == [("f", "g", REMOVED), ("f", "g", ADDED)]


def test_the_legend_counts() -> None:
    dot = write_dot(resolved(difference_scene(net("relu >> norm"), net("relu >> gelu >> norm"))), LIGHT)
    for text in (">2 kept<", ">+ 1 added<", ">− wires removed<"):
        assert text in dot
    assert "<b>+ gelu</b>" in dot and "<b>relu</b>" not in dot
