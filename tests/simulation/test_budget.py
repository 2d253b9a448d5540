"""A node that may send little sends the important: nobody is mourned, nothing is lost."""

from __future__ import annotations

import attrs
import pytest

from meshp2p.config import Config
from meshp2p.simulation import ALIVE, DEAD, Agent, Handler, Node, World
from meshp2p.wire import limits

NAMES = tuple(f"agent-{number}" for number in range(20))


def told(nodes: list[Node], name: str) -> list[str]:
    """Whom applications were told of under that name."""
    return [event.member.handle for node in nodes for event in node.events if event.name == name]


@pytest.mark.parametrize("seed", range(3))
def test_a_tight_budget_for_membership_kills_nobody(seed: int) -> None:
    """News of others are dropped while twenty join; all know all soon, and who dies is missed."""
    world = World(seed, Config(membership_bytes_per_second=3_000))
    nodes = world.join(*NAMES)
    world.run_until_quiet(60.0)
    world.run_for(30.0)

    stats = [node.engine.stats() for node in nodes]
    assert sum(each["news_dropped"] for each in stats) > 0
    assert told(nodes, "member.failed") == []
    warned = [log.text for log in nodes[0].logs if "budget of bytes" in log.text]
    assert len(warned) <= 1

    world.crash(nodes[-1], silent=True)
    world.run_until(lambda: all(node.sees(nodes[-1]) == DEAD for node in nodes[:-1]), 60.0)
    assert set(told(nodes, "member.failed")) == {NAMES[-1]}


def test_the_usual_budget_never_bites() -> None:
    """Not even in the seed that twenty join through at once."""
    world = World(1)
    nodes = world.join(*NAMES)
    world.run_until_quiet(60.0)

    for never in ("news_dropped", "lists_refused"):
        assert sum(node.engine.stats()[never] for node in nodes) == 0
    assert not any("budget" in log.text for node in nodes for log in node.logs)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_answer_waits_for_the_budget_and_arrives_whole(seed: int) -> None:
    """300 kB at 50 kB a second: it takes seconds, membership goes on, and one line says why."""
    agent = Agent({"fetch": Handler(function=bytes)})
    world = World(seed)
    alice = world.start("alice", agent=agent)
    bob = world.start(
        "bob", agent=agent, config=attrs.evolve(world.config, bytes_per_second=50_000)
    )
    world.run_until_quiet()
    asked = alice.call("@bob/fetch", 300_000, timeout=60)
    began = world.now
    world.run_until(lambda: asked.is_done, 30.0)

    assert asked.result == bytes(300_000)
    assert 4.0 < world.now - began < 12.0
    assert bob.engine.stats()["streams_held"] > 0
    assert [log.level for log in bob.logs if "budget of bytes" in log.text] == ["warning"]
    assert told([alice, bob], "member.suspected") == []


def test_whoever_leaves_with_little_budget_still_says_goodbye() -> None:
    """Its last words are not held back: the answer under way arrives, and nobody mourns it."""
    agent = Agent({"fetch": Handler(function=bytes, takes=1.0)})
    world = World(4)
    alice = world.start("alice", agent=agent)
    bob = world.start("bob", agent=agent, config=attrs.evolve(world.config, bytes_per_second=8_192))
    world.run_until_quiet()
    asked = alice.call("@bob/fetch", 200_000, timeout=60)
    world.run_for(2.0)
    assert bob.engine.stats()["streams_held"] > 0
    assert not asked.is_done
    world.leave(bob)
    world.run_for(5.0)

    assert asked.result == bytes(200_000)
    assert told([alice], "member.left") == ["bob"]
    assert told([alice], "member.failed") == []


def test_a_connection_in_debt_is_closed_in_order() -> None:
    """Its goodbye is not held back: the other end does not take it for a broken one."""
    agent = Agent({"fetch": Handler(function=bytes)})
    world = World(5)
    alice = world.start("alice", agent=agent)
    thrifty = attrs.evolve(world.config, bytes_per_second=8_192, idle_close=2.0)
    bob = world.start("bob", agent=agent, config=thrifty)
    world.run_until_quiet()
    asked = alice.call("@bob/fetch", 60_000, timeout=60)
    world.run_for(40.0)

    assert asked.result == bytes(60_000)
    assert bob.engine.stats()["streams"] == alice.engine.stats()["streams"] == 0
    assert alice.engine.stats()["stream_lost"] == 0


def test_nobody_honest_comes_near_its_bounds() -> None:
    """Twelve join, are split and meet again: no question is refused, and nobody is in debt."""
    world = World(3)
    nodes = world.join(*NAMES[:12])
    split = world.partition(nodes[:6], nodes[6:])
    world.run_for(60.0)
    split.remove()
    world.run_until(lambda: all(one.sees(other) == ALIVE for one in nodes for other in nodes), 60.0)

    for never in ("lists_refused", "claims_refused", "records_malformed"):
        assert sum(node.engine.stats()[never] for node in nodes) == 0
    left = [
        left
        for node in nodes
        for left, _ in node.engine._answers._rations._budgets._left.values()  # noqa: SLF001  # nobody else asks
    ]
    assert min(left) > limits.LISTS_AT_ONCE / 2
    assert not any(node.engine._swim._admission._patience._left for node in nodes)  # noqa: SLF001  # likewise
