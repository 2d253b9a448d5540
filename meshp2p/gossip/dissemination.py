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

_REFUTATIONS, _ACCUSATIONS, _LINES = 0, 1, 2
_LOOK_AT: Final = 24
"""Items of one lane that are tried on one datagram: more would not fit anyway."""


@attrs.define
class _News:
    item: list[Value]
    size: int
    sends: int = 0


def _news(item: list[Value]) -> _News:
    return _News(item, len(codec.pack(item)))


@attrs.define
class Dissemination:
    """A queue with at most one line per subject and one accusation per accuser and subject.

    A newer line takes the place of the older one and of every accusation of the older
    version. Refutations leave first, then accusations, then other lines; within each,
    whatever waited longest. Each is sent a logarithmic number of times, which reaches
    all but a few; those few learn it by a full sync.

    Args:
        retransmit_multiplier: An item is sent ceil(this x ln(n + 1)) times.
    """

    retransmit_multiplier: float
    _lanes: tuple[dict[Key, _News], ...] = attrs.field(factory=lambda: ({}, {}, {}), init=False)
    _accusers: dict[NodeId, list[NodeId]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        """How many items still have to be sent."""
        return sum(map(len, self._lanes))

    def put_line(self, record: Record, *, refutes: bool = False, new_body: bool = False) -> None:
        """Spread a line; with body and chain if they are new and a datagram can hold them."""
        subject = record.line.node_id
        self.drop_line(subject)
        self.drop_accusations(subject)
        news = _news(LineItem(record.line.raw).wire())
        if new_body:
            whole = _news(RecordItem(record.line.raw, record.body_raw, record.chain).wire())
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

    def fill(self, datagram: Datagram, population: int, told: Told | None = None) -> None:
        """Add as much as fits, and count it as sent.

        Args:
            population: Members that are to hear it.
            told: What the recipient got a moment ago; extended by what it gets now.
        """
        sends = ceil(self.retransmit_multiplier * log(population + 1))
        told = set() if told is None else told
        for lane in self._lanes:
            for key, news in list(islice(lane.items(), _LOOK_AT)):
                if key in told or not datagram.add(news.item, news.size):
                    continue
                told.add(key)
                del lane[key]
                news.sends += 1
                if news.sends < sends:
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
