"""Counts, ranks and uniform draws against the enumeration that enumeration.py makes from the definition.

Figures of einspace are those of a prototype that shares no code with this one; those of hierarchical NAS-Bench-201 are
of its authors' counter, which counts a repeated alternative twice, and of the same with that line once.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache, partial
from itertools import product
from math import log10
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.check import load_grammar
from ein.grammar.counting import counts
from ein.grammar.counting.branches import written
from ein.grammar.counting.counts import Tables
from ein.grammar.counting.joins import Joins
from ein.grammar.counting.keys import NO_KEY
from ein.grammar.counting.numbering import Numbering
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError
from ein.grammar.matching.match import derive
from ein.grammar.types import Tensor, bundle, tensor

from .counted import FINITE, FLAT, GRIDS, TIED, TURNING, numbering
from .enumerated_terms import shown
from .enumerated_types import Value
from .enumeration import Case, Found, Oracle, Use
from .test_sampling import CASES, departs, loaded, plain

ROOT = Path(__file__).parents[2]
EINSPACE = [0, 0, 169, 5_135, 172_806, 6_525_754, 264_105_224, 11_199_292_406, 491_080_542_159, 22_083_065_074_406]
"""From `S` at im[3, 32, 32], by modules; the grammar of the library has one more, its head."""

cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
small = pytest.mark.parametrize("written", [0, 4, 10**6])


@cache
def enumerated(case: Case) -> dict[int, list[Found]]:
    found: dict[int, list[Found]] = defaultdict(list)
    for each in Oracle(case, 1.0).rule(Use("S"), Value(case.input), case.modules, ()):
        found[each.used].append(each)
    return found


@cache
def numbered(case: Case, probabilities: bool = False) -> Numbering:
    return Numbering.of(loaded(case, f"input {shown(case.input)}\n{case.text}"), probabilities)


@cache
def flat() -> Numbering:
    return numbering(FLAT)


@cache
def einspace() -> Numbering:
    return numbering("einspace")


# --- how many


@cases
@small
def test_counts_are_those_of_the_enumeration(case: Case, written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size and by output, whether branches are written out or stay apart until they are joined."""
    monkeypatch.setattr(counts, "SMALL", written)
    made = Numbering.of(numbered(case).grammar)
    for size in range(case.modules + 1):
        found = enumerated(case).get(size, [])
        assert made.count(size) == len(found)
        by_output: Counter[str] = Counter()
        for type, count in made.outputs(size).items():
            by_output[repr(type)] += count
        assert by_output == Counter(shown(each.out.type) for each in found)


@cases
def test_masses_are_the_probabilities_of_the_enumeration(case: Case) -> None:
    made = numbered(case, True)
    for size, found in enumerated(case).items():
        assert made.count(size) == pytest.approx(sum(each.p for each in found), rel=1e-9)


@cases
def test_an_alternative_that_is_left_out_is_missed(case: Case) -> None:
    """The planted mistake: the enumeration without one of the choices of the start rule."""
    for size, found in enumerated(case).items():
        lost = [each for each in found if each.choices[0][0] != 0]
        if 0 < len(lost) < len(found):
            assert numbered(case).count(size) != len(lost)


def test_einspace() -> None:
    """Sizes 2 to 6 in the default run; the number of modules of the library's grammar is one larger."""
    assert [einspace().count(size + 1) for size in range(7)] == EINSPACE[:7]


@pytest.mark.slow
def test_einspace_of_7_to_9_modules() -> None:
    made = numbering("einspace")
    assert [made.count(size + 1) for size in (7, 8, 9)] == EINSPACE[7:10]


@cases
def test_tables_by_class_are_those_of_values(case: Case) -> None:
    grammar = numbered(case).grammar
    for size in range(case.modules + 1):
        assert_classes_hold(Numbering.of(grammar).tables, Numbering.of(grammar).tables, size)


@pytest.mark.parametrize("name", ["einspace", FINITE, GRIDS], ids=["einspace", "finite", "grids"])
def test_tables_by_class_are_those_of_values_where_sizes_are_put_together(name: str) -> None:
    for size in range(9 if name == FINITE else 6):
        assert_classes_hold(numbering(name).tables, numbering(name).tables, size)


