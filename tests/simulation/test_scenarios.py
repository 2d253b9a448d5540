"""The scenarios that come with meshp2p: one seed of each here, the rest in the campaign."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from meshp2p.engine import Engine
from meshp2p.ids import Seconds
from meshp2p.simulation import Node, catalogue
from meshp2p.simulation.accuser import Accuse
from meshp2p.simulation.faults import Crash, Schedule, Timed
from meshp2p.simulation.report import Finding, Report, code_of
from meshp2p.simulation.run import Run
from meshp2p.simulation.script import PEOPLE, Script, crowd, plan_of, play, play_seed
from meshp2p.simulation.shrink import shrink
from meshp2p.simulation.swarm import Outcome, Plan
from meshp2p.simulation.tally import Tally

NAMES = catalogue.names()
SMALL = [name for name in NAMES if not catalogue.find(name).is_large and name != "swarm"]


class Rude(Engine):
    """Ends without a word."""

    def leave(self, *, now: Seconds) -> Seconds:
        """Say nothing."""
        del now
        return 0.0


class Alone(Engine):
    """Asks nobody for help."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  # as `Engine`
        """Without indirect probes."""
        options["config"] = attrs.evolve(options["config"], indirect_probes=0)
        super().__init__(**options)


# --- what they claim -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_file_begins_with_its_claim_its_seeds_and_what_was_seen(name: str) -> None:
    """Whoever opens it knows what it shows, and whether it ever did."""
    found = catalogue.find(name)
    text = found.path.read_text()
    assert found.scenario.name == name
    assert catalogue.claim_of(name).endswith(".")
    assert f"Default seeds: {found.seeds.start}:{found.seeds.stop}." in text
    assert re.search(r"^Last results: \d", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_prints_as_a_program_that_draws_it(name: str) -> None:
    """What failed can be pasted, whichever scenario it was."""
    scenario = catalogue.find(name).scenario
    for seed in range(5):
        plan = scenario.draw(seed)
        values: dict[str, Any] = {}
        program = code_of(name, seed, plan.schedule).partition("print(")[0]
        exec(program, values)  # noqa: S102  # that is the promise
        assert values["plan"] == plan == scenario.draw(seed)


@pytest.mark.parametrize("name", SMALL)
def test_a_claim_holds(name: str) -> None:
    """For one seed; nothing that it is about may be missing from the run."""
    found = catalogue.find(name)
    outcome = play_seed(found.scenario, found.seeds.start)
    assert outcome.violation is None
    kinds = {each.fault.kind for each in outcome.plan.schedule.faults}
    # Only if something is written just then, or something long is sent.
    at_chance = {"disk_full", "disk_failed", "disk_slow", "mtu"}
    assert {kind for kind in kinds if outcome.coverage[kind]} >= kinds - at_chance


def test_a_script_replays_bit_by_bit() -> None:
    """The same seed is the same run."""
    scenario = catalogue.find("auction_under_crashes").scenario
    plan = attrs.evolve(scenario.draw(3), hostile=4.0)
    assert play(scenario, plan).trace_hash == play(scenario, plan).trace_hash


# --- that they can fail ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "engine", "what"),
    [
        ("rolling_restart", Rude, "member.failed"),
        ("flapping_link", Alone, "member.suspected"),
    ],
)
def test_a_claim_that_does_not_hold_is_noticed(name: str, engine: type[Engine], what: str) -> None:
    """By the claim of that very scenario."""
    scenario = catalogue.find(name).scenario
    violation = play(scenario, scenario.draw(0), make_engine=engine).violation
    assert violation is not None
    assert (violation.name, violation.text.split()[0]) == (f"claim of {name}", what)


def _bob_dies(plan: Plan) -> Outcome:
    script = Script("deaths", "Nobody dies.", lambda _: plan, act=_nobody_dies)
    return play(script, plan)


def _nobody_dies(run: Run) -> None:
    run.trouble()
    run.nobody_was("member.failed")


def test_a_script_that_fails_is_shrunk() -> None:
    """Of several crashes one is enough."""
    crashes = [Timed(1.0 + n, Crash(name), 2.5 + n) for n, name in enumerate(PEOPLE[:3])]
    plan = plan_of(1, PEOPLE[:4], crashes, hostile=6.0, profile="loopback")
    violation = _bob_dies(plan).violation
    assert violation is not None
    shrunk = shrink(plan, violation, run=_bob_dies, budget=10.0)
    assert len(shrunk.plan.schedule.faults) == 1
    assert Finding.of("deaths", 1, violation).invariant == "claim of deaths"


def test_what_a_script_stumbles_over_is_a_violation() -> None:
    """A slip in it, or in the engine: either way the run has not shown anything."""

    def act(_run: object) -> None:
        raise LookupError("who?")

    script = Script(
        "slip", "It works.", lambda seed: plan_of(seed, ["alice"], [], hostile=1.0), act=act
    )
    broken = play_seed(script, 1).violation
    assert broken is not None
    assert (broken.name, "LookupError('who?')" in broken.text) == ("no error", True)


# --- their tools ---------------------------------------------------------------------------


def test_an_accuser_is_heard_and_refuted() -> None:
    """Its suspicions are believed to be its own, and the accused objects each time."""
    seen: list[Node] = []

    def act(run: Run) -> None:
        run.trouble()
        seen.extend(run.world.nodes.values())
        run.measure("suspected", len(run.told("member.suspected", ["bob"], ["alice", "carol"])))

    faults = [Timed(2.0, Accuse("dave", ("bob",), 1.0), 8.0)]
    plan = plan_of(4, ["alice", "bob", "carol", "dave"], faults, hostile=8.0, profile="loopback")
    liars = frozenset({"dave"})
    script = Script("accused", "Bob objects.", lambda _: plan, act=act, liars=liars)
    outcome = play(script, plan)
    assert outcome.violation is None
    assert outcome.coverage["byzantine.accuse"] > 10
    assert Report.of("accused", outcome, 0.0).figures["suspected"] > 1
    assert all(node.heard("member.failed") == [] for node in seen)


def test_a_crowd_has_names_for_everybody() -> None:
    """People first, then numbers; nobody twice."""
    assert crowd(3) == ("alice", "bob", "carol")
    assert len(set(crowd(100))) == 100


def test_a_tally_knows_what_was_too_rare() -> None:
    """And the median and the most of every figure."""
    tally = Tally()
    for seed, figure in enumerate([3.0, 1.0, 2.0]):
        report = Report(
            scenario="x",
            seed=seed,
            finding=None,
            coverage={"loss": 2},
            simulated=1_800.0,
            node_seconds=3_600.0,
            events=1,
            cpu=0.5,
            figures={"s": figure},
        )
        tally.add(report)
    assert tally.measured() == {"s": (2.0, 3.0)}
    assert tally.node_hours == 3.0
    assert "loss" not in tally.idle(6)
    assert {"loss", "crash"} <= set(tally.idle(7))


def test_no_fault_at_all_is_a_program_as_well() -> None:
    """When a seed's ordinary day fails."""
    assert "schedule = Schedule()\n" in code_of("swarm", 3, Schedule())
