"""Guests and neighbours of a swarm's mesh: how they are drawn, and what comes of them."""

from __future__ import annotations

import attrs
import pytest

from meshp2p.simulation import Agent, Handler, World
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.invariants import watch
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.outsiders import Outsider, draw_outsiders, errands_of
from meshp2p.simulation.perjurer import Perjure
from meshp2p.simulation.swarm import Plan, draw_plan, run_plan

VICTOR = Outsider(name="victor", starts=2.0, leaves=5.0, guest=True)
WENDY = Outsider(name="wendy", starts=2.0)
XAVIER = Outsider(name="xavier", starts=2.5)


def calm_plan(seed: int, *outsiders: Outsider) -> Plan:
    """A mesh without any fault, and who comes to it."""
    plan = draw_plan(seed)
    schedule = attrs.evolve(plan.schedule, faults=())
    return attrs.evolve(plan, schedule=schedule, hostile=6.0, outsiders=outsiders)


def test_some_meshes_have_a_guest_and_some_another_namespace_beside_them() -> None:
    """Within the hostile phase; a guest goes before the calm, neighbours stay."""
    drawn = [(plan, plan.outsiders) for plan in map(draw_plan, range(1_000))]
    guests = [(plan, each) for plan, there in drawn for each in there if each.guest]
    others = [(plan, each) for plan, there in drawn for each in there if not each.guest]
    assert 110 < len(guests) < 190
    assert 140 < len(others) < 260
    for plan, each in guests + others:
        assert max(plan.starts) <= each.starts <= plan.hostile
    assert all(each.starts <= each.leaves <= plan.hostile for plan, each in guests)
    assert any(len(there) == 3 for _, there in drawn)


def test_whoever_comes_changes_nothing_that_is_drawn_for_others() -> None:
    """One can be left out, and everything else is asked for as before."""
    names = ("alice", "bob", "carol")
    alone = errands_of(7, [VICTOR], names, 9.0)
    together = errands_of(7, [VICTOR, WENDY, XAVIER], names, 9.0)
    assert alone
    assert [each for each in together if each.who == "victor"] == list(alone)
    assert draw_outsiders(7, 0.0, 9.0) == draw_outsiders(7, 0.0, 9.0)


def test_a_guest_calls_members_and_commands_nothing() -> None:
    """Auctions and votes need somebody who stays and remembers."""
    errands = errands_of(7, [VICTOR], ("alice", "bob"), 200.0)
    assert {each.what for each in errands} == {"add", "charge", "relay", "message"}
    assert {each.whom for each in errands} == {"alice", "bob"}


def test_members_work_for_a_guest_and_not_for_neighbours() -> None:
    """Both ask for much; the neighbours get their answers from each other."""
    served: dict[str, set[str]] = {}

    def watch(world: World) -> None:
        world.on_running.append(
            lambda node, job: served.setdefault(
                next(each.name for each in world.nodes.values() if each.id == job.caller), set()
            ).add(node.name)
        )

    plan = calm_plan(3, VICTOR, WENDY, XAVIER)
    outcome = run_plan(plan, prepare=watch)
    assert outcome.violation is None
    assert served["victor"]
    assert served["victor"] <= set(plan.names)
    assert served["wendy"] | served["xavier"] <= {"wendy", "xavier"}


@pytest.mark.parametrize("seed", range(3))
def test_a_mesh_with_company_keeps_its_promises(seed: int) -> None:
    """Whatever befalls it meanwhile."""
    plan = attrs.evolve(draw_plan(seed), outsiders=(VICTOR, WENDY, XAVIER))
    assert run_plan(plan).violation is None


def test_a_world_is_quiet_as_soon_as_its_guest_has_looked() -> None:
    """Nobody brings its list up to date: it is not waited for when others come and go."""
    world = World(5)
    world.join("alice", "bob")
    (victor,) = world.join("victor", guest=True)
    assert victor.handles == {"alice", "bob"}
    world.crash(world["bob"])
    world.run_until_quiet()
    assert victor.handles == {"alice", "bob"}


def test_a_guest_that_reaches_nobody_is_not_quiet() -> None:
    """It has not looked."""
    world = World(5)
    alice, bob = world.join("alice", "bob")
    world.start("victor", guest=True, seeds=[])
    with pytest.raises(Violation, match="victor"):
        world.run_until_quiet(5.0)
    assert alice.handles == bob.handles == {"alice", "bob"}


def test_no_liar_makes_a_guest_work() -> None:
    """A member may ask its guest to bid or to vote: no bidder and no voter of its runs."""
    for seed in range(4):
        world = World(seed)
        watch(world, "guests")
        agent = Agent(on_message=lambda body: body, voter=lambda _: "yes")
        alice = world.start("alice", agent=agent, crypto=Liar(world.crypto))
        world.start("bob", agent=Agent({"add": Handler(function=lambda a, b: a + b)}))
        world.run_until_quiet()
        victor = world.start(
            "victor", guest=True, agent=Agent(voter=lambda _: "yes"), seeds=[alice]
        )
        world.run_until_quiet()
        with world.inject(Perjure("alice", 1.0)):
            for number in range(10):
                victor.call("@alice", number, timeout=1.0)
                world.auction(alice, "add", number, 1)
                world.run_for(0.5)
        assert victor.engine.stats()["handlers_running"] == 0
