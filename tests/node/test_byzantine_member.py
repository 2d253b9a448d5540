"""Members with valid credentials that lie, on real sockets: the honest go on as before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.membership.insider import Insider
from benchmarks.membership.lies import Lies
from meshp2p import MemberEvent, Node
from meshp2p.events import Member
from meshp2p.identity.keyfile import load_or_create_easy_key
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import NodeId, parse_id
from tests.node.conftest import Start
from tests.node.processes import Run
from tests.node.waiting import eventually, know_each_other

HONEST = ("alice", "bob", "carol")
EVENTS = ("member.joined", "member.suspected", "member.updated", "member.failed", "member.left")
REFUTED_WITHIN = 2.0
"""Seconds: two probe intervals. A refutation leaves after a quarter of one at the latest."""
COUNT = 150
"""Datagrams of each kind, to all together."""

DAVE = """
    import sys
    from meshp2p import Node

    node = Node("dave", profile="lan").start()
    print(node.id, flush=True)
    sys.stdin.readline()
"""


@attrs.define
class Diary:
    """All that one node tells of the honest others."""

    node: Node
    of: set[NodeId]
    told: list[tuple[float, MemberEvent]] = attrs.field(factory=list)

    def listen(self) -> None:
        """From now on."""
        for event in EVENTS:
            self.node.on(event)(self._hear)

    def _hear(self, event: MemberEvent) -> None:
        if event.member.id in self.of:
            self.told.append((time.monotonic(), event))

    def names(self) -> set[str]:
        """Kinds of events."""
        return {event.name for _, event in self.told}

    def spells(self) -> list[float]:
        """How long each suspicion lasted, in seconds; those that have not ended, until now."""
        begun: dict[NodeId, float] = {}
        ended = []
        for at, event in list(self.told):
            if event.name == "member.suspected":
                begun.setdefault(event.member.id, at)
            elif event.member.id in begun and event.member.state != "suspect":
                ended.append(at - begun.pop(event.member.id))
        return [*ended, *(time.monotonic() - at for at in begun.values())]


@pytest.fixture
def honest(start: Start) -> list[Node]:
    """Three who know each other."""
    nodes = [start(name, profile="lan") for name in HONEST]
    know_each_other(*nodes)
    return nodes


@pytest.fixture
def insider(honest: list[Node]) -> Iterator[Callable[[str], Insider]]:
    """Lets members join that have no honesty; closed at the end."""
    easy_key = load_or_create_easy_key(Path(os.environ["MESHP2P_STATE"]))
    opened: list[Insider] = []

    def joined(handle: str) -> Insider:
        liar = Insider(MeshKeys.from_easy_key(easy_key, "default", OpenSSL()), handle)
        opened.append(liar)
        for node in honest:
            liar.join(own(node).addresses[0])
        assert all(liar.await_ack(identity(node)) for node in honest)
        return liar

    yield joined
    for liar in opened:
        liar.close()


def own(node: Node) -> Member:
    """What a node says of itself."""
    (member,) = (each for each in node.members() if each.id == identity(node))
    return member


def identity(node: Node) -> NodeId:
    """Its id, as it travels."""
    return NodeId(parse_id(node.id))


def beliefs(nodes: list[Node]) -> list[list[tuple[object, ...]]]:
    """What each of them believes of each other, and of itself."""
    ids = {identity(node) for node in nodes}
    return [
        sorted(
            (member.id, member.handle, member.role, member.addresses, member.capabilities)
            for member in node.members()
            if member.id in ids and member.state == "alive"
        )
        for node in nodes
    ]


def all_of(liars: list[Lies], victims: list[NodeId]) -> None:
    """Every kind of lie from each in turn."""
    for kind in liars[0].kinds:
        for lies in liars:
            lies.flood(victims, kind, COUNT)
            for victim in victims:
                assert lies.insider.await_ack(victim), f"no answer after {kind}"


@pytest.mark.parametrize("colluders", [1, 2])
def test_whatever_members_say_of_others_the_others_are_believed(
    honest: list[Node], insider: Callable[[str], Insider], colluders: int
) -> None:
    """One liar or two that help each other: nobody is removed, and nobody's record changes.

    Whoever is accused refutes it; no suspicion outlasts that.
    """
    liars = [Lies(insider(f"mallory{number}")) for number in range(colluders)]
    victims = [identity(node) for node in honest]
    diaries = [Diary(node, set(victims)) for node in honest]
    before = beliefs(honest)
    for diary in diaries:
        diary.listen()

    all_of(liars, victims)

    eventually(lambda: beliefs(honest) == before)
    assert {name for diary in diaries for name in diary.names()} <= {
        "member.suspected",
        "member.updated",
    }
    spells = [spell for diary in diaries for spell in diary.spells()]
    assert spells  # they were accused, and heard
    assert max(spells) < REFUTED_WITHIN


def test_lies_are_met_by_the_checks_that_are_meant_for_them(
    honest: list[Node], insider: Callable[[str], Insider]
) -> None:
    """Refused and counted: what was forged, what was too much, and what cannot be read."""
    before = [node.stats() for node in honest]

    all_of([Lies(insider("mallory"))], [identity(node) for node in honest])

    for node, then in zip(honest, before, strict=True):
        stats = node.stats()
        for what in (
            "claims_refused",
            "claims_stale",
            "repairs_refused",
            "forwarding_refused",
            "datagrams_malformed",
            "datagram_dropped",
            "items_unknown",
        ):
            assert stats.get(what, 0) > then.get(what, 0), what


def test_who_dies_afterwards_is_found_as_soon_as_ever(
    honest: list[Node], insider: Callable[[str], Insider], run: Run
) -> None:
    """Two liars have cried wolf; a process that is killed then is known within a second."""
    dave = run(DAVE)
    who: Any = NodeId(parse_id(dave.line()))
    know_each_other_and(honest, who)
    victims = [*(identity(node) for node in honest), who]

    all_of([Lies(insider("mallory0")), Lies(insider("mallory1"))], victims)
    know_each_other_and(honest, who)
    dave.signal(signal.SIGKILL)
    killed = time.monotonic()

    for node in honest:
        eventually(lambda node=node: state_of(node, who) == "dead")  # type: ignore[misc]
    assert time.monotonic() - killed < 2.0


def know_each_other_and(nodes: list[Node], other: NodeId) -> None:
    """Until each lists one more as alive."""
    eventually(lambda: all(state_of(node, other) == "alive" for node in nodes), within=10)


def state_of(node: Node, other: NodeId) -> str | None:
    """What it believes of somebody."""
    states = [each.state for each in node.members(state="all") if each.id == other]
    return states[0] if states else None
