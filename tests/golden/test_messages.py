"""What people read when something is wrong: the source, a line `---`, and the messages as they are printed.

Lines of the library are left out. Options of the command line stand in a comment on the first line.
Rewritten with EIN_REWRITE_GOLDEN=1, and then read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ein.grammar import check as check_module
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, check, load_grammar
from ein.grammar.diagnostics import Diagnostic, EinError, Source, render_all

FOLDER = Path(__file__).parent / "messages"
CASES = sorted(FOLDER.glob("*.txt"))

ELSEWHERE = {
    "E109": "tests/unit/grammar/test_parser.py: needs very many mistakes",
    "E411": "an operator that computes takes tensors: a bundle is refused before",
    "E430": "tests/unit/ein/test_host.py: needs a host program",
    "E602": "tests/unit/grammar/test_load.py: needs files",
    "E603": "tests/unit/grammar/test_load.py: needs files",
    "E605": "derivation files",
    "E706": "editing derivations",
    "E709": "tests/properties/test_counts.py",
    "E710": "tests/properties/test_counts.py",
    "E711": "tests/properties/test_counts.py",
    "E712": "tests/properties/test_counts.py",
    "E713": "tests/cli/test_count.py",
    "W710": "tests/cli/test_count.py",
    "E707": "tests/unit/grammar/test_leaving.py: needs a term and a grammar",
    "E716": "tests/properties/test_align.py: aligning derivations",
    "E717": "tests/properties/test_paths.py: crossing derivations",
    "E720": "tests/unit/grammar/test_packed.py: needs bytes",
    "E721": "tests/unit/grammar/test_packed.py: needs bytes",
    "E731": "tests/cli/test_import.py: needs a Python file",
    "E732": "tests/unit/compiler/test_import_reports.py: needs a model of torch",
    "E733": "tests/unit/compiler/test_import_reports.py: needs a model of torch",
    "E734": "tests/unit/compiler/test_import_reports.py: needs a model of torch",
    "E735": "tests/unit/compiler/test_import_reports.py: needs a model of torch",
    "E722": "tests/unit/compiler/test_graph_text.py: needs the text of a graph",
    "E860": "tests/unit/compiler/test_export.py: needs a network that torch cannot export",
    "E861": "tests/unit/compiler/test_export.py: needs packages to be missing",
    "W721": "tests/unit/grammar/test_files.py: needs files",
}
"""Codes that a single text cannot bring about."""


def options(source: str) -> tuple[Request, str | None]:
    """`# --input seq[4,4] --set p=3 --limit modules=5 --arch name` on the first line."""
    words = source.splitlines()[0].removeprefix("#").split() if source.startswith("# --") else []
    given: dict[str, Any] = {"parameters": {}, "limits": {}}
    arch = None
    for option, value in zip(words[::2], words[1::2], strict=True):
        match option, value.partition("="):
            case "--input", _:
                given["input"] = value
            case "--set", (name, _, text):
                given["parameters"][name] = text
            case "--limit", (name, _, text):
                given["limits"][name] = int(text)
            case "--arch", _:
                arch = value
    return Request(**given), arch


def messages(name: str, source: str) -> list[Diagnostic]:
    request, arch = options(source)
    found = check(Source(name, source), request)[1]
    if arch is None:
        return found
    with pytest.raises(EinError) as caught:
        architecture(load_grammar(Source(name, source), request), arch)
    return [*found, *caught.value.diagnostics]


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_messages_are_those_of_the_golden_file(path: Path) -> None:
    source, _, wanted = path.read_text("utf-8").partition("---\n")
    found = messages(f"{path.stem}.ein", source)
    shown = re.sub(r"(?<== std):\d+:\d+", "", render_all(found)) + "\n"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        path.write_text(f"{source}---\n{shown}", "utf-8")
    assert shown == wanted
    if re.fullmatch(r"[EW]\d{3}", path.stem):
        assert {d.code for d in found} - {"W701"} == {path.stem} - {"W701"}


def test_every_code_has_a_golden_file() -> None:
    folder = Path(check_module.__file__).parent
    text = "".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.py")))
    codes = set(re.findall(r'"([EW]\d{3})"', text))
    assert codes - set(ELSEWHERE) == {path.stem for path in CASES if re.fullmatch(r"[EW]\d{3}", path.stem)}


def test_five_different_mistakes_are_all_reported_where_they_are() -> None:
    source = (FOLDER / "five_mistakes.txt").read_text("utf-8").partition("---\n")[0]
    lines = source.splitlines()
    found = [(d.code, d.span.source.position(d.span.start)[0]) for d in messages("five.ein", source) if d.span]
    wanted = {
        "E401": "op widen",
        "E101": "conv(out in {16, 32} >> batch_norm",
        "E201": "sofmax",
        "E206": "conv(k = 3)",
        "E301": ">> add",
    }
    places = {code: next(i for i, line in enumerate(lines, 1) if words in line) for code, words in wanted.items()}
    assert dict(found) == places


def test_many_mistakes_are_reported_one_by_one_in_the_order_of_the_file() -> None:
    """The comments of the file say which; nothing else is said, and no mistake hides another."""
    source = (FOLDER / "many_mistakes.txt").read_text("utf-8").partition("---\n")[0]
    wanted = [
        (code, number)
        for number, line in enumerate(source.splitlines(), 1)
        for code in re.findall(r"[EW]\d{3}", line.partition("#")[2])
    ]
    found = messages("many.ein", source)
    assert len(wanted) >= 20
    assert [(d.code, d.span.source.position(d.span.start)[0]) for d in found if d.span] == wanted
    assert len(found) == len(wanted)
