"""Faults of the network that look at one packet at a time.

Every draw is keyed by the fault's own values, the link and the packet's number: two runs
that differ in another fault agree on what this one does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.faults.fault import EVERYWHERE, Stop, lies_on
from meshp2p.simulation.latency import AnyLatency
from meshp2p.simulation.packets import DROP, PASS, Deliver, Link, Packet, Rule, Verdict

if TYPE_CHECKING:
    from meshp2p.simulation.world import World


@attrs.frozen(kw_only=True)
class OnPaths(ABC):
    """A fault of some paths, (sender, receiver); "*" stands for anybody."""

    kind: ClassVar[str]
    paths: tuple[Link, ...] = EVERYWHERE

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        return world.links.add(self.rule(world.seed))

    @abstractmethod
    def rule(self, seed: int) -> Rule:
        """This fault at work; draws depend on the seed."""


_SHARE: Final = attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(1.0))
"""Of all packets: 20 is no fifth."""


class _Rule(ABC):
    """Asks `judge` with a draw for each packet."""

    def __init__(self, fault: OnPaths, seed: int) -> None:
        self.kind = fault.kind
        self._fault = fault
        self._seed = seed
        self._draws: dict[Link, Draws] = {}

    def concerns(self, link: Link) -> bool:
        """See `Rule.concerns`."""
        return lies_on(link, self._fault.paths)

    def draw(self, packet: Packet) -> float:
        """This fault's own number for the packet, from 0 up to 1."""
        link = (packet.sender, packet.receiver)
        draws = self._draws.get(link)
        if draws is None:
            draws = self._draws[link] = Draws(self._seed, repr(self._fault), link)
        return draws.at(2 * packet.number + (packet.kind == "segment"))

    @abstractmethod
    def look(self, packet: Packet) -> Verdict:
        """See `Rule.look`."""


# --- lost ------------------------------------------------------------------------


@attrs.frozen
class Loss(OnPaths):
    """A share of all packets is lost, each by itself."""

    kind: ClassVar[str] = "loss"
    share: float = attrs.field(validator=_SHARE)

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _Loses(self, seed, self.share)


class _Loses(_Rule):
    def __init__(self, fault: OnPaths, seed: int, share: float) -> None:
        super().__init__(fault, seed)
        self._share = share

    def look(self, packet: Packet) -> Verdict:
        return DROP if self.draw(packet) < self._share else PASS


@attrs.frozen
class BurstyLoss(OnPaths):
    """Packets are lost in bursts: a link is good or bad, and now and then turns.

    Args:
        turns_bad: Chance to turn bad at each packet of a good link.
        turns_good: Chance to turn good at each packet of a bad one.
        lost_when_bad: Share lost while it is bad.

    Source: Gilbert, "Capacity of a burst-noise channel" (1960), and Elliott (1963).
    """

    kind: ClassVar[str] = "loss"
    turns_bad: float = 0.02
    turns_good: float = 0.2
    lost_when_bad: float = 0.7

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _LosesInBursts(self, seed, self)


class _LosesInBursts(_Rule):
    def __init__(self, fault: OnPaths, seed: int, how: BurstyLoss) -> None:
        super().__init__(fault, seed)
        self._how = how
        self._bad: set[Link] = set()

    def look(self, packet: Packet) -> Verdict:
        link, how, draw = (packet.sender, packet.receiver), self._how, self.draw(packet)
        if link not in self._bad:
            if draw < how.turns_bad:
                self._bad.add(link)
            return PASS
        if draw < how.turns_good:
            self._bad.discard(link)
            return PASS
        # What is left of the draw is as evenly spread: no second one is needed.
        share = (draw - how.turns_good) / (1.0 - how.turns_good)
        return DROP if share < how.lost_when_bad else PASS


# --- late, twice, out of order ------------------------------------------------------


@attrs.frozen
class Delay(OnPaths):
    """All packets take longer."""

    kind: ClassVar[str] = "delay"
    by: AnyLatency

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _Delays(self, seed, self.by, 1.0)


@attrs.frozen
class Reorder(OnPaths):
    """A share of all packets takes so much longer that others overtake them.

    They are counted as delays; as reordering counts each packet that was really overtaken.
    """

    kind: ClassVar[str] = "delay"
    share: float = attrs.field(validator=_SHARE)
    by: AnyLatency

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _Delays(self, seed, self.by, self.share)


class _Delays(_Rule):
    def __init__(self, fault: OnPaths, seed: int, by: AnyLatency, share: float) -> None:
        super().__init__(fault, seed)
        self._by = by
        self._share = share

    def look(self, packet: Packet) -> Verdict:
        draw = self.draw(packet)
        return Deliver(self._by.of(draw / self._share)) if draw < self._share else PASS


@attrs.frozen
class Duplicate(OnPaths):
    """A share of all datagrams arrives twice, the copy `later` than the first."""

    kind: ClassVar[str] = "duplicate"
    share: float = attrs.field(validator=_SHARE)
    later: AnyLatency

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _Doubles(self, seed, self)


class _Doubles(_Rule):
    def __init__(self, fault: OnPaths, seed: int, how: Duplicate) -> None:
        super().__init__(fault, seed)
        self._how = how

    def look(self, packet: Packet) -> Verdict:
        draw, how = self.draw(packet), self._how
        if packet.kind != "datagram" or draw >= how.share:
            return PASS
        return Deliver(again=how.later.of(draw / how.share))


# --- narrow -----------------------------------------------------------------------------


@attrs.frozen
class Bandwidth(OnPaths):
    """Each link carries so much and no more: a token bucket before a queue.

    Args:
        rate: Bytes per second.
        burst: Bytes that may go at once after a pause.
        queue: Bytes that may wait; a datagram that finds it full is lost. Streams adapt
            to a narrow link by themselves and only get slower.
    """

    kind: ClassVar[str] = "bandwidth"
    rate: float
    burst: int = 4_000
    queue: int = 64_000

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _Narrows(self, seed, self)


class _Narrows(_Rule):
    def __init__(self, fault: OnPaths, seed: int, how: Bandwidth) -> None:
        super().__init__(fault, seed)
        self._how = how
        self._fill: dict[Link, tuple[float, Seconds]] = {}

    def look(self, packet: Packet) -> Verdict:
        how, link = self._how, (packet.sender, packet.receiver)
        fill, at = self._fill.get(link, (0.0, packet.now))
        fill = max(0.0, fill - (packet.now - at) * how.rate)
        full = fill + packet.size > how.burst + how.queue
        if full and packet.kind == "datagram":
            self._fill[link] = (fill, packet.now)
            return DROP
        fill += packet.size
        self._fill[link] = (fill, packet.now)
        return Deliver((fill - how.burst) / how.rate) if fill > how.burst else PASS


@attrs.frozen
class Mtu(OnPaths):
    """Datagrams above so many bytes are lost without a word; streams know how to cope."""

    kind: ClassVar[str] = "mtu"
    size: int

    def rule(self, seed: int) -> Rule:
        """See `OnPaths.rule`."""
        return _TooLong(self, seed, self.size)


class _TooLong(_Rule):
    def __init__(self, fault: OnPaths, seed: int, size: int) -> None:
        super().__init__(fault, seed)
        self._size = size

    def look(self, packet: Packet) -> Verdict:
        return DROP if packet.kind == "datagram" and packet.size > self._size else PASS
