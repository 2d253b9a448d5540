"""Many seeds of one or more scenarios, over several processes.

Seeds that were asked for always run. If time is given as well, further ones follow until it
is over: half of the time goes to scenarios that draw everything at random, the others share
the rest. Seeds that are still missing then are drawn at random. The first seed of a scenario
that breaks a promise is shrunk while others go on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.catalogue import Found
from meshp2p.simulation.crew import Crew, Done, Lost
from meshp2p.simulation.pictures import NO_PICTURES, Pictures
from meshp2p.simulation.report import Finding, Reduced, Report
from meshp2p.simulation.script import Script
from meshp2p.simulation.seeds import Reduce, RunSeed
from meshp2p.simulation.tally import Tally

LOST: Final = "no answer"
"""In place of an invariant: the process of a seed died or hung."""
SHRINKING: Final[Seconds] = 30.0
"""Real seconds for the first finding of each scenario."""
_TICK: Final[Seconds] = 0.5


class Audience(Protocol):
    """Who is told while it goes on."""

    def found(self, finding: Finding) -> None:
        """A promise was broken."""
        ...

    def reduced(self, reduced: Reduced) -> None:
        """It was shrunk."""
        ...

    def irreducible(self, scenario: str, seed: int, why: str) -> None:
        """It was not."""
        ...

    def tick(self, campaign: Campaign) -> None:
        """Some seeds later, or some time."""
        ...


@attrs.define(eq=False)
class Entry:
    """A scenario in a campaign.

    Args:
        asked: Seeds that must run.
        then: The first further one.
        tally: What came of it.
    """

    found: Found
    asked: range
    then: int
    tally: Tally = attrs.field(factory=Tally, init=False)
    shrunk: bool = attrs.field(default=False, init=False)

    @property
    def word(self) -> str:
        """How it is called."""
        return self.found.word


@attrs.frozen(kw_only=True)
class Limits:
    """How long a campaign goes on.

    Args:
        seconds: After the seeds that were asked for, until so much real time has passed.
        seeds: And until so many seeds were run.
        patience: Real seconds for one seed.
        fail_fast: Stop at the first broken promise.
    """

    seconds: Seconds = 0.0
    seeds: int = 0
    patience: Seconds = 300.0
    fail_fast: bool = False


@attrs.define(eq=False)
class Campaign:
    """Runs entries within limits.

    Args:
        pictures: Of the first finding, or of the first seed if it is the only one.
    """

    entries: Sequence[Entry]
    limits: Limits
    audience: Audience
    pictures: Pictures = NO_PICTURES
    total: Tally = attrs.field(factory=Tally, init=False)
    reductions: list[Reduced] = attrs.field(factory=list, init=False)
    unwritten: list[str] = attrs.field(factory=list, init=False)
    """Which picture could not be written, and why; a sentence for each run."""
    began: float = attrs.field(factory=time.monotonic, init=False)
    _spent: dict[str, Seconds] = attrs.field(factory=dict, init=False)
    _reducing: list[Reduce] = attrs.field(factory=list, init=False)
    _running: set[tuple[str, int]] = attrs.field(factory=set, init=False)

    @property
    def seconds(self) -> Seconds:
        """Real time so far."""
        return time.monotonic() - self.began

    @property
    def drawn_nothing(self) -> bool:
        """Whether pictures were wanted of a violation, and there was none."""
        return bool(self.pictures) and not self.total.findings and not self._is_alone

    @property
    def _is_alone(self) -> bool:
        return self.asked == 1 and not self.limits.seconds and not self.limits.seeds

    @property
    def asked(self) -> int:
        """Seeds that must run."""
        return sum(len(entry.asked) for entry in self.entries)

    def next_seed(self, entry: Entry) -> int:
        """From which another campaign can go on: all further seeds before it are done."""
        running = [seed for word, seed in self._running if word == entry.word]
        return min([seed for seed in running if seed not in entry.asked], default=entry.then)

    def run(self, jobs: int) -> None:
        """Run on so many processes; whatever ends this, none of them is left.

        Raises:
            CrewError: They cannot be started.
        """
        if not self.limits.seconds:  # more would have nothing to do
            jobs = min(jobs, max(self.asked, self.limits.seeds))
        crew = Crew(jobs, self.limits.patience)
        try:
            self._run(crew)
        finally:
            crew.close()

    def _run(self, crew: Crew) -> None:
        seeds = self._seeds()
        there_are_more = True
        while True:
            while crew.idle and (self._reducing or there_are_more):
                job = self._reducing.pop(0) if self._reducing else next(seeds, None)
                if job is None:
                    there_are_more = False
                    break
                if isinstance(job, RunSeed):
                    self._running.add((job.scenario, job.seed))
                crew.give(job)
            if not crew.busy:
                return
            for ended in crew.wait(_TICK):
                self._take(ended)
            self.audience.tick(self)
            if self.limits.fail_fast and self.total.findings:
                there_are_more = False

    # --- what is next ------------------------------------------------------------

    def _seeds(self) -> Iterator[RunSeed]:
        for entry in self.entries:
            for seed in entry.asked:
                yield RunSeed(entry.word, seed, self.pictures if self._is_alone else NO_PICTURES)
        while self._goes_on():
            entry = self.next_entry()
            self._spent[entry.word] = self._spent.get(entry.word, 0.0) + _cost(entry)
            yield RunSeed(entry.word, entry.then)
            entry.then += 1

    def next_entry(self) -> Entry:
        """Whose turn it is for a further seed: of those that end in time, if there are any.

        Otherwise one process would be busy with a large mesh while all others are done.
        """
        left = self.limits.seconds - self.seconds
        if self.limits.seconds and left <= 0.0:  # only seeds are missing: a large mesh is but one
            return min(self.entries, key=lambda entry: (_is_script(entry), _cost(entry)))
        in_time = [entry for entry in self.entries if _cost(entry) <= left]
        return min(in_time or self.entries, key=self._share)

    def _goes_on(self) -> bool:
        return self.seconds < self.limits.seconds or self.total.seeds < self.limits.seeds

    def _share(self, entry: Entry) -> float:
        """What it was given so far, in proportion to what it shall have."""
        scripts = sum(map(_is_script, self.entries))
        weight = 1 if _is_script(entry) else max(1, scripts)
        return self._spent.get(entry.word, 0.0) / weight

    # --- what has come -------------------------------------------------------------

    def _take(self, ended: Done | Lost) -> None:
        job = ended.job
        if isinstance(job, RunSeed):
            self._running.discard((job.scenario, job.seed))
        if isinstance(ended, Done) and isinstance(ended.result, Report):
            self._count(ended.result)
        elif isinstance(ended, Done) and isinstance(ended.result, Reduced):
            self.reductions.append(ended.result)
            self._note(ended.result.unwritten)
            self.audience.reduced(ended.result)
        elif isinstance(ended, Lost) and isinstance(job, RunSeed):
            self._lose(job, ended.why)
        elif isinstance(job, Reduce):
            why = ended.why if isinstance(ended, Lost) else "it did not fail again"
            self.audience.irreducible(job.scenario, job.seed, why)

    def _count(self, report: Report) -> None:
        entry = self._entry(report.scenario)
        entry.tally.add(report)
        self.total.add(report)
        self._note(report.unwritten)
        if report.finding is not None:
            self._find(entry, report.finding)

    def _note(self, unwritten: str) -> None:
        if unwritten:
            self.unwritten.append(unwritten)

    def _lose(self, job: RunSeed, why: str) -> None:
        entry = self._entry(job.scenario)
        lost = Finding(scenario=job.scenario, seed=job.seed, invariant=LOST, text=why, at=0.0)
        entry.tally.lose(lost)
        self.total.lose(lost)
        self.audience.found(lost)

    def _find(self, entry: Entry, finding: Finding) -> None:
        self.audience.found(finding)
        if not entry.shrunk:
            entry.shrunk = True
            pictures = NO_PICTURES if any(each.shrunk for each in self._others(entry)) else None
            pictures = self.pictures if pictures is None else pictures
            budget = min(SHRINKING, self.limits.patience / 3)
            self._reducing.append(Reduce(entry.word, finding.seed, pictures, budget))

    def _others(self, entry: Entry) -> list[Entry]:
        return [each for each in self.entries if each is not entry]

    def _entry(self, word: str) -> Entry:
        return next(entry for entry in self.entries if entry.word == word)


def _is_script(entry: Entry) -> bool:
    """Whether it tells a story; other scenarios draw everything at random."""
    return isinstance(entry.found.scenario, Script)


def _cost(entry: Entry) -> Seconds:
    """Expected of one more seed."""
    tally = entry.tally
    return tally.cpu / tally.seeds if tally.seeds and tally.cpu else 0.1
