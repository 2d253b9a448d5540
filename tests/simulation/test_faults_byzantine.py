"""Those who do not keep to the protocol: whatever they do, the others keep their promises."""

from __future__ import annotations

from collections import Counter

import pytest

from meshp2p.consensus import VoteResult
from meshp2p.errors import UsageError
from meshp2p.simulation import ALIVE, Agent, Node, World
from meshp2p.simulation.accuser import Accuse
from meshp2p.simulation.faults import (
    Equivocate,
    Fault,
    Flood,
    Forge,
    ReplayPackets,
    SpoofedInits,
    StaleGossip,
)
from meshp2p.simulation.invariants import watch_all
from meshp2p.simulation.latency import Uniform
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.perjurer import Perjure
from meshp2p.wire import limits

PEOPLE = ("alice", "bob", "carol", "dave", "erin")


def mesh(seed: int) -> tuple[World, list[Node]]:
    """Five who vote yes; erin may be made to lie. All promises are watched."""
    world = World(seed)
    watch_all(world)
    people = [
        world.start(
            name,
            agent=Agent(voter=lambda _: "yes"),
            crypto=Liar(world.crypto) if name == "erin" else None,
        )
        for name in PEOPLE
    ]
    world.run_until_quiet()
    return world, people


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Forge("erin", 0.5), "byzantine.forge"),
        (Accuse("erin", ("alice", "bob"), 0.5), "byzantine.accuse"),
        (StaleGossip("erin", 0.5), "byzantine.stale"),
        (ReplayPackets(0.3, Uniform(0.0, 3.0)), "byzantine.replay"),
        (ReplayPackets(0.3, Uniform(0.0, 3.0), elsewhere=True), "byzantine.replay"),
        (Flood("alice", 200.0), "byzantine.flood"),
        (Equivocate("erin"), "byzantine.equivocate"),
    ],
)
@pytest.mark.parametrize("seed", [1])
def test_the_honest_stay_together_whatever_one_does(fault: Fault, kind: str, seed: int) -> None:
    """Nobody honest is declared dead, and afterwards all is as before."""
    world, people = mesh(seed)
    honest = people[:4]
    with world.inject(fault):
        world.run_for(10.0)
        assert world.coverage[kind] > 20
    for one in honest:
        assert [one.sees(other) for other in honest] == [ALIVE] * 4
        assert not set(PEOPLE[:4]) & set(one.heard("member.failed"))
    world.calm()


def test_handshakes_played_back_in_victims_names_reach_them_and_keep_nobody_from_joining() -> None:
    """A victim gets the one bounded answer that a lost one might need, and nothing more."""
    world, sent = World(1), Counter[str]()
    watch_all(world)
    world.on_datagram.append(lambda _, to, data: sent.update({to.host: len(data)}))
    with world.inject(SpoofedInits(3, Uniform(0.0, 0.01))):
        alice, bob, carol = world.join("alice", "bob", "carol")
        world.run_for(5.0)
    played = world.coverage["byzantine.spoof"]
    victims = [size for host, size in sent.items() if host.startswith("203.0.113.")]
    assert played >= 9
    assert 0 < sum(victims) <= played * limits.MAX_DATAGRAM
    assert [alice.sees(other) for other in (bob, carol)] == [ALIVE] * 2
    world.calm()


def test_a_second_machine_accuses_nobody_while_the_first_is_down() -> None:
    """It has the liar's keys; what the liar knew is gone with its process."""
    world, (_alice, _bob, _carol, _dave, erin) = mesh(1)
    with world.inject(Accuse("erin", ("bob",))), world.inject(Equivocate("erin")):
        world.run_for(1.0)
        accused = world.coverage["byzantine.accuse"]
        world.crash(erin)
        world.run_for(1.0)
        assert world.coverage["byzantine.accuse"] == accused > 0
        world.restart(erin)
    world.calm()


def refused(people: list[Node]) -> int:
    """How much of what was said to them they did not believe."""
    names = ("claims_refused", "datagrams_malformed", "records_malformed")
    return sum(one.engine.stats().get(name, 0) for one in people for name in names)


def test_forged_claims_arrive_under_a_true_seal_and_are_refused() -> None:
    """Not the datagram is thrown away but the claim in it; without a liar there is none."""
    disbelieved: list[int] = []
    for share in (0.0, 1.0):
        world, (*honest, _) = mesh(4)
        world.inject(Forge("erin", share))
        world.cut(honest[0], honest[1])  # gives them something to talk about
        world.run_for(10.0)
        disbelieved.append(refused(honest))
    assert disbelieved[0] == 0
    assert disbelieved[1] > 5


def test_what_a_flood_brings_is_dropped_and_answered_with_less() -> None:
    """Noise costs a counter, and strangers get no more bytes than they sent."""
    world, (alice, *_) = mesh(3)
    answered = [0]
    world.on_datagram.append(
        lambda _sender, to, data: answered.append(
            len(data) if to.host.startswith("198.51.100.") else 0
        )
    )
    with world.inject(Flood("alice", 500.0)):
        world.run_for(5.0)
    assert alice.engine.stats()["datagram_dropped"] > 1_000
    assert sum(answered) < world.coverage["byzantine.flood"] * 600


@pytest.mark.parametrize("seed", range(2))
def test_a_member_that_votes_twice_decides_nothing_twice(seed: int) -> None:
    """One liar among five is what a vote counts on."""
    world, people = mesh(seed)
    with world.inject(Equivocate("erin")):
        world.run_for(1.0)
        votes = [world.vote(one, "ship it?", ["yes", "no"]) for one in people[:3]]
        world.run_for(6.0)
    for vote in votes:
        assert isinstance(vote.value, VoteResult)
        assert vote.value.choice == "yes"


def test_only_who_was_started_as_a_liar_can_be_made_to_lie() -> None:
    """The error says how."""
    world = World()
    world.start("alice")
    for fault in (Forge("alice", 0.5), Perjure("alice", 0.5)):
        with pytest.raises(UsageError, match=r"crypto=Liar\(world.crypto\)"):
            world.inject(fault)
