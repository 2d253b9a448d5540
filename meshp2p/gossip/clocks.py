"""Whose wall clock is wrong: told to people, and used for nothing else.

Every ack carries its sender's time of day. Half of the round trip before it came the clock
showed that, give or take the other half.
"""

from __future__ import annotations

from collections import OrderedDict
from math import copysign
from typing import Final

import attrs

from meshp2p.events import ClockSkew
from meshp2p.gossip.member import Row
from meshp2p.gossip.outputs import Tell
from meshp2p.gossip.parts import Parts
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

_LASTS: Final[Seconds] = 15.0
"""Whoever slept looks at the clock within ten seconds after it woke: so long it errs for us."""
_WITHIN: Final = 2 / 3
"""Of the limit: a clock about the limit itself would be told of time and again."""
_JUDGES: Final = 3
"""Members without whom nobody can say whose clock is wrong: one liar among them decides nothing."""
_FRESH: Final[Seconds] = 300.0
"""Older answers say nothing of what the clocks show now."""
_HALF_A_SECOND: Final[Seconds] = 0.5
"""Whole seconds are told."""


@attrs.frozen
class _Reading:
    """How far a clock is ahead, give or take `doubt`."""

    ahead: Seconds
    doubt: Seconds

    @property
    def at_least(self) -> Seconds:
        """How far it is off at the least, with the sign of `ahead`; 0 if it may be right."""
        return copysign(max(0.0, abs(self.ahead) - self.doubt), self.ahead)


@attrs.define
class _Episode:
    """A clock that is off since a moment, and whether that was told."""

    since: Seconds
    told: bool = False


@attrs.define
class Clocks:
    """Compares clocks by answers that come anyway, and tells of each that is wrong, once.

    A clock is compared with this node's own, unless most of those that answered last, at
    least three, say that this node's own is wrong: then with theirs. So one member decides
    nothing but what is told of itself.
    """

    _parts: Parts
    _heard: OrderedDict[NodeId, tuple[Seconds, _Reading]] = attrs.field(
        factory=OrderedDict, init=False
    )
    _episodes: OrderedDict[NodeId, _Episode] = attrs.field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """Clocks of which anything is kept."""
        return len(self._heard) + len(self._episodes)

    @property
    def off(self) -> int:
        """Members there, this node included, whose clocks are known to be wrong."""
        rows = (self._parts.view.get(each) for each, known in self._episodes.items() if known.told)
        return sum(row is not None and row.is_live for row in rows)

    def hear(self, row: Row, clock: int, took: Seconds, now: Seconds) -> None:
        """A member answered a question.

        Args:
            clock: What it says that its clock showed then, whole Unix seconds.
            took: From the question to the answer.
        """
        ahead = clock + _HALF_A_SECOND - (self._parts.wall.unix(now) - took / 2)
        reading = _Reading(ahead, took / 2 + _HALF_A_SECOND)
        self._heard[row.id] = (now, reading)
        self._heard.move_to_end(row.id)
        if len(self._heard) > limits.MAX_CLOCKS:
            self._heard.popitem(last=False)
        if self._episodes or abs(reading.at_least) > self._parts.config.clock_skew:
            self._judge_all(row, reading, now)

    def _judge_all(self, row: Row, reading: _Reading, now: Seconds) -> None:
        judges = self._judges(now)
        most, own = _Reading(0.0, 0.0), self._parts.view.get(self._parts.identity.node_id)
        if len(judges) >= _JUDGES and own is not None:
            most = _middle(judges)
            ours = _Reading(-most.ahead, most.doubt)
            self._judge(own, ours, len(judges), now)
            if abs(most.at_least) <= self._parts.config.clock_skew:
                most = _Reading(0.0, 0.0)
        theirs = _Reading(reading.ahead - most.ahead, reading.doubt)
        self._judge(row, theirs, len(judges), now)

    def _judges(self, now: Seconds) -> list[_Reading]:
        """What those say that answered lately and are there."""
        view = self._parts.view
        return [
            reading
            for peer, (at, reading) in self._heard.items()
            if now - at < _FRESH and (row := view.get(peer)) is not None and row.is_live
        ]

    def _judge(self, row: Row, reading: _Reading, judges: int, now: Seconds) -> None:
        limit = self._parts.config.clock_skew
        is_off = abs(reading.at_least) > limit
        known = self._episodes.get(row.id)
        if known is None:
            if is_off:
                self._begin(row.id, now)
        elif is_off:
            if not known.told and now >= known.since + _LASTS:
                known.told = True
                self._tell(row, reading, judges)
        elif not known.told or abs(reading.ahead) <= _WITHIN * limit:
            del self._episodes[row.id]
            if known.told:
                self._parts.evidence.note(row.id, "clock", "its clock is right again")

    def _begin(self, member: NodeId, now: Seconds) -> None:
        self._episodes[member] = _Episode(now)
        if len(self._episodes) > limits.MAX_CASES:
            self._episodes.popitem(last=False)

    def _tell(self, row: Row, reading: _Reading, judges: int) -> None:
        is_own = row.id == self._parts.identity.node_id
        event = ClockSkew(row.member(), is_own, reading.ahead, reading.doubt, judges)
        self._parts.counters["clock_skews"] += 1
        self._parts.evidence.note(row.id, "clock", event.text)
        self._parts.put(Tell(event))
        self._parts.log("warning", "a clock is wrong", member=row.member().name, what=event.text)


def _middle(judges: list[_Reading]) -> _Reading:
    """The median; of the two in the middle the one nearer to our own clock.

    So it is far off only if more than half of them are, to the same side.
    """
    ordered = sorted(judges, key=lambda each: each.ahead)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return min(low, high, key=lambda each: abs(each.ahead))
