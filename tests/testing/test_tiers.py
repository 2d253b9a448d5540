"""One scenario on both tiers: engines on a heap, and real nodes on trio, live the same life.

Compared are, to the last bit of each time: every datagram that is sent, byte for byte; every
piece of a stream that is sent, from whom to whom and how long; who believes what of whom, ten
times a second; what each call comes to, and when.

The bytes of streams are left out: nodes on trio connect from ports of their own, as they do on
a kernel, the handshake tells each end which port the other saw, and all that is sealed later
depends on what the handshake said. So are stalls: what waits for a process that stood still is
read afterwards in an order that trio draws, and by engines on the heap in that in which it came;
and newcomers with several seeds, which trio looks up in an order of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
import trio

from meshp2p import Bid, MeshError, Node, Offer, capability
from meshp2p.ids import Address
from meshp2p.simulation import Conditions, World
from meshp2p.simulation.faults import BurstyLoss, Crash, Delay, Hold, Partition, Timed
from meshp2p.simulation.handlers import Handler
from meshp2p.simulation.happening import Happening
from meshp2p.simulation.latency import Exponential
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.witness import START, Witness
from meshp2p.testing import Agent, Simulation, run

PEOPLE = ("alice", "bob", "carol")
PORT = 6374
ENDS = 20.0
LOOKS = tuple(1.0503 + 0.1 * each for each in range(189))
WEATHER = Conditions(delay=(0.0005, 0.02), loss=0.05, duplicate=0.02)
FAULTS = (
    Timed(2.0, BurstyLoss(), 4.0),
    Timed(4.0, Crash("bob"), 6.0),
    Timed(7.0, Partition((("alice",), ("bob", "carol"))), 9.5),
    Timed(10.0, Crash("carol", silent=True), 13.0),
    Timed(11.0, Delay(Exponential(0.05)), 12.9),
    Timed(14.0, Hold((("alice", "carol"),)), 14.3),
    Timed(14.5, Crash("alice", disk="kept"), 14.6),
    Timed(16.0, Crash("carol", silent=True), 16.2),
)
CALLS = (
    (1.0, "alice", "@bob/double", 21),
    (1.5, "carol", "@alice/ponder", 0),
    (3.0, "bob", "@carol/double", 4),
    (3.9, "alice", "@bob/ponder", 2),  # bob crashes meanwhile
    (8.0, "alice", "@carol/double", 5),  # behind the partition
    (9.9, "alice", "@carol/ponder", 1),  # carol's machine dies meanwhile
    (13.95, "carol", "@bob/double", 6),  # which has joined again by then
    (15.99, "alice", "@carol/double", 8),  # on its way when carol's machine dies
    (17.0, "bob", "double", 7),
)
AUCTIONS = ((1.7, "bob"), (18.0, "bob"))
THINKS = 0.002
"""Seconds that bidders on the heap take."""
TIMEOUT = 3.0
PONDERS = 0.5

View: TypeAlias = dict[str, dict[str, str]]


@attrs.define
class Life:
    """What can be seen of a run from outside, until its end is near.

    Args:
        starts: When each node was started.
        datagrams: When, from whom, where to, and what.
        pieces: Of streams: when, from whom, to whom, how long.
        views: For each look, who believes what of whom.
        ends: For each call, when it ended and what it came to.
    """

    starts: dict[str, float] = attrs.field(factory=dict)
    datagrams: list[tuple[float, str, str, bytes]] = attrs.field(factory=list)
    pieces: list[tuple[float, str, object, object]] = attrs.field(factory=list)
    views: list[View] = attrs.field(factory=list)
    ends: dict[int, tuple[float, str]] = attrs.field(factory=dict)

    def views_of(self, others: list[View]) -> list[View]:
        """Without nodes that others do not count: on trio, those that are still joining."""
        return [
            {name: view for name, view in mine.items() if name in theirs}
            for mine, theirs in zip(self.views, others, strict=True)
        ]

    def watch(self, witness: Witness) -> None:
        """Look at what is sent there."""

        def look(happening: Happening) -> None:
            at, detail = happening.at, happening.detail
            if happening.kind == "send" and detail["what"] == "stream" and at < ENDS:
                self.pieces.append((at, happening.node, detail["to"], detail["len"]))

        def look_at_datagram(node: Any, to: Address, data: bytes) -> None:  # noqa: ANN401  # either tier's
            if witness.elapsed < ENDS:
                self.datagrams.append((witness.elapsed, node.name, str(to), data))

        witness.watchers.append(look)
        witness.on_datagram.append(look_at_datagram)


def believes(members: list[Any]) -> dict[str, str]:
    """Their states, by handle."""
    return {member.handle: member.state for member in members}


# --- real nodes on trio ----------------------------------------------------------------


def make_node(name: str) -> Node:
    """One that doubles and ponders, on the loopback address of its machine."""

    @capability("double")
    def double(number: int) -> int:
        return 2 * number

    @capability("ponder")
    async def ponder(number: int) -> int:
        await trio.sleep(PONDERS)
        return number

    seeds = [] if name == "alice" else [f"127.0.0.1:{PORT}"]
    able = [double, ponder]
    node = Node(name, capabilities=able, bind=f"127.0.0.1:{PORT}", discovery=(), seeds=seeds)

    @node.on_bid("*")
    async def bid(_: Offer) -> Bid:
        await trio.sleep(THINKS)
        return Bid()

    return node


def on_trio(seed: int) -> Life:
    """The scenario with real nodes."""
    life = Life()

    async def live(sim: Simulation) -> None:
        sim.internet.links.usual = WEATHER
        life.watch(sim.internet)
        sim.schedule(*FAULTS)
        for name in PEOPLE:
            life.starts[name] = sim.now
            await sim.node(name, make_node)
        async with trio.open_nursery() as nursery:
            for number in range(len(CALLS)):
                nursery.start_soon(make_call, sim, life.ends, number)
            for at, owner in AUCTIONS:
                nursery.start_soon(hold_auction, sim[owner], at)
            for at in LOOKS:
                await trio.sleep_until(START + at)
                running = [each for each in sim.agents.values() if each.is_running]
                life.views.append({one.name: believes(one.engine.members()) for one in running})
            await trio.sleep_until(START + ENDS)

    run(live, seeds=[seed])
    return life


async def make_call(sim: Simulation, ends: dict[int, tuple[float, str]], number: int) -> None:
    """One call, and its end."""
    at, caller, target, value = CALLS[number]
    await trio.sleep_until(START + at)
    try:
        text = repr(await sim[caller].call(target, value, timeout=TIMEOUT))
    except MeshError as error:
        text = type(error).__name__
    ends[number] = sim.now, text


async def hold_auction(owner: Agent, at: float) -> None:
    """One auction, and the work that is awarded."""
    await trio.sleep_until(START + at)
    award = await owner.auction("double", 1, close_after=0.3, timeout=10)
    assert await award.result() == 2


# --- engines on the heap ----------------------------------------------------------------


class Loopbacks(World):
    """A world whose nodes have the addresses of a simulation's machines."""

    def _next_host(self) -> Address:
        return Address(f"127.0.0.{len(self._by_address) + 1}", PORT)


