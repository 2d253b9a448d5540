"""Meshes in virtual time: joined through one seed, their work charged, all they say noted."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Final

import attrs

from meshp2p.config import Config, lan
from meshp2p.effects import Announce, Effect
from meshp2p.events import MemberEvent, State
from meshp2p.ids import Seconds
from meshp2p.simulation import Conditions, Node, World
from meshp2p.simulation.charges import Charges
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.packets import PASS, Link, Packet, Verdict

HOW: Final = (
    "Simulated: one way takes 0.2 to 2 ms, unless a loss is named none is lost, and every node is "
    "charged for its work (a signature checked 70 us, made 25 us, a key exchange 25 us, a "
    "datagram 20 us, a full list 200 us)."
)
_PATIENCE: Final[Seconds] = 300.0
_SETTLE: Final[Seconds] = 15.0
"""Gossip of the join dies away."""
_LOOK: Final[Seconds] = 0.01


@attrs.frozen
class Heard:
    """One node was told something of another."""

    at: Seconds
    observer: str
    event: str
    member: str


class Ears:
    """Everything that all nodes tell their users of members, with the moment."""

    def __init__(self, world: World) -> None:
        """Listen from now on."""
        self.heard: list[Heard] = []
        self._world = world
        world.on_effects.append(self._effects)

    def _effects(self, node: Node, effects: Sequence[Effect]) -> None:
        now = self._world.elapsed
        for effect in effects:
            if isinstance(effect, Announce) and isinstance(effect.event, MemberEvent):
                event = effect.event
                self.heard.append(Heard(now, node.name, event.name, event.member.handle))

    def count(
        self,
        event: str,
        *,
        of: Collection[str],
        by: Collection[str] | None = None,
        since: Seconds = 0.0,
    ) -> int:
        """How often it was told of some, by some (anybody if None)."""
        return len(self.told(event, of=of, by=by, since=since))

    def told(
        self,
        event: str,
        *,
        of: Collection[str],
        by: Collection[str] | None = None,
        since: Seconds = 0.0,
    ) -> list[Heard]:
        """All of these, in order."""
        return [
            each
            for each in self.heard
            if each.event == event
            and each.at >= since
            and each.member in of
            and (by is None or each.observer in by)
        ]


class Scales:
    """A rule that lets every packet pass, and counts packets and bytes of both kinds."""

    kind = "scales"

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.packets = 0
        self.sent = 0

    def concerns(self, link: Link) -> bool:
        """See `Rule.concerns`."""
        del link
        return True

    def look(self, packet: Packet) -> Verdict:
        """See `Rule.look`."""
        self.packets += 1
        self.sent += packet.size
        return PASS


def crowd(size: int) -> list[str]:
    """Names for so many."""
    return [f"node{number}" for number in range(size)]


def storm(size: int, seed: int, config: Config | None = None) -> tuple[World, Seconds]:
    """So many start at once through one seed; also how long until each lists all as alive.

    Raises:
        Violation: Longer than five minutes.
    """
    world = World(seed, config or lan(), conditions=Conditions(), charges=Charges())
    first = world.start("node0", seeds=())
    for name in crowd(size)[1:]:
        world.start(name, seeds=(first,))
    took = world.run_until(lambda: is_whole(world, size), _PATIENCE, every=_LOOK)
    return world, took


def joined(size: int, seed: int, config: Config | None = None) -> World:
    """The same a little later: nothing happens any more."""
    world, _ = storm(size, seed, config)
    world.run_for(_SETTLE)
    return world


def is_whole(world: World, size: int) -> bool:
    """Whether each running node lists so many, all of them alive."""
    return all(
        len(inside.view_of(node.engine).live) + 1 == size
        and all(row.state != "suspect" for row in inside.view_of(node.engine))
        for node in world.running
    )


def death(world: World, number: int, silent: bool) -> tuple[Seconds, Seconds]:  # noqa: FBT001  # for partial
    """Somebody dies at some moment: seconds until the first of the others knows, until all do.

    Args:
        number: Decides who, and when.

    Raises:
        Violation: Not within five minutes.
    """
    rng = random.Random(f"death {number}")
    world.run_for(rng.uniform(0.0, 3.0))
    victim = rng.choice(world.running)
    others = [node for node in world.running if node is not victim]
    at = world.now
    world.crash(victim, silent=silent)
    world.run_until(lambda: "dead" in states(victim, others), _PATIENCE, every=_LOOK)
    first = world.now - at
    world.run_until(lambda: set(states(victim, others)) == {"dead"}, _PATIENCE, every=_LOOK)
    return first, world.now - at


def states(of: Node, by: Sequence[Node]) -> list[State | None]:
    """What each of some believes of one."""
    rows = [inside.view_of(node.engine).get(of.id) for node in by]
    return [None if row is None else row.state for row in rows]


def views(world: World) -> int:
    """How many different lists of members there are."""
    return len({inside.view_of(node.engine).hash for node in world.running})
