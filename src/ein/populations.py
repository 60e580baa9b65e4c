"""The architectures of a folder, or of a study, to be drawn side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ein.compiler.drawing.texts import clean, network_text
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import read_architecture, recorded_space, replayed
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.space import Space
from ein.search import results
from ein.search.protocol import Trial, score
from ein.search.record import FILE
from ein.search.study import Study

ENDING = ".ein"


@dataclass(frozen=True, slots=True)
class Member:
    """`name` can be that of a file; `note` says what it is worth."""

    name: str
    note: str
    derivation: Derivation


def members(folder: Path, request: Request, count: int | None, say: Callable[[str], None]) -> list[Member]:
    """The architectures of the `.ein` files of a folder by name, or those of a study, best first.

    At most `count`. Files that hold no architecture or cannot be read are left out, and `say` is told. Raises EinError
    where the folder cannot be read or holds nothing to draw.
    """
    if not folder.is_dir():
        raise fail("E601", f"there is no folder `{folder}`")
    study = (folder / FILE).exists()
    found = list(_trials(folder, request, count) if study else islice(_files(folder, request, say), count))
    if not found:
        raise fail("E705", f"`{folder}` holds no architecture", help="`ein sample GRAMMAR -n 20 -o DIR` draws some")
    return found


def _files(folder: Path, request: Request, say: Callable[[str], None]) -> Iterator[Member]:
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            drawn = _of_file(path, request)
        except EinError as error:
            say(clean(f"{path} is left out: {error.diagnostics[0].message}"))
            continue
        if not drawn:
            say(clean(f"{path} is left out: it is a space of architectures, and holds none"))
        yield from (Member(name, network_text(derivation.cost), derivation) for name, derivation in drawn)


def _of_file(path: Path, request: Request) -> list[tuple[str, Derivation]]:
    grammar = load_grammar(str(path), request)
    names = list(grammar.architectures)
    if len(names) == 1:
        return [(path.stem, read_architecture(str(path), request))]
    return [(f"{path.stem}-{name}", architecture(grammar, name)) for name in names]


def _trials(folder: Path, request: Request, count: int | None) -> Iterator[Member]:
    study = Study.read(folder)
    best = results.best(study.trials, len(study) if count is None else count)
    if best:
        space = _space(folder, study, request)
        for trial in best:
            yield Member(f"trial-{trial.number:04}", _scored(trial), _derivation(space, trial, folder))


def _scored(trial: Trial) -> str:
    return f"{score(trial):.4f} · {trial.modules:,} modules"


def _space(folder: Path, study: Study, request: Request) -> Space:
    """The space that the study searched: from the library, or beside the study, above it or here; the same one."""
    name, _, digest = study.header["space"].partition("@")
    asked: Mapping[str, Any] = study.notes.get("asked", {})
    wanted = replace(
        request,
        parameters={**asked.get("set", {}), **request.parameters},
        input=request.input or study.header["input"],
        output=request.output or asked.get("output"),
    )
    space, _ = recorded_space(name, digest, folder.resolve(), wanted)
    if space is not None:
        return space
    message = f"the space `{name}` ({digest}) of the study `{folder}` is not at hand"
    raise fail("E862", message, help="put its file beside the study, unchanged; --set gives what it was asked with")


def _derivation(space: Space, trial: Trial, folder: Path) -> Derivation:
    start = space.grammar.input
    assert start is not None, "spaces that are searched say their input"
    found = replayed(space, trial.trace, trial.modules, start, trial.term)
    if found is None:
        message = f"trial {trial.number} of `{folder}` is not a derivation of its space"
        raise fail("E862", message, help="the study was changed by hand, or by another version")
    return found