def on_the_heap(seed: int, starts: dict[str, float]) -> Life:
    """The scenario with engines alone; they start when the nodes did."""
    world, life = Loopbacks(seed, conditions=WEATHER), Life(starts)
    life.watch(world)
    world.schedule(*FAULTS)
    pending: dict[int, Pending] = {}
    agenda: list[tuple[float, Callable[[], object]]] = [
        *((starts[name], lambda name=name: start(world, name)) for name in PEOPLE),
        *((each[0], lambda n=n: begin_call(world, pending, n)) for n, each in enumerate(CALLS)),
        *((at, lambda o=owner: hold_auction_there(world, o)) for at, owner in AUCTIONS),
        *((at, lambda: look(world, life)) for at in LOOKS),
    ]
    for at, act in sorted(agenda, key=lambda each: each[0]):
        world.run_to(START + at)
        act()
    world.run_to(START + ENDS)
    life.ends = {number: end_of(each) for number, each in pending.items()}
    return life


def start(world: World, name: str) -> None:
    """A node that can do what `make_node`'s can."""
    handlers = {
        "double": Handler(function=lambda number: 2 * number),
        "ponder": Handler(function=lambda number: number, takes=PONDERS),
    }
    world.start(name, handlers=handlers, seeds=[] if name == "alice" else [world["alice"]])


def begin_call(world: World, pending: dict[int, Pending], number: int) -> None:
    """One call."""
    _, caller, target, value = CALLS[number]
    pending[number] = world[caller].call(target, value, timeout=TIMEOUT)


def hold_auction_there(world: World, owner: str) -> None:
    """One auction."""
    world.auction(world[owner], "double", 1, close_after=0.3, deadline=10.0)


def look(world: World, life: Life) -> None:
    """Who believes what now."""
    life.views.append({node.name: believes(node.engine.members()) for node in world.running})


def end_of(call: Pending) -> tuple[float, str]:
    """When it ended, and what it came to."""
    assert call.ended is not None
    said = repr(call.result) if call.error is None else type(call.error).__name__
    return call.ended - START, said


# --- the same? -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_both_tiers_tell_the_same_story(seed: int) -> None:
    """Crashes, partitions, stalls, sleep, and loss: each packet leaves at the same moment."""
    nodes = on_trio(seed)
    engines = on_the_heap(seed, nodes.starts)

    assert nodes.datagrams == engines.datagrams
    assert nodes.pieces == engines.pieces
    assert nodes.views == engines.views_of(nodes.views)
    assert nodes.ends == engines.ends
    assert {said for _, said in nodes.ends.values()} >= {"42", "PeerLost"}
    assert len(nodes.datagrams) > 200
    assert len(nodes.views) == len(LOOKS)