def assert_classes_hold(full: Tables, classed: Tables, size: int) -> None:
    """Of every rule, at every type at which it was counted, in as many modules."""
    space, asked, input = full.space, classed.space, full.space.grammar.input
    assert input is not None
    full.solve(partial(full.call, space.start, input, size))
    for by, same in ((full.classes, classed.classes), (full.outlines, classed.outlines)):
        for instance, values in list(full.calls[None].items()):
            mine = asked.instance(instance.rule.name, instance.values)
            for value, n in [(value, n) for value, sizes in values.items() for n in sizes]:
                table = by.table(written(values[value][n]))
                assert classed.solve(partial(classed.call, mine, value, n, same)) == table


def test_an_overload_that_some_of_a_form_take_is_not_taken_for_all() -> None:
    """`turn` makes a sequence of an image of 64 rows, and of none with 8."""
    made = numbering(TURNING)
    assert made.count(3) == sum(made.outputs(3).values()) == len(list(made.all(3))) == 8
    assert [made.rank(each) for each in made.all(3)] == list(range(8))


def test_joins_change_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair of what branches give, asked one by one."""
    expected = [numbering("einspace").count(size) for size in range(7)]
    monkeypatch.setattr(Joins, "key", lambda *given: NO_KEY)
    assert [numbering("einspace").count(size) for size in range(7)] == expected


def text_of(name: str, changes: dict[str, str]) -> str:
    text = (ROOT / "grammar" / "library" / f"{name}.ein").read_text(encoding="utf-8")
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return text


def test_hierarchical_nas_bench_201() -> None:
    """Without the claim that something gets through: with the repeated line 10^446, without it 10^375."""
    once, live = {"-> live t": "-> t"}, numbering("hnb201", sized=False).total()
    all = numbering(text_of("hnb201", once), sized=False).total()
    twice = numbering(text_of("hnb201", {**once, "Conv @ 2": "Conv | Conv"}), sized=False).total()
    assert (int(log10(all)), int(log10(twice))) == (375, 446)
    assert all % 30**6 == 0 and twice % 57**6 == 0
    assert all * 99 // 100 < live < all


def test_live_cells_against_their_enumeration() -> None:
    """Of one cell with three operations on an edge, all 3^6 are typed, and those counted that let something through."""
    text = text_of("hnb201", {"rule Net = conv_bn(channels) >> D2 >> batch_norm >> relu >> head(classes)": ""})
    text = text.replace("output vec[classes]", "").replace("input im[3, 32, 32]", "input im[3, 32, 32]\nstart Cell")
    live = text.replace("| Conv @ 2 | avg_pool(3, s = 1, p = 1)", "| relu")
    free = live.replace("-> live t", "-> t")
    assert numbering(free, sized=False).total() == 3**6
    through = sum(_gets_through(edges) for edges in product((True, False, True), repeat=6))
    assert numbering(live, sized=False).total() == through


def _gets_through(edges: tuple[bool, ...]) -> bool:
    e12, e13, e23, e14, e24, e34 = edges
    n3 = e13 or (e12 and e23)
    return e14 or (e12 and e24) or (n3 and e34)


def test_the_total_is_that_of_all_sizes() -> None:
    made = numbering(FINITE)
    by_size = [made.count(size) for size in range(60)]
    assert sum(by_size[-10:]) == 0
    assert numbering(FINITE, sized=False).total() == sum(by_size) > 1_000


def test_hundreds_of_modules_need_no_more_of_pythons_stack() -> None:
    """Within 400 frames of where the test stands."""
    made, before = numbering(FLAT), sys.getrecursionlimit()
    depth = len(list(iter_frames()))
    sys.setrecursionlimit(depth + 400)
    try:
        assert made.count(250) > 10**300
        drawn = made.uniform(250, 0)
        assert made.unrank(250, made.rank(drawn)) == drawn
    finally:
        sys.setrecursionlimit(before)


def iter_frames() -> Any:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


# --- which


@cases
@small
def test_ranks_are_a_bijection(case: Case, written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "SMALL", written)
    made = Numbering.of(numbered(case).grammar)
    for size, found in enumerated(case).items():
        if len(found) > 2_000:
            continue
        listed = list(made.all(size))
        assert Counter(plain(each.choices) for each in listed) == Counter(each.choices for each in found)
        assert [made.rank(each) for each in listed] == list(range(len(found)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ranks_go_there_and_back(data: st.DataObject) -> None:
    made, sizes = data.draw(st.sampled_from([(einspace(), (3, 7)), (flat(), (1, 60))]))
    size = data.draw(st.integers(*sizes))
    rank = data.draw(st.integers(0, made.count(size) - 1))
    derivation = made.unrank(size, rank)
    assert derivation.cost.modules == size
    assert made.rank(derivation) == rank
    assert derive(made.space, derivation.term).text == derivation.text


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_drawn_has_a_rank(index: int) -> None:
    sampler, made = Sampler.of(einspace().grammar), einspace()
    drawn = sampler.draw(0, index, (3, 7))
    assert made.unrank(drawn.modules, made.rank(drawn)) == drawn


def test_a_rank_means_the_same_in_every_process() -> None:
    """Whatever the seed of Python's hashes, and whatever was counted before."""
    code = (
        "from ein.grammar.check import load_grammar\n"
        "from ein.grammar.counting.numbering import Numbering\n"
        "made = Numbering.of(load_grammar('einspace'))\n"
        "{before}"
        "print([made.unrank(7, rank).id for rank in range(0, 264_000_000, 24_000_000)])"
    )
    told = []
    for seed, before in (("0", ""), ("1", "made.outputs(5)\n"), ("2", "made.uniform(6, 3)\n")):
        environment = {"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code.format(before=before)]
        told.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert told[0] == told[1] == told[2] != ""


def test_ranks_stay_what_they_were() -> None:
    """Published ids would change with this order."""
    assert [flat().unrank(5, rank).text for rank in (0, 17, 4_000, flat().count(5) - 1)] == ORDER


ORDER = [
    "relu >> relu >> relu >> relu >> relu",
    "relu >> relu >> relu >> batch_norm >> conv(8, k = 5)",
    "relu >> relu >> conv(8, k = 1) >> relu >> conv(8)",
    "clone(2) >> (conv(8, k = 5) >> conv(8, k = 5) & conv(8, k = 5)) >> add",
]


def test_shards_and_draws_without_repeats() -> None:
    made = flat()
    count = made.count(3)
    shards = [made.shard(3, part, 7) for part in range(7)]
    assert [rank for shard in shards for rank in shard] == list(range(count))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    everything = list(made.distinct(3, count, 5))
    assert len(set(everything)) == count
    assert list(made.distinct(3, 20, 5)) == everything[:20]
    assert list(made.distinct(3, 20, 6)) != everything[:20]


# --- draws

DRAWS = 6_000


def test_uniform_draws_are_uniform_and_a_bias_is_seen() -> None:
    made, size = flat(), 3
    ranks = Counter(made.rank(made.uniform(size, 11, index)) for index in range(DRAWS))
    count = made.count(size)
    assert not departs(ranks, dict.fromkeys(range(count), 1 / count))
    tilted = {rank: (1.3 if rank % 2 else 0.7) / count for rank in range(count)}
    scale = sum(tilted.values())
    assert departs(ranks, {rank: p / scale for rank, p in tilted.items()})


@cases
def test_draws_of_one_size_follow_the_choices(case: Case) -> None:
    """Inside weights give the distribution of `ein sample --size`, without an attempt that fails."""
    made, size = numbered(case, True), max(enumerated(case))
    table = {each.choices: each.p for each in enumerated(case)[size]}
    total = sum(table.values())
    observed = Counter(plain(made.draw(size, 3, index).choices) for index in range(DRAWS))
    assert observed.keys() <= table.keys()
    assert not departs(observed, {choices: p / total for choices, p in table.items()})


def test_a_draw_depends_on_seed_and_index_alone() -> None:
    fresh = numbering(FLAT)
    assert fresh.uniform(30, 4, 2) == flat().uniform(30, 4, 2) != flat().uniform(30, 4, 3)


# --- what joins branches


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_groups_hold_what_pairs_do(data: st.DataObject) -> None:
    """Of any operator of the library that takes two inputs, at any types."""
    name, arguments = data.draw(st.sampled_from(JOINING))
    grammar = einspace().grammar
    application = grammar.application(grammar.operators[name], arguments)
    tables = [data.draw(TABLES) for _ in range(2)]
    joins = Joins()
    pairs: Counter[Any] = Counter()
    for one, other in product(*tables):
        output = application.result(bundle((one, other)))
        if output is not None:
            pairs[output] += tables[0][one] * tables[1][other]
    matched = Counter({output: 0 for output in pairs})
    for (first, second), output in joins.matches(application, tables):
        assert isinstance(first, Tensor) and isinstance(second, Tensor)
        matched[output] += tables[0][first] * tables[1][second]
    assert matched == pairs
    counting = einspace().tables
    for by, apart in product((None, counting.classes, counting.outlines), (True, False)):
        exact: Counter[Any] = Counter()
        for joined in joins.totals(application, tables, by, apart):
            exact[joined.output if by is None else by.of(joined.output)] += joined.weight
        assert exact == (pairs if by is None else by.table(pairs))


JOINING = [
    ("add", ()),
    ("mul", ()),
    ("matmul", ()),
    ("scaled_matmul", ()),
    *[("concat", (("axis", axis),)) for axis in (1, 2, 3, 4)],
    *[("take", (("i", place),)) for place in (1, 2, 3)],
]
SIZES = st.sampled_from([2, 4, 8, (2, 2), (2, 4), (4, 2), 2**30, 2**31])
TENSORS = st.one_of(
    st.builds(lambda *sizes: tensor("im", sizes), SIZES, SIZES, SIZES),
    st.builds(lambda *sizes: tensor("seq", sizes), SIZES, SIZES),
    st.builds(lambda *sizes: tensor("seq", sizes, live=False), SIZES, SIZES),
)
TABLES = st.dictionaries(TENSORS, st.integers(1, 9), min_size=1, max_size=12)


# --- what cannot be counted


def refused(made: Numbering, size: int) -> str:
    with pytest.raises(EinError) as caught:
        made.count(size)
    return str(caught.value)


def test_a_rule_that_comes_back_to_itself_has_no_end() -> None:
    text = "ein 1\ngrammar round\nimport std\ninput im[3, 4, 4]\nrule S = relu | (S | gelu)\n"
    assert refused(numbering(text), 2).startswith(
        "error[E709]: `round` has no end of derivations of any one size: `S` comes back to itself at the same type"
    )
    assert "error[E709]: `flat` has no end of derivations of all sizes together" in refused(numbering(FLAT, False), 0)


def test_weights_of_one_key_must_have_one_shape() -> None:
    made = numbering(TIED.replace("SIZE", "8"))
    assert [made.count(size) for size in (1, 2, 3)] == [3, 9, 54]
    assert "[8] and [16]" in refused(numbering(TIED.replace("SIZE", "16")), 3)


def test_tied_copies_that_differ_are_not_counted() -> None:
    text = "ein 1\ngrammar twice\nimport std\ninput im[4, 8, 8]\nrule S = tied BODY * 2\nrule R = relu | norm\n"
    grown = numbering(text.replace("BODY", "(permute((1, 2, 3)) >> R)"))
    assert grown.count(4) == len(list(grown.all(4))) == 2


def test_tables_that_are_full_say_how_far_they_reach() -> None:
    made = Numbering.of(load_grammar("einspace"), most=5_000)
    told = refused(made, 9)
    assert told.startswith(
        "error[E712]: `einspace` has too many types to count derivations of 9 modules: more than 5,000"
    )
    assert "sizes up to 6 can be counted; `ein sample --size 9` draws without counting" in told
    assert made.count(6) == EINSPACE[5]


def test_numbers_that_there_are_not() -> None:
    made = flat()
    for ask, text in (
        (lambda: made.unrank(2, -1), "`flat` has no derivation -1 of 2 modules: ranks go from 0 to 35"),
        (lambda: made.unrank(2, 36), "`flat` has no derivation 36 of 2 modules"),
        (lambda: made.uniform(0, 1), "`flat` has no derivation of 0 modules"),
        (lambda: list(made.distinct(1, 7, 1)), "there are 6 derivations of 1 modules, and 7 different ones"),
    ):
        with pytest.raises(EinError) as caught:
            ask()
        assert f"error[E711]: {text}" in str(caught.value)
    other = Derivation(made.space, ((1, ()), (9, ())), 1, Random(0) and made.grammar.input)  # type: ignore[arg-type]
    with pytest.raises(EinError, match="E707"):
        made.rank(other)


def test_the_input_is_needed() -> None:
    with pytest.raises(EinError, match="E701"):
        Numbering.of(load_grammar_text("ein 1\ngrammar open\nimport std\nrule S = relu\n"))


def load_grammar_text(text: str) -> Any:
    from ein.grammar.diagnostics import Source

    return load_grammar(Source("here", text))
