"""How often the lost are called: they may be back, or only have been cut off."""

from __future__ import annotations

from meshp2p.config import lan
from meshp2p.gossip.messages import Ping, decode_untrusted
from meshp2p.gossip.outputs import SendPlain
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId
from meshp2p.simulation import World
from meshp2p.simulation.happening import Happening
from tests.simulation.swim_world import START, swim_of
from tests.unit.gossip.people import acquaint, id_of

LAN = lan()
LATEST = 1.5 * LAN.lost_retry_interval
"""Pauses are jittered."""


def called(swim: Swim, until: float) -> list[NodeId]:
    """Let time pass in which nobody answers; return who was asked, in order."""
    asked: list[NodeId] = []
    while (due := swim.next_deadline()) <= until:
        swim.receive_deadline(now=due)
        for output in swim.outputs():
            if isinstance(output, SendPlain):
                items = decode_untrusted(output.plaintext)
                asked += [output.to for item in items if isinstance(item, Ping)]
    return asked


def test_whoever_is_left_alone_calls_each_of_the_lost_within_one_interval() -> None:
    """Three of four may be gone for good: the fourth, only cut off, does not wait for its turn."""
    names = ("bob", "carol", "dave", "erin")
    for seed in range(5):
        alice = swim_of("alice", seed=seed)
        acquaint(alice, *map(swim_of, names))
        dead_by = START + 90.0
        called(alice, dead_by)
        assert alice.present_count == 1
        assert set(called(alice, dead_by + LATEST)) == set(map(id_of, names))


def test_a_crowd_does_not_call_one_that_is_lost_any_oftener_than_a_few_would() -> None:
    """Of a mesh of thousands not each calls a machine that is off, twice a minute for ever."""
    world = World(3, lan())
    nodes = world.join(*(f"node{n}" for n in range(24)))
    lost = nodes[5]
    world.crash(lost, silent=True)
    world.run_for(60.0)
    calls: dict[str, float] = {}

    def watch(event: Happening) -> None:
        if event.kind == "send" and event.detail.get("to") == lost.name:
            calls[f"{event.node} {event.at // 5}"] = event.at  # some datagrams in a row are one

    world.watchers.append(watch)
    rounds = 10
    world.run_for(rounds * LAN.lost_retry_interval)
    assert rounds <= len(calls) <= 10 * rounds
