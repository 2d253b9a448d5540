"""Both simulators draw the same numbers: a seed means the same weather in each."""

from __future__ import annotations

from meshp2p.ids import Address
from meshp2p.simulation import Conditions, World
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.links import Links
from meshp2p.testing.internet import Internet
from meshp2p.testing.machine import VirtualMachine

SEED = 17
WEATHER = Conditions(loss=0.3, delay=(0.001, 0.05), duplicate=0.1)
HOW_MANY = 200


def in_the_world() -> list[tuple[int, float]]:
    """When each datagram from alice to bob arrives where engines run without sockets."""
    world = World(SEED, conditions=WEATHER)
    return _arrivals(world.links, world)


def _arrivals(links: Links, world: World) -> list[tuple[int, float]]:
    arrived: list[tuple[int, float]] = []

    def arrive(number: int) -> None:
        arrived.append((number, world.now))

    for number in range(HOW_MANY):
        links.send_datagram(("alice", "bob"), lambda n=number: arrive(n))  # type: ignore[misc]  # mypy cannot infer it
        world.run_for(0.01)
    world.run_for(1.0)
    return arrived


def on_virtual_sockets() -> list[tuple[int, float]]:
    """The same on sockets of real nodes' kind."""
    internet = Internet(SEED, CheapCrypto())
    internet.links.usual = WEATHER
    alice = VirtualMachine(internet, "alice", 1).boot().bind(["127.0.0.1"], 7000, fallback=False)
    bob = VirtualMachine(internet, "bob", 2).boot().bind(["127.0.0.1"], 7000, fallback=False)
    (receiving,) = (each for each in bob.datagrams.values() if "." in each.address.host)
    arrived: list[tuple[int, float]] = []

    def look() -> None:
        arrived.extend(
            (int.from_bytes(data, "big"), internet.now) for data, _ in receiving.drain(64)
        )

    internet.after_each.append(look)
    for number in range(HOW_MANY):
        alice.send_or_drop(number.to_bytes(2, "big"), Address("127.0.0.2", 7000))
        internet.run_for(0.01)
    internet.run_for(1.0)
    return arrived


def test_a_datagram_fares_alike_in_both_simulators() -> None:
    """The fifth from alice to bob is lost, late or doubled in both or in neither."""
    theirs = in_the_world()

    assert on_virtual_sockets() == theirs
    assert HOW_MANY / 2 < len(theirs) < HOW_MANY
    assert [number for number, _ in theirs] != sorted(number for number, _ in theirs)
