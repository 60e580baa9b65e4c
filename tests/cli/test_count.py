"""`ein count`, `ein rank`, `ein unrank`, and rank ids as architectures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ein as page

Ein = Callable[..., Any]
NOTE = "note[W710]: counts and ranks are of all derivations, also of those beyond the limits on `params`, `elements`\n"


def test_counts_of_sizes_and_of_all(ein: Ein) -> None:
    space = page.load("small.ein")
    ended = ein("count", "small.ein", "--size", "9..11")
    assert ended.out == "".join(f"{size:>4} modules  {space.count(size)} derivations\n" for size in (9, 10, 11))
    assert ended.err.strip() == NOTE.strip()
    told = [json.loads(line) for line in ein("count", "small.ein", "--size", "9..10", "--json").out.splitlines()]
    assert told == [{"grammar": "small", "modules": size, "count": space.count(size)} for size in (9, 10)]
    assert ein("count", "nb201", "--total", "--json").out == '{"grammar": "nb201", "total": 3814697265625}\n'


def test_distinct_networks_are_fewer_where_composition_is_free(ein: Ein, folder: Path) -> None:
    text = "ein 1\ngrammar free\nimport std\ninput im[3, 8, 8]\nrule S = relu | gelu | S >> S\n"
    (folder / "free.ein").write_text(text)
    ended = ein("count", "free.ein", "--size", "3", "--graphs")
    assert ended.out == "   3 modules  16 derivations, 8 distinct networks\n"
    many = json.loads(ein("count", "free.ein", "--size", "12", "--graphs", "--json").out)
    assert (many["count"], many["graphs"]) == (2**12 * 58_786, None)


def test_a_rank_and_back(ein: Ein) -> None:
    ein("sample", "small.ein", "--seed", "6", "-o", "drawn")
    told = json.loads(ein("rank", "small.ein", "drawn/small-6-0.ein", "--json").out)
    id = ein("rank", "small.ein", "drawn/small-6-0.ein").out.strip()
    space = page.load("small.ein")
    drawn = space.sample(6)
    assert told == {"id": id, "modules": 12, "rank": space.rank(drawn), "count": space.count(12)}
    assert id == f"small@{space.digest}#12:{space.rank(drawn)}"
    assert space.unrank(12, told["rank"]) == drawn == page.architecture(id)
    assert page.architecture("drawn/small-6-0.ein").text == page.architecture(id).text
    shown = ein("unrank", "small.ein", id, f"12:{told['rank']}", "-o", "again")
    assert shown.out.splitlines() == [ein("sample", "small.ein", "--seed", "6").out.rstrip()] * 2
    again = page.architecture(f"again/small-12-{told['rank']}.ein")
    assert again == drawn
    facts = json.loads(ein("unrank", "small.ein", id, "--json").out)
    assert facts == json.loads(ein("sample", "small.ein", "--seed", "6", "--json").out)


LONG = """ein 1
grammar long
import std
input im[3, 8, 8]
rule Op = relu | relu6 | elu | gelu | gelu_tanh | silu | mish | hardswish | sigmoid | tanh | softplus | sine | softmax
        | identity | norm | pos_enc
rule P1 = Op >> Op
{rules}
start P12
"""
"""16 ** 4096 derivations, a number of 4,933 digits: Python converts 4,300."""


def test_numbers_longer_than_python_converts(ein: Ein, folder: Path) -> None:
    rules = "\n".join(f"rule P{n} = P{n - 1} >> P{n - 1}" for n in range(2, 13))
    (folder / "long.ein").write_text(LONG.format(rules=rules))
    told = ein("count", "long.ein", "--total", "--json").out
    digits = told.removeprefix('{"grammar": "long", "total": ').removesuffix("}\n")
    assert len(digits) == 4_933 and digits.isdecimal()
    assert ein("count", "long.ein", "--total").out == f"{digits} derivations in all\n"
    last = digits[:-1] + str(int(digits[-1]) - 1)
    assert ein("unrank", "long.ein", f"4096:{last}", "-o", "drawn").out.rstrip().endswith("pos_enc")
    [drawn] = (folder / "drawn").iterdir()
    id = f"long@{page.load('long.ein').digest}#4096:{last}"
    told = ein("rank", "long.ein", str(drawn), "--json").out
    assert told == f'{{"id": "{id}", "modules": 4096, "rank": {last}, "count": {digits}}}\n'
    assert page.architecture(id).text == page.architecture(str(drawn)).text
    beyond = "has no derivation 118973… (4,933 digits) of 4,096 modules: ranks go from 0 to 118973… (4,933 digits)"
    assert beyond in ein("unrank", "long.ein", f"4096:{digits}").err


def test_a_rank_that_nobody_wrote_costs_no_time(ein: Ein) -> None:
    ended = ein("unrank", "small.ein", f"12:{'9' * 120_000}")
    assert (ended.code, len(ended.err) < 1_000) == (1, True)
    assert "error[E711]: a rank of 120,000 digits is too long to be read; 100,000 are the limit" in ended.err
    ended = ein("show", "small@00000000#999999999:0")
    assert (ended.code, ended.out) == (1, "")
    assert "error[E711]: a network of 999,999,999 modules has no number; 100,000 are the limit" in ended.err
    other = ein("unrank", "small.ein", f"small@00000000#12:{'9' * 90_000}")
    assert "`small@00000000#12:999999… (90,000 digits)` is of another space" in other.err


def test_rank_ids_are_taken_where_an_architecture_is(ein: Ein) -> None:
    space = page.load("einspace")
    id = f"einspace@{space.digest}#5:90417"
    assert space.unrank(5, 90417).text in ein("show", id).out
    assert ein("compile", id, "-o", "net.py").code == 0
    changed = page.load("einspace", input="im[1, 28, 28]")
    assert page.architecture(f"einspace@{changed.digest}#3:7", input="im[1, 28, 28]") == changed.unrank(3, 7)


def test_ids_of_another_space_and_numbers_that_there_are_not(ein: Ein) -> None:
    digest = page.load("small.ein").digest
    ended = ein("unrank", "small.ein", "small@00000000#12:5")
    assert (ended.code, ended.out) == (1, "")
    assert f"`small@00000000#12:5` is of another space than `small`, which is `small@{digest}` here" in ended.err
    assert "error[E713]" in ein("show", "small@00000000#12:5").err
    assert "error[E713]: there is no space `nowhere`" in ein("show", "nowhere@00000000#12:5").err
    assert "error[E711]: `small` has no derivation 0 of 4 modules" in ein("unrank", "small.ein", "4:0").err
    assert "`nonsense` is no rank id" in ein("unrank", "small.ein", "nonsense").err


def test_wrong_usage(ein: Ein) -> None:
    for arguments in ([], ["--size", "3", "--total"], ["--total", "--graphs"]):
        assert ein("count", "small.ein", *arguments).code == 2
    ended = ein("count", "einspace", "--total")
    assert (ended.code, "error[E709]" in ended.err) == (1, True)


def test_uniform_draws_of_a_space() -> None:
    space = page.load("small.ein")
    drawn = [space.uniform(12, seed=3, index=index) for index in range(20)]
    assert {each.modules for each in drawn} == {12}
    assert drawn == [page.load("small.ein").uniform(12, seed=3, index=index) for index in range(20)]
    assert len(set(drawn)) > 10
