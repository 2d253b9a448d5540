"""What lies between nodes: delay, loss, copies, rules of faults, and packets that are held.

A link is one direction, named (from, to). Every draw is keyed by the link and the number
of the packet on it, so that removing one fault leaves the fate of other packets alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.latency import AnyLatency, Uniform, as_latency
from meshp2p.simulation.packets import DROP, Deliver, Kind, Link, Packet, Rule

Act: TypeAlias = Callable[[], object]
Dropped: TypeAlias = Callable[[Link, Kind, int, str], None]
"""Told of link, kind, bytes and reason of everything that is lost."""

_Fate: TypeAlias = tuple[Seconds, tuple[Seconds, ...]]
"""How long a packet takes, and how much later copies of it arrive; None if it is lost."""

_RESEND: Final[Seconds] = 0.2
"""Linux's shortest pause before TCP sends a segment again; doubles."""
_MOST_DOUBLINGS: Final = 3
"""Linux goes on to two minutes; a calm phase shall measure us and not TCP's patience."""
_RESENDS: Final = 64
"""Numbers kept for the resends of one segment, so that its draws touch no other's."""


@attrs.frozen(kw_only=True)
class Conditions:
    """How a link treats packets when no fault is at work.

    Args:
        delay: Of each packet; a pair means every length between the two.
        loss: Share of packets lost; segments of streams are sent again.
        duplicate: Share of datagrams that arrive twice.
    """

    delay: AnyLatency = attrs.field(default=Uniform(0.0002, 0.002), converter=as_latency)
    loss: float = 0.0
    duplicate: float = 0.0


@attrs.define(eq=False)
class Lane:
    """One direction of one stream: what was sent later arrives later.

    Args:
        free_at: When the last packet on its way arrives.
        waiting: What was not sent yet: its act, bytes, and how often it was tried.
    """

    link: Link
    free_at: Seconds = 0.0
    waiting: deque[tuple[Act, int]] = attrs.field(factory=deque)
    number: int = 0
    resends: int = 0


@attrs.define(eq=False)
class _Way:
    """All that is known of one link."""

    link: Link
    draws: Draws
    conditions: Conditions
    rules: list[Rule]
    datagrams: int = 0
    segments: int = 0
    newest: int = 0
    held: int = 0
    kept: list[Act] = attrs.field(factory=list)


