"""The search itself: propose, record, run, record, until there are so many trials."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import fail
from ein.search.executor import Executor, Outcome
from ein.search.protocol import TRIES, Proposal, Strategy, Trial
from ein.search.study import Study

CHECKED = 16
"""Recorded proposals, evenly spread, that are made again before a study goes on; the last `lag` besides."""


def run(
    study: Study,
    strategy: Strategy,
    executor: Executor,
    evals: int,
    identity: Callable[[Derivation], str],
    on_event: Callable[[Trial], None] | None = None,
) -> None:
    """Goes on until the study has `evals` trials and all have ended. Duplicates count; they are not run.

    Proposals are made in order of number, each as soon as trials 0 … number - lag have ended. A proposal is recorded
    before it is run, and so is each outcome when it comes. `identity` says which network a derivation is.
    `on_event` is called with each trial after its start was recorded (it is unfinished then) and after its end was.

    KeyboardInterrupt passes through: what has ended is kept, and what was running will run again on resume. Raises
    EinError where the study cannot be written, where the space gives nothing to propose, or where it holds proposals
    that the strategy would not make.
    """
    try:
        _Search(study, strategy, executor, evals, identity, on_event or (lambda trial: None)).run()
    except KeyboardInterrupt:
        study.reload()
        raise


class _Search:
    """What of a run is not in the study: the trials at the executor, those to run again, and networks by identity."""

    def __init__(
        self,
        study: Study,
        strategy: Strategy,
        executor: Executor,
        evals: int,
        identity: Callable[[Derivation], str],
        on_event: Callable[[Trial], None],
    ) -> None:
        self.study = study
        self.strategy = strategy
        self.executor = executor
        self.evals = evals
        self.identity = identity
        self.on_event = on_event
        self.running: set[int] = set()
        self.again: deque[tuple[int, Derivation]] = deque()
        self.ended = 0  # trials 0 … ended - 1 have ended
        self.identities: dict[str, str] = {}  # by trace
        self.networks: dict[str, int] = {}  # by identity: the first trial of each

    def run(self) -> None:
        self._recover()
        while True:
            if not self._fill():
                self.study.sync()
            if not self.running:
                return
            self._record(self.executor.wait())

    def _recover(self) -> None:
        """Takes up the trials of the study; proposals without an outcome are to run again, first of all."""
        for trial in self.study.trials:
            self._know(trial)
        self._advance()
        for number in self._checked():
            trial = self.study[number]
            proposal = self._proposed_again(trial)
            if not trial.finished and trial.twin is None and number < self.evals:
                self.again.append((number, proposal.derivation))

    def _checked(self) -> list[int]:
        count = len(self.study)
        spread = range(0, count, max(1, count // CHECKED))
        unfinished = [trial.number for trial in self.study.first(count) if not trial.finished]
        return sorted({*spread, *unfinished, *range(max(0, count - self.study.lag), count)})

    def _proposed_again(self, trial: Trial) -> Proposal:
        proposal = self._proposal(trial.number, trial.attempt)
        found = (proposal.derivation.trace, proposal.kind, proposal.parent)
        if found != (trial.trace, trial.kind, trial.parent):
            message = f"proposal {trial.number} of the study is `{trial.term}`, and would now be another"
            help = "go on with the version of ein that began the study, or begin a new one"
            raise fail("E857", message, help=help)
        return proposal

    def _fill(self) -> bool:
        """Starts trials until the workers are busy or nothing more can be known; whether there were new ones."""
        before = len(self.study)
        while len(self.running) < self.executor.workers:
            if self.again:
                self._start(*self.again.popleft())
            elif len(self.study) < self.evals and self.ended > len(self.study) - self.study.lag:
                self._propose()
            else:
                break
        return len(self.study) > before

    def _propose(self) -> None:
        trial, derivation = self._new(len(self.study))
        ended = self.study.propose(trial)
        self._know(trial)
        if trial.twin is None:
            self._start(trial.number, derivation)
        else:
            self.on_event(trial)
        self._tell(ended)

    def _new(self, number: int) -> tuple[Trial, Derivation]:
        """The first draw that is no network of an earlier trial, or the last draw."""
        for attempt in range(TRIES):
            proposal = self._proposal(number, attempt)
            identity = self._identity(proposal.derivation)
            twin = self.networks.get(identity)
            if twin is None or proposal.kind == "seed":
                break
        return _trial(number, attempt, proposal, identity, twin), proposal.derivation

    def _proposal(self, number: int, attempt: int) -> Proposal:
        return self.strategy.propose(number, attempt, self.study.first(max(0, number - self.study.lag + 1)))

    def _start(self, number: int, derivation: Derivation) -> None:
        self.running.add(number)
        self.on_event(self.study[number])
        self.executor.submit(number, derivation)

    def _record(self, outcomes: list[tuple[int, Outcome]]) -> None:
        ended = self.study.finish(outcomes)
        self.running.difference_update(number for number, _ in outcomes)
        self._tell(ended)

    def _tell(self, ended: list[Trial]) -> None:
        self._advance()
        for trial in ended:
            self.on_event(trial)

    def _advance(self) -> None:
        while self.ended < len(self.study) and self.study[self.ended].finished:
            self.ended += 1

    def _identity(self, derivation: Derivation) -> str:
        known = self.identities.get(derivation.trace)
        return self.identity(derivation) if known is None else known

    def _know(self, trial: Trial) -> None:
        self.identities[trial.trace] = trial.identity
        self.networks.setdefault(trial.identity, trial.number)


def _trial(number: int, attempt: int, proposal: Proposal, identity: str, twin: int | None) -> Trial:
    drawn = proposal.derivation
    return Trial(
        number=number,
        kind=proposal.kind,
        parent=proposal.parent,
        attempt=attempt,
        id=drawn.id,
        trace=drawn.trace,
        term=drawn.text,
        modules=drawn.modules,
        identity=identity,
        twin=twin,
    )
