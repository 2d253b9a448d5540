"""News on its way: what to put into the room that a datagram has left."""

from __future__ import annotations

from itertools import islice
from math import ceil, log
from typing import Final, TypeAlias

import attrs

from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.messages import Datagram, LineItem, RecordItem, SuspicionItem
from meshp2p.gossip.record import Record
from meshp2p.ids import NodeId
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

Key: TypeAlias = tuple[NodeId, NodeId | None]
"""(subject, None) for its line, (subject, accuser) for an accusation."""

Told: TypeAlias = set[Key]
"""What one recipient has got already."""

_REFUTATIONS, _ACCUSATIONS, _LINES, _LOADS, _EVENTS = range(5)
_SHARES: Final = (0.25, 0.25, 0.25, 0.125, 0.125)
"""Part of a datagram that each lane can count on, if it has something to say: what comes
first cannot starve what comes last. Nothing fills the last two yet."""
_LOOK_AT: Final = 24
"""Items of one lane that are tried on one datagram: more would not fit anyway."""


@attrs.define
class _News:
    item: list[Value]
    size: int
    times: int = 1
    sends: int = 0


def _news(item: list[Value], times: int = 1) -> _News:
    return _News(item, len(codec.pack(item)), times)


@attrs.define
class Dissemination:
    """A queue with at most one line per subject and one accusation per accuser and subject.

    A newer line takes the place of the older one and of every accusation of the older
    version. Refutations leave first, then accusations, then other lines; within each,
    whatever waited longest. Each is sent a logarithmic number of times, which reaches
    all but a few; those few learn it when views are compared.

    Args:
        retransmit_multiplier: An item is sent ceil(this x ln(n + 1)) times.
    """

    retransmit_multiplier: float
    _lanes: tuple[dict[Key, _News], ...] = attrs.field(
        factory=lambda: tuple({} for _ in _SHARES), init=False
    )
    _accusers: dict[NodeId, list[NodeId]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        """How many items still have to be sent."""
        return sum(map(len, self._lanes))

    def __bool__(self) -> bool:
        """Whether anything still has to be sent."""
        return any(self._lanes)

    def put_line(
        self, record: Record, *, refutes: bool = False, new_body: bool = False, times: int = 1
    ) -> None:
        """Spread a line; with body and chain if they are new and a datagram can hold them.

        Args:
            times: As often as usual, times this: whose words do not get through says them again.
        """
        subject = record.line.node_id
        self.drop_line(subject)
        self.drop_accusations(subject)
        news = _news(LineItem(record.line.raw).wire(), times)
        if new_body:
            whole = _news(RecordItem(record.line.raw, record.body_raw, record.chain).wire(), times)
            if Datagram().add(whole.item, whole.size):
                news = whole
        self._put(_REFUTATIONS if refutes else _LINES, (subject, None), news)

    def put_accusation(self, accusation: Accusation) -> None:
        """Spread an accusation."""
        subject, accuser = accusation.subject, accusation.accuser
        key = (subject, accuser)
        self._lanes[_ACCUSATIONS].pop(key, None)
        accusers = self._accusers.setdefault(subject, [])
        if accuser not in accusers:
            accusers.append(accuser)
        self._put(_ACCUSATIONS, key, _news(SuspicionItem(accusation.raw).wire()))

    def drop_line(self, subject: NodeId) -> None:
        """Stop spreading the subject's line."""
        for lane in (_REFUTATIONS, _LINES):
            self._lanes[lane].pop((subject, None), None)

    def drop_accusations(self, subject: NodeId, *, of: NodeId | None = None) -> None:
        """Stop spreading accusations of the subject, all of them or those of one accuser."""
        for accuser in self._accusers.get(subject, []) if of is None else [of]:
            self._lanes[_ACCUSATIONS].pop((subject, accuser), None)
        if of is None:
            self._accusers.pop(subject, None)

    def fill(
        self,
        datagram: Datagram,
        population: int,
        told: Told | None = None,
        *,
        knows_all: bool = False,
    ) -> None:
        """Add as much as fits, and count it as sent.

        Args:
            population: Members that are to hear it.
            told: What the recipient got a moment ago; extended by what it gets now.
            knows_all: Whether the recipient's view is what ours is: lines would be no news to
                it, and count as sent. Accusations are not part of a view.
        """
        filled = [number for number, lane in enumerate(self._lanes) if lane]
        if not filled:
            return
        sends = ceil(self.retransmit_multiplier * log(population + 1))
        told = set() if told is None else told
        shares = [share if lane else 0.0 for lane, share in zip(self._lanes, _SHARES, strict=True)]
        free = datagram.free
        for number in filled:
            keep = free * sum(shares[number + 1 :])
            self._fill_from(number, datagram, sends, told, keep=keep, knows_all=knows_all)
        for number in filled:  # what nobody else had a use for
            self._fill_from(number, datagram, sends, told, keep=0.0, knows_all=knows_all)

    def _fill_from(
        self,
        number: int,
        datagram: Datagram,
        sends: int,
        told: Told,
        *,
        keep: float,
        knows_all: bool,
    ) -> None:
        """Add items of one lane, but leave so many bytes for the next ones."""
        lane = self._lanes[number]
        known = knows_all and number != _ACCUSATIONS
        for key, news in list(islice(lane.items(), _LOOK_AT)):
            if key not in told and (known or datagram.add(news.item, news.size, keep)):
                told.add(key)
                self._sent(lane, key, news, sends)

    def _sent(self, lane: dict[Key, _News], key: Key, news: _News, sends: int) -> None:
        del lane[key]
        news.sends += 1
        if news.sends < news.times * sends:
            lane[key] = news  # to the end: whatever waited longest goes first
        else:
            self._forget_accuser(key)

    def _put(self, lane: int, key: Key, news: _News) -> None:
        self._lanes[lane][key] = news
        if len(self) > limits.MAX_NEWS:
            longest = max(self._lanes, key=len)
            oldest = next(iter(longest))
            del longest[oldest]
            self._forget_accuser(oldest)

    def _forget_accuser(self, key: Key) -> None:
        subject, accuser = key
        accusers = self._accusers.get(subject)
        if accuser is not None and accusers is not None:
            accusers.remove(accuser)
            if not accusers:
                del self._accusers[subject]