class Links:
    """All links of a world.

    Args:
        after: `after(seconds, act, *given)` calls something later with what is given.
        clock: The moment now.
        coverage: Counts what really befell packets.
        dropped: Told of everything that is lost.
    """

    def __init__(
        self,
        seed: int,
        after: Callable[..., None],
        clock: Callable[[], Seconds],
        *,
        coverage: Counter[str] | None = None,
        dropped: Dropped | None = None,
    ) -> None:
        """Links are good until told otherwise."""
        self.coverage: Counter[str] = Counter() if coverage is None else coverage
        self._usual = Conditions()
        self._seed = seed
        self._after = after
        self._clock = clock
        self._dropped = dropped
        self._special: dict[Link, Conditions] = {}
        self._rules: list[Rule] = []
        self._ways: dict[Link, _Way] = {}
        self.lost = 0

    # --- conditions and rules --------------------------------------------------

    @property
    def usual(self) -> Conditions:
        """Of all links that have no others."""
        return self._usual

    @usual.setter
    def usual(self, conditions: Conditions) -> None:
        self._usual = conditions
        self._refresh()

    def set(self, link: Link, conditions: Conditions) -> None:
        """Treat one link in its own way."""
        self._special[link] = conditions
        self._refresh()

    def forget_special(self) -> None:
        """Treat all links in the usual way."""
        self._special.clear()
        self._refresh()

    def add(self, rule: Rule) -> Callable[[], None]:
        """Ask this rule too; what is returned takes it away again."""
        self._rules.append(rule)
        self._refresh()

        def remove() -> None:
            self._rules = [each for each in self._rules if each is not rule]
            self._refresh()

        return remove

    def _refresh(self) -> None:
        for link, way in self._ways.items():
            way.conditions = self._special.get(link, self._usual)
            way.rules = self._rules_of(link)

    def _new_way(self, link: Link) -> _Way:
        conditions = self._special.get(link, self._usual)
        draws, rules = Draws(self._seed, link), self._rules_of(link)
        way = self._ways[link] = _Way(link, draws, conditions, rules)
        return way

    def _rules_of(self, link: Link) -> list[Rule]:
        return [rule for rule in self._rules if rule.concerns(link)]

    # --- holding -----------------------------------------------------------------

    def hold(self, link: Link) -> None:
        """Keep everything that is sent until `release`; holds nest."""
        way = self._ways.get(link) or self._new_way(link)
        way.held += 1

    def release(self, link: Link) -> None:
        """Undo one `hold`; what was kept goes on its way, in its order."""
        way = self._ways[link]
        way.held -= 1
        if not way.held:
            kept, way.kept = way.kept, []
            for act in kept:
                act()

    # --- traffic -------------------------------------------------------------------

    def send_datagram(self, link: Link, deliver: Act, size: int = 0) -> None:
        """Perhaps deliver, perhaps twice, after the link's delay."""
        way = self._ways.get(link) or self._new_way(link)
        number = way.datagrams = way.datagrams + 1
        fate = self._fate(way, "datagram", number, size)
        if fate is None:
            return
        if way.held:
            self.coverage["hold"] += 1
            way.kept.append(partial(self._go, way, number, fate, deliver))
        else:
            self._go(way, number, fate, deliver)

    def _go(self, way: _Way, number: int, fate: _Fate, deliver: Act) -> None:
        after, again = fate
        self._after(after, self._arrive, way, number, deliver)
        for extra in again:
            self._after(after + extra, deliver)

    def _arrive(self, way: _Way, number: int, deliver: Act) -> None:
        if number < way.newest:
            self.coverage["reorder"] += 1
        else:
            way.newest = number
        deliver()

    def send_in_order(self, lane: Lane, deliver: Act, size: int = 0) -> None:
        """Deliver certainly, after everything that was sent on the lane before."""
        lane.waiting.append((deliver, size))
        if len(lane.waiting) == 1:
            self._send_next(lane)

    def _send_next(self, lane: Lane) -> None:
        """Send what waits on a lane, up to the first that is held or lost."""
        way = self._ways.get(lane.link) or self._new_way(lane.link)
        while lane.waiting:
            if way.held:
                self.coverage["hold"] += 1
                way.kept.append(partial(self._send_next, lane))
                return
            deliver, size = lane.waiting[0]
            if not lane.resends:
                way.segments += 1
                lane.number = way.segments
            resend = min(lane.resends, _RESENDS - 1)
            fate = self._fate(way, "segment", lane.number * _RESENDS + resend, size)
            if fate is None:
                pause = _RESEND * 2 ** min(lane.resends, _MOST_DOUBLINGS)
                lane.resends += 1
                self._after(pause, self._send_next, lane)
                return
            lane.waiting.popleft()
            lane.resends = 0
            now = self._clock()
            lane.free_at = max(lane.free_at, now + fate[0])
            self._after(lane.free_at - now, deliver)

    # --- fates -----------------------------------------------------------------------

    def _fate(self, way: _Way, kind: Kind, number: int, size: int) -> _Fate | None:
        conditions = way.conditions
        if conditions.loss and way.draws.at(number * 4) < conditions.loss:
            self.coverage["loss"] += 1
            self._lose(way.link, kind, size, "loss")
            return None
        after = conditions.delay.of(way.draws.at(number * 4 + 1))
        again: tuple[Seconds, ...] = ()
        if (
            conditions.duplicate
            and kind == "datagram"
            and way.draws.at(number * 4 + 2) < conditions.duplicate
        ):
            self.coverage["duplicate"] += 1
            again = (9 * after,)
        if not way.rules:
            return after, again
        packet = Packet(*way.link, kind, size, number, self._clock())
        return self._judged(way, packet, after, again)

    def _judged(
        self, way: _Way, packet: Packet, after: Seconds, again: tuple[Seconds, ...]
    ) -> _Fate | None:
        for rule in way.rules:
            verdict = rule.look(packet)
            if isinstance(verdict, Deliver):
                self.coverage[rule.kind] += 1
                after += verdict.after
                if verdict.again is not None and packet.kind == "datagram":
                    again = (*again, verdict.again)
            elif verdict is DROP:
                kind, _, finer = rule.kind.partition(".")
                self.coverage[kind] += 1
                if finer:
                    self.coverage[rule.kind] += 1
                self._lose(way.link, packet.kind, packet.size, kind)
                return None
        return after, again

    def _lose(self, link: Link, kind: Kind, size: int, why: str) -> None:
        self.lost += 1
        if self._dropped is not None:
            self._dropped(link, kind, size, why)
