"""Faults that close paths altogether: cuts, partitions, and packets held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from meshp2p.simulation.faults.fault import EVERYWHERE, Stop, lies_on
from meshp2p.simulation.packets import DROP, PASS, Kind, Link, Packet, Rule, Verdict

if TYPE_CHECKING:
    from meshp2p.simulation.world import World


@attrs.frozen
class Closed:
    """A rule that loses everything on the links it concerns."""

    kind: str
    ways: tuple[Link, ...] = EVERYWHERE
    groups: tuple[frozenset[str], ...] = ()
    only: Kind | None = None

    def concerns(self, link: Link) -> bool:
        """See `Rule.concerns`."""
        if not self.groups:
            return lies_on(link, self.ways)
        sides = [[name in group for group in self.groups] for name in link]
        named = all(any(side) for side in sides)
        return named and not any(a and b for a, b in zip(*sides, strict=True))

    def look(self, packet: Packet) -> Verdict:
        """See `Rule.look`."""
        return DROP if self.only in (None, packet.kind) else PASS


@attrs.frozen
class Cut:
    """Some paths lose everything: one way, or both if both are named.

    Args:
        only: What is lost: a firewall may let TCP through and not UDP, or the other way.
    """

    kind: ClassVar[str] = "cut"
    paths: tuple[Link, ...]
    only: Kind | None = None

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        return world.links.add(self.rule(world.seed))

    def rule(self, seed: int) -> Rule:
        """This fault at work."""
        del seed
        back = all(lies_on((to, sender), self.paths) for sender, to in self.paths)
        ways = "both_ways" if back else "one_way"
        return Closed(f"{self.kind}.{ways}", self.paths, only=self.only)


@attrs.frozen
class Partition:
    """Two nodes reach each other only if some group has both.

    A node in two groups is a bridge; one in no group reaches everybody.
    """

    kind: ClassVar[str] = "partition"
    groups: tuple[tuple[str, ...], ...]

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        return world.links.add(self.rule(world.seed))

    def rule(self, seed: int) -> Rule:
        """This fault at work."""
        del seed
        return Closed(self.kind, groups=tuple(frozenset(group) for group in self.groups))

    def __str__(self) -> str:
        """For people: "partition alice | bob, carol"."""
        return "partition " + " | ".join(", ".join(group) for group in self.groups)


@attrs.frozen
class Hold:
    """Packets on some paths are kept until it ends, and then go on in their order."""

    kind: ClassVar[str] = "hold"
    paths: tuple[Link, ...]

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        for path in self.paths:
            world.links.hold(path)

        def stop() -> None:
            for path in self.paths:
                world.links.release(path)

        return stop
