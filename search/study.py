"""A study: the trials of a search, in memory and in the file of a folder.

    with Study.open("runs/a", header(strategy, sampler, LAG), resume=True) as study:
        run(study, strategy, Inline(fitness), evals=100, identity=identity)
    print(study.best(5))

The file is all there is: whoever opens it has every trial that had ended, and what comes
next follows from these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.search import results
from ein.search.executor import Outcome
from ein.search.protocol import Strategy, Trial
from ein.search.record import FILE, Record, json_text, nothing_in


def header(strategy: Strategy, sampler: Sampler, lag: int, **more: Any) -> dict[str, Any]:
    """What has to be the same for a study to go on; `more` is plain data of the caller (task, training, version)."""
    if lag < 1:
        raise ValueError(f"lag is at least 1, got {lag}")
    grammar = sampler.grammar
    said = {
        "space": f"{grammar.name}@{grammar.digest}",
        "input": repr(grammar.input),
        "limits": asdict(sampler.limits),
        "strategy": strategy.settings(),
        "seed": strategy.seed,
        "lag": lag,
        **more,
    }
    plain: dict[str, Any] = json.loads(json_text(said))
    return plain


class Study:
    """Open to one writer at a time (`open`), and to any number of readers (`read`)."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.header, self.notes = record.header()
        self._trials = record.trials()

    @classmethod
    def open(
        cls,
        folder: str | PathLike[str] | None,
        header: Mapping[str, Any],
        *,
        resume: bool = False,
        durable: bool = True,
        notes: Mapping[str, Any] | None = None,
    ) -> Study:
        """Begins a study, or with `resume` goes on with the one that the folder holds. No folder: it is not kept.

        `notes` are kept and not compared. Not `durable`: faster, and a loss of power may take the last trials.
        Raises EinError where a study is there and `resume` is not said, where it is another search, is being
        written by another process, or cannot be read or written.
        """
        record = Record.write(None if folder is None else Path(folder), durable)
        try:
            if record.empty:
                record.create(header, notes or {})
            elif not resume:
                message = f"`{folder}` already holds a study of {len(record.trials()):,} trials"
                raise fail("E856", message, help="--resume goes on with it; another --out begins a new one")
            study = cls(record)
            _same_search(f"{folder}", study.header, header)
        except BaseException:
            record.close()
            raise
        return study

    @classmethod
    def read(cls, folder: str | PathLike[str]) -> Study:
        """The trials as they are now, also while a search goes on. Raises EinError where there is no study."""
        with Record.read(Path(folder)) as record:
            if record.empty:
                raise nothing_in(folder)
            return cls(record)

    @classmethod
    def kept_header(cls, folder: str | PathLike[str]) -> Mapping[str, Any] | None:
        """What the study of a folder was begun with; None where there is none yet. Raises EinError for other files."""
        if not Path(folder, FILE).is_file():
            return None
        with Record.read(Path(folder)) as record:
            return None if record.empty else record.header()[0]

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Study of {self.header['space']}: {len(self._trials)} trials>"

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials, in order of number."""
        return tuple(self._trials)

    @property
    def lag(self) -> int:
        return int(self.header["lag"])

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def first(self, count: int) -> Sequence[Trial]:
        """Trials 0 … count - 1."""
        return self._trials[:count]

    def best(self, n: int = 1, objective: str | None = None) -> list[Trial]:
        """The trials of the highest scores, best first, no network twice; of equals the earlier."""
        return results.best(self._trials, n, objective)

    def tally(self, objective: str | None = None) -> results.Tally:
        return results.tally(self._trials, objective)

    def to_jsonl(self) -> Iterator[str]:
        """A line for each trial, without line ends."""
        return map(results.json_line, self._trials)

    def propose(self, trial: Trial) -> list[Trial]:
        """Records the next trial, on the disk when this returns; a duplicate of an ended trial ends at once.

        Gives back what has ended. Raises EinError where it cannot be written; then nothing has changed.
        """
        twin = None if trial.twin is None else self._trials[trial.twin]
        ended = [_duplicate(trial, twin)] if twin is not None and twin.finished else []
        self._record.add([trial], ended)
        self._trials += ended or [trial]
        return ended

    def finish(self, outcomes: Iterable[tuple[int, Outcome]]) -> list[Trial]:
        """Records how trials ended, and with them their duplicates; `sync`, or the next proposal, puts it on the disk.

        Gives back what has ended. Raises EinError where it cannot be written; then nothing has changed.
        """
        ended = [_ended(self._trials[number], outcome) for number, outcome in outcomes]
        for twin in list(ended):
            later = self._trials[twin.number + 1 :]
            ended += [_duplicate(trial, twin) for trial in later if trial.twin == twin.number and not trial.finished]
        self._record.add([], ended)
        for trial in ended:
            self._trials[trial.number] = trial
        return ended

    def reload(self) -> None:
        """Takes the trials from the file anew: after an interrupt, memory may lag behind it."""
        self._trials = self._record.trials()

    def sync(self) -> None:
        """Returns once everything recorded is on the disk."""
        self._record.sync()

    def close(self) -> None:
        """The trials can still be looked at."""
        self._record.close()


def _ended(trial: Trial, outcome: Outcome) -> Trial:
    return replace(
        trial,
        status=outcome.status,
        scores=dict(outcome.scores),
        reason=outcome.reason,
        seconds=outcome.seconds,
        facts=json.loads(json_text(outcome.facts)),
    )


def _duplicate(trial: Trial, twin: Trial) -> Trial:
    return replace(trial, status="duplicate", scores=twin.scores, reason=f"the network of trial {twin.number}")


def _same_search(folder: str, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raises EinError that lists every setting in which a study differs from the search that is to go on with it."""
    old, new = dict(_leaves(kept)), dict(_leaves(asked))
    differing = [key for key in dict.fromkeys([*new, *old]) if old.get(key) != new.get(key)]
    if not differing:
        return
    rows = [f"{key} is {_shown(old.get(key))} in the study and {_shown(new.get(key))} here" for key in differing]
    message = f"the study in `{folder}` is of another search: {'; '.join(rows)}"
    raise fail("E853", message, help="search as the study does, or begin a new one with another --out")


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """`strategy.population` and its value, for every entry of nested mappings."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, each in value.items():
        yield from _leaves(each, f"{path}.{key}" if path else str(key))


def _shown(value: Any) -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json_text(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
