"""What the processes of a campaign do: run a seed, shrink what failed, draw a picture of it."""

from __future__ import annotations

import time

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation import catalogue
from meshp2p.simulation.pictures import NO_PICTURES, Pictures, pictured
from meshp2p.simulation.report import Finding, Reduced, Report, code_of
from meshp2p.simulation.script import play
from meshp2p.simulation.shrink import shrink
from meshp2p.simulation.swarm import Outcome, Plan


@attrs.frozen
class RunSeed:
    """Run one seed of a scenario.

    Args:
        pictures: Of the run, for seeds that are looked at and not searched.
    """

    scenario: str
    seed: int
    pictures: Pictures = NO_PICTURES

    def __call__(self) -> Report:
        """Run it."""
        began = time.process_time()
        try:
            scenario = catalogue.find(self.scenario).scenario
            plan = scenario.draw(self.seed)
        except Exception as error:  # noqa: BLE001  # whatever a user's own file raises
            return self._undrawn(error)
        outcome, unwritten = pictured(scenario, plan, self.scenario, self.pictures)
        report = Report.of(self.scenario, outcome, time.process_time() - began)
        return attrs.evolve(report, unwritten=unwritten)

    def _undrawn(self, error: Exception) -> Report:
        text = f"the scenario drew no plan: {error!r}"
        finding = Finding(
            scenario=self.scenario, seed=self.seed, invariant="no error", text=text, at=0.0
        )
        return Report(
            scenario=self.scenario,
            seed=self.seed,
            finding=finding,
            coverage={},
            simulated=0.0,
            node_seconds=0.0,
            events=0,
            cpu=0.0,
        )


@attrs.frozen
class Reduce:
    """Find the fewest faults with which a seed still fails, and draw that run.

    Args:
        budget: Real seconds.
    """

    scenario: str
    seed: int
    pictures: Pictures
    budget: Seconds

    def __call__(self) -> Reduced | None:
        """Run it again and again; None if it does not fail any more."""
        scenario = catalogue.find(self.scenario).scenario

        def run(plan: Plan) -> Outcome:
            return play(scenario, plan, called=self.scenario)

        plan = scenario.draw(self.seed)
        violation = run(plan).violation
        if violation is None:
            return None
        shrunk = shrink(plan, violation, run=run, budget=self.budget)
        unwritten = ""
        if self.pictures:
            _, unwritten = pictured(scenario, shrunk.plan, self.scenario, self.pictures)
        return Reduced(
            finding=Finding.of(self.scenario, self.seed, shrunk.violation),
            before=len(plan.schedule.faults),
            after=len(shrunk.plan.schedule.faults),
            runs=shrunk.runs,
            code=code_of(self.scenario, self.seed, shrunk.plan.schedule),
            unwritten=unwritten,
        )
