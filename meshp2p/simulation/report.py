"""What a process that runs seeds hands back: plain data, so that it can travel."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.faults import Schedule
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.script import Played
from meshp2p.simulation.swarm import Outcome

_REPLAY = "; replay: "


@attrs.frozen(kw_only=True)
class Finding:
    """A promise that was broken.

    Args:
        seed: Shows it again.
        invariant: Its name.
        at: Virtual seconds since the world began.
        nodes: Names of those concerned.
    """

    scenario: str
    seed: int
    invariant: str
    text: str
    at: Seconds
    nodes: tuple[str, ...] = ()

    @classmethod
    def of(cls, scenario: str, seed: int, violation: Violation) -> Finding:
        """In the campaign's words: how to replay it is said once, by whoever shows it."""
        return cls(
            scenario=scenario,
            seed=seed,
            invariant=violation.name,
            text=violation.text.partition(_REPLAY)[0],
            at=violation.at,
            nodes=violation.nodes,
        )

    @property
    def replay(self) -> str:
        """The one command that shows it again."""
        return f"meshp2p simulate {self.scenario} --seed {self.seed}"


@attrs.frozen(kw_only=True)
class Report:
    """What came of one seed.

    Args:
        finding: None if all promises were kept.
        coverage: How often each fault really did something.
        simulated: Virtual seconds.
        node_seconds: The same for all nodes together.
        cpu: Real seconds of a processor.
        figures: What a script measured.
        unwritten: Which picture could not be written and why; empty if none was missed.
    """

    scenario: str
    seed: int
    finding: Finding | None
    coverage: Mapping[str, int]
    simulated: Seconds
    node_seconds: Seconds
    events: int
    cpu: Seconds
    figures: Mapping[str, float] = attrs.field(factory=dict)
    unwritten: str = ""

    @classmethod
    def of(cls, scenario: str, outcome: Outcome, cpu: Seconds) -> Report:
        """Keep what a campaign counts."""
        broken = outcome.violation
        return cls(
            scenario=scenario,
            seed=outcome.seed,
            finding=None if broken is None else Finding.of(scenario, outcome.seed, broken),
            coverage=dict(outcome.coverage),
            simulated=outcome.simulated_seconds,
            node_seconds=outcome.simulated_seconds * len(outcome.plan.names),
            events=outcome.events,
            cpu=cpu,
            figures=dict(outcome.figures) if isinstance(outcome, Played) else {},
        )


@attrs.frozen(kw_only=True)
class Reduced:
    """A finding with the fewest faults that show it.

    Args:
        before: Faults that were drawn; `after`: that were left.
        runs: How many it took.
        code: To be pasted: draws the plan, puts in the faults that were left, plays it.
        unwritten: As in a `Report`.
    """

    finding: Finding
    before: int
    after: int
    runs: int
    code: str
    unwritten: str = ""


def code_of(word: str, seed: int, schedule: Schedule) -> str:
    """A program that plays a seed of a scenario with these faults instead of its own."""
    known: dict[str, set[str]] = {"meshp2p.simulation.faults": {"Schedule"}}
    for kind in set(_classes(schedule)) - {Schedule}:
        module = kind.__module__
        if module.startswith("meshp2p.simulation.faults."):
            module = "meshp2p.simulation.faults"
        known.setdefault(module, set()).add(kind.__name__)
    known["meshp2p.simulation.catalogue"] = {"find"}
    known["meshp2p.simulation.script"] = {"play"} | known.get("meshp2p.simulation.script", set())
    text = repr(schedule)
    imports = ["from math import inf"] if "inf" in text else []
    imports += ["import attrs"]
    imports += [f"from {name} import {', '.join(sorted(known[name]))}" for name in sorted(known)]
    body = [
        f"scenario = find({word!r}).scenario",
        f"schedule = {text}",
        f"plan = attrs.evolve(scenario.draw({seed}), schedule=schedule)",
        "print(play(scenario, plan).violation)",
    ]
    return "\n".join([*imports, "", *body, ""])


def _classes(value: object) -> list[type]:
    """Of a value and of all that it holds."""
    if isinstance(value, tuple):
        return list(chain.from_iterable(map(_classes, value)))
    kind = type(value)
    if not attrs.has(kind):
        return []
    fields = (getattr(value, field.name) for field in attrs.fields(kind))
    return [kind, *chain.from_iterable(map(_classes, fields))]
