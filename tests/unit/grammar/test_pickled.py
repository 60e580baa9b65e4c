"""Derivations that are copied and sent to other processes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations import pickled
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source

TEXT = """\
ein 1
grammar g(width = 8)
import std
input im[3, 8, 8]
rule A = relu | conv(width) >> A | permute(order in orders(rank))
"""


def test_a_copy_is_the_derivation() -> None:
    drawn = Sampler.of(load_grammar("einspace")).draw(0)
    assert copy.copy(drawn) is drawn and copy.deepcopy([drawn])[0] is drawn


@pytest.mark.parametrize("place", ["einspace", "file", "text"])
def test_it_comes_back_in_another_process(tmp_path: Path, place: str) -> None:
    (tmp_path / "g.ein").write_text(TEXT)
    places: dict[str, str | Source] = {"file": str(tmp_path / "g.ein"), "text": Source("g.ein", TEXT)}
    what = places.get(place, place)
    request = Request({} if place == "einspace" else {"width": 5}, "im[3, 16, 16]")
    sampler = Sampler.of(load_grammar(what, request))
    drawn = [sampler.draw(0, index) for index in range(20)]
    data = tmp_path / "drawn.pickle"
    data.write_bytes(pickle.dumps(drawn))
    program = (
        "import pickle, sys; found = pickle.load(open(sys.argv[1], 'rb'));"
        "print(*(f'{d.id} {d.text} {d.modules} {d.trace} {d.log10_probability}' for d in found), sep='\\n');"
        "print(len({id(d.space) for d in found}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(data)],
        capture_output=True, text=True, check=True, cwd="/", env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    told = [f"{d.id} {d.text} {d.modules} {d.trace} {d.log10_probability}" for d in drawn]
    assert ended.stdout.splitlines() == [*told, "1"]


def test_a_file_that_changed_does_not_matter_and_one_that_imports_and_is_gone_does(tmp_path: Path) -> None:
    (tmp_path / "g.ein").write_text(TEXT)
    (tmp_path / "more.ein").write_text("ein 1\nimport std\ndef twice(f) = f >> f\n")
    importing = TEXT.replace("import std\n", 'import std\nimport "more.ein"\n').replace("relu |", "twice(relu) |")
    (tmp_path / "h.ein").write_text(importing)
    plain, other = (Sampler.of(load_grammar(str(tmp_path / name))).draw(0) for name in ("g.ein", "h.ein"))
    sent = pickle.dumps(plain), pickle.dumps(other)
    assert pickle.loads(sent[1]) == other
    (tmp_path / "g.ein").write_text(TEXT.replace("relu |", "gelu |"))
    (tmp_path / "h.ein").unlink()
    pickled._spaces.clear()
    assert pickle.loads(sent[0]) == plain
    with pytest.raises(EinError, match="nor is its text enough"):
        pickle.loads(sent[1])


def test_an_architecture_comes_back() -> None:
    found = architecture(load_grammar("zoo/resnet8"))
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.text, again.id, again.finished) == (found, found.text, found.id, True)


def test_a_process_keeps_some_spaces_only() -> None:
    for width in range(1, pickled.KEPT + 4):
        drawn = Sampler.of(load_grammar(Source("g.ein", TEXT), Request({"width": width}))).draw(0)
        assert pickle.loads(pickle.dumps(drawn)) == drawn
    assert len(pickled._spaces) == pickled.KEPT
