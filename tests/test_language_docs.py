"""docs/language.md is true: every fenced block does what the word behind its fence says.

```ein              a file that checks without a word, and can be drawn from
```ein NAME.ein     the same; later blocks and commands find it under that name
```ein fragment     statements, for which `ein 1`, `import std` and an input stand in the file
```ein term         lines of terms; behind `#` the type that each has, from input to output
```ein wrong CODE   a file or fragment of which exactly these codes are told
```ein NAME.ein wrong   a file with mistakes that a command shows
```console          commands with what they print; EIN_REWRITE_GOLDEN=1 rewrites that: read it then
```python           a program that runs beside those files
```text             the words that are keywords
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from ein.cli import run
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source, Span, render_all
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse
from ein.grammar.notation.table import load
from ein.grammar.request import LIMITS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "language.md"
TEXT = PAGE.read_text(encoding="utf-8")
FENCE = re.compile(r"(?ms)^```(\w+)(?: ([^\n]*))?\n(.*?)^```$")
IDS = re.compile(r"@[0-9a-f]{8}:[0-9a-f]{16}")
BLOCKS = [(kind, info, text) for kind, info, text in FENCE.findall(TEXT)]
TERM = re.compile(r"(.*?)\s+# (.*)")


def of(kind: str, info: str) -> list[str]:
    return [text for k, i, text in BLOCKS if k == kind and re.fullmatch(info, i)]


def whole(text: str) -> str:
    """A fragment with what it leaves out."""
    if text.startswith("ein 1"):
        return text
    if "arch " in text or "input " in text:
        return f"ein 1\nimport std\n{text}"
    return f"ein 1\nimport std\ninput im[3, 32, 32]\n{text}"


FRAGMENTS = of("ein", "fragment")
WRONG = [(info.split()[1:], text) for kind, info, text in BLOCKS if kind == "ein" and info.startswith("wrong")]
RIGHT = [info for kind, info, _ in BLOCKS if kind == "ein" and re.fullmatch(r"\w+\.ein", info)]
FILES = {info.split()[0]: text for kind, info, text in BLOCKS if kind == "ein" and re.match(r"\w+\.ein", info)}
TERMS = [found.groups() for text in of("ein", "term") for line in text.splitlines() if (found := TERM.match(line))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_block_is_left_out() -> None:
    known = r"|fragment|term|wrong( [EW]\d{3})+|\w+\.ein( wrong)?"
    assert all(re.fullmatch(known, info) for kind, info, _ in BLOCKS if kind == "ein")
    assert {kind for kind, _, _ in BLOCKS} <= {"ein", "console", "text", "python"}
    assert len(FRAGMENTS) >= 15 and len(TERMS) >= 15 and len(WRONG) >= 10
    assert sum(len(text.splitlines()) for text in of("ein", "term")) == len(TERMS)


def _is_right(source: Source) -> None:
    grammar, found = check(source)
    assert render_all(found) == ""
    assert grammar is not None
    if grammar.rules and grammar.input is not None:
        _can_be_drawn_from(source)


def _can_be_drawn_from(source: Source) -> None:
    sampler = Sampler.of(load_grammar(source))
    assert {sampler.draw(0, index, attempts=200).modules for index in range(20)}


@pytest.mark.parametrize("text", FRAGMENTS, ids=[text.partition("\n")[0] for text in FRAGMENTS])
def test_a_fragment_is_right(text: str) -> None:
    _is_right(Source("fragment.ein", whole(text)))


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_is_right(folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", name]) == 0
    assert capfd.readouterr() == (f"{name}: no mistakes\n", "")


@pytest.mark.parametrize(("codes", "text"), WRONG, ids=[" ".join(codes) for codes, _ in WRONG])
def test_what_is_wrong_is_told(codes: list[str], text: str) -> None:
    found = check(Source("wrong.ein", whole(text)))[1]
    assert [d.code for d in found] == codes, render_all(found)


@pytest.mark.parametrize(("term", "type"), TERMS)
def test_a_term_has_the_type_beside_it(term: str, type: str) -> None:
    text = f"ein 1\nimport std\narch net : {type} = {term}\n"
    assert render_all(check(Source("term.ein", text))[1]) == ""


def test_a_wrong_type_beside_a_term_is_seen() -> None:
    term, type = TERMS[0]
    text = f"ein 1\nimport std\narch net : {type.replace('32]', '31]', 1)} = {term}\n"
    assert check(Source("term.ein", text))[1]


def test_the_sets_hold_what_is_listed() -> None:
    rows = re.findall(r"(?m)^\| `(\{[^`]*\})` \| ([\d ]+) \|$", TEXT)
    assert len(rows) >= 3
    for written, listed in rows:
        text = f"rule Net = for k in {written} : linear(k)\n"
        assert _drawn(text) == set(listed.split())


def _drawn(text: str) -> set[str]:
    sampler = Sampler.of(load_grammar(Source("set.ein", whole(text))))
    return {re.sub(r"\D", "", sampler.draw(0, index).text) for index in range(100)}


def test_the_console_shows_what_the_commands_print(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rewrite = bool(os.environ.get("EIN_REWRITE_GOLDEN"))

    def anew(found: re.Match[str]) -> str:
        kind, _, block = found.groups()
        if kind != "console":
            return found[0]
        shown = ""
        for command in re.findall(r"(?m)^\$ (.*)", block):
            run(shlex.split(command)[1:])
            said = capfd.readouterr()
            shown += f"$ {command}\n{said.out}{said.err}"
        assert rewrite or IDS.sub("ID", shown).rstrip() == IDS.sub("ID", block).rstrip()
        return f"```console\n{shown.rstrip()}\n```"

    page = FENCE.sub(anew, TEXT)
    if rewrite:
        PAGE.write_text(page, encoding="utf-8")


def test_the_python_runs(folder: Path) -> None:
    (code,) = of("python", "")
    (folder / "program.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "program.py"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "swish" in ended.stdout


def test_the_keywords_are_listed() -> None:
    (listed,) = of("text", "")
    assert sorted(listed.split()) == sorted(load().words)


def test_every_form_of_the_language_occurs() -> None:
    """Every class of the syntax tree but those of files that `ein sample -o` writes; and every operator and word."""
    texts = [whole(text) for kind, info, text in BLOCKS if kind == "ein" and info != "term"]
    texts += [f"arch net : {type} = {term}\n" for term, type in TERMS]
    met: set[type] = set()
    for text in texts:
        _meet(parse(Source("form.ein", text))[0], met)
    forms = {each for each in vars(s).values() if isinstance(each, type) and issubclass(each, s.Node)}
    assert {form.__name__ for form in forms - met} == {"Node", "DerivationDecl"}
    shown = re.sub(r"#.*", "", "".join(texts))
    assert set(load().words) - {"derivation"} <= set(re.findall(r"[a-z]+", shown))
    assert all(sign in shown for sign in load().signs)


def _meet(node: object, met: set[type]) -> None:
    if isinstance(node, tuple):
        for each in node:
            _meet(each, met)
    elif is_dataclass(node) and not isinstance(node, type | Span | Source):
        met.add(type(node))
        for field in fields(node):
            _meet(getattr(node, field.name), met)


def test_what_a_body_can_call_is_listed() -> None:
    from ein.grammar.bodies import axis_functions, vetted
    from ein.grammar.bodies.lines import DISTRIBUTIONS
    from ein.grammar.bodies.starts import START_FUNCTIONS

    section = TEXT[TEXT.index("**What a body can call**") : TEXT.index("**A signature is a claim")]
    listed = {word for quoted in re.findall(r"`(.*?)`", section) for word in re.findall(r"[\w.]+", quoted)}
    known = vetted.POINTWISE | set(vetted.POINTWISE_NAMED) | axis_functions.NAMES | START_FUNCTIONS
    known |= set(vetted.LAYERS) | set(vetted.FUNCTIONS)
    assert known - listed == set()
    assert set(DISTRIBUTIONS) <= set(re.findall(r"\w+", TEXT))


def test_the_limits_are_named() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| [^|]*\|$", TEXT[TEXT.index("**Limits** hold") : TEXT.index("## Modules")])
    assert rows == list(LIMITS)


def test_the_probabilities_of_the_text() -> None:
    """20 %, and of the other 80 % weights 8, 1 and 4."""
    (text,) = (text for text in FRAGMENTS if "Body >> Body @ 20%" in text)
    sampler = Sampler.of(load_grammar(Source("p.ein", whole(text))))
    odds = {}
    for index in range(200):
        drawn = sampler.draw(0, index)
        first, *rest = drawn.text.split(" >> ")
        if len(rest) == 2:
            odds[first] = 10**drawn.log10_probability
    assert odds["relu"] == pytest.approx(0.8 / 13)
    assert odds["conv(8, k = 1)"] == pytest.approx(0.8 / 13)
    assert odds["conv(8)"] == pytest.approx(0.8 * 3 / 13)
    assert odds["linear(64)"] == pytest.approx(0.8 / 13)


def test_the_links_lead_somewhere() -> None:
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", TEXT))
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert len(links) >= 3
    assert all((PAGE.parent / link).exists() for link in links)
    titles = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^## (.*)", TEXT)}
    assert set(re.findall(r"\]\(#([^)]+)\)", prose)) == titles
