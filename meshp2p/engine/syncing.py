"""Records by stream: joins, comparisons, full syncs and pulls, asked and answered.

Each question has an end, and no member has more than a few open: whoever lets us ask
and never answers must not fill our memory with questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from meshp2p.engine.core import Core
from meshp2p.engine.link import Errand
from meshp2p.engine.links import Links
from meshp2p.errors import WireError
from meshp2p.gossip.swim import Swim
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.messaging.requests import make_head
from meshp2p.transport.path import Route
from meshp2p.wire import codec, limits, messages
from meshp2p.wire.messages import ResponseHead, join_head, pack_error, split_head_untrusted

SYNC: Final = "!sync"
"""Body: my records. Answer: yours."""
JOIN: Final = "!join"
"""Body: the newcomer's record. Answer: a `Greeting`."""
COMPARE: Final = "!compare"
"""Body: a mask of buckets, and entries of their members. Answer: records that are missing."""
PULL: Final = "!pull"
"""Body: ids, or their first 8 bytes. Answer: their records."""

SYNC_PRICE: Final = 1024 * 1024
"""Bytes of an asker's rations: sixteen at once, for a machine that starts again and again."""
JOIN_PRICE: Final = 64 * 1024
COMPARE_PRICE: Final = 16 * 1024
PULL_PRICE: Final = 16 * 1024
"""A thousand at once, four a second: a member that hears of many who are new to it, and has
their lines without their bodies, asks whoever brought them."""

_TIMEOUT: Final = 10.0
_OPEN_PER_PEER: Final = 4
_FRESH: Final[Seconds] = 0.2
"""A packed list is given to all who ask within this time: packing 10,000 takes longer."""

_OnRecords: TypeAlias = Callable[[NodeId | None, list[codec.Value] | None, Seconds], None]
"""From whom, the answer's list or None if there is none, and the moment."""
_OnEnd: TypeAlias = Callable[[bool], None]
"""Whether anybody answered."""


@attrs.frozen(eq=False)
class _Question:
    """What was asked of whom, and who wants the answer."""

    errand: Errand
    peer: NodeId | None
    on_records: _OnRecords
    told: _OnEnd


class Syncing:
    """All syncs and pulls of one node."""

    def __init__(
        self, core: Core, swim: Swim, links: Links, *, route_to: Callable[[NodeId], Route]
    ) -> None:
        """Exchange the records of `swim` over `links`."""
        self._core = core
        self._swim = swim
        self._links = links
        self._route_to = route_to
        self._open: dict[int, _Question] = {}
        self._asked: Counter[NodeId] = Counter()
        self._deadlines = Deadlines(core.board)
        self._packed: tuple[Seconds, int, bytes] = (-1.0, 0, b"")

    def sync_with(
        self, peer: NodeId, now: Seconds, *, route: Callable[[NodeId], Route] | None = None
    ) -> None:
        """Learn what a node knows; `route` leads to one that is no member yet.

        A newcomer gets a few records first; whoever knows a mesh exchanges all of them.
        """
        errand = self._first_question(peer, now)
        if errand is not None:
            self._links.send(peer, errand, route=route or self._route_to, now=now)

    def sync_at(self, address: Address, now: Seconds, told: _OnEnd) -> None:
        """The same with whoever listens at an address; `told` is called once."""
        errand = self._first_question(None, now, told)
        if errand is not None:
            self._links.meet(address, errand, now=now)

    def _first_question(
        self, peer: NodeId | None, now: Seconds, told: _OnEnd = lambda _: None
    ) -> Errand | None:
        if self._swim.is_new:
            own = self._core.identity.node_id
            body = codec.pack(self._swim.records_of([own]))
            return self._ask(peer, JOIN, lambda: body, self._merge_greeting, now, told)
        return self._ask(peer, SYNC, self._own_records, self._merge_sync, now, told)

    def compare_with(self, peer: NodeId, buckets: int, now: Seconds) -> None:
        """Let a member say what we lack of these buckets."""

        def merge(_peer: NodeId | None, records: list[codec.Value] | None, now: Seconds) -> None:
            self._core.counters["syncs"] += records is not None
            self._swim.compared(records, buckets, peer, now=now)

        body = codec.pack(self._swim.comparison(buckets, now=now))
        errand = self._ask(peer, COMPARE, lambda: body, merge, now)
        if errand is None:
            self._swim.compared(None, buckets, peer, now=now)
        else:
            self._links.send(peer, errand, route=self._route_to, now=now)

    def pull(self, peer: NodeId, ids: list[NodeId], now: Seconds) -> None:
        """Ask a member for some records."""
        errand = self._ask(peer, PULL, lambda: codec.pack(ids), self._merge_pull, now)
        if errand is not None:
            self._links.send(peer, errand, route=self._route_to, now=now)

    def _own_records(self) -> bytes:
        """What we know, for the other side; what does not fit, gossip brings."""
        if self._core.guest:
            return codec.pack([])
        records = self._swim.sync_payload()
        packed = codec.pack(records)
        while len(packed) > limits.MAX_BODY:
            records = self._core.rng.sample(records, len(records) // 2)
            packed = codec.pack(records)
        return packed

    def _ask(
        self,
        peer: NodeId | None,
        method: str,
        body: Callable[[], bytes],
        on_records: _OnRecords,
        now: Seconds,
        told: _OnEnd = lambda _: None,
    ) -> Errand | None:
        """A question, unless too many to this peer are open."""
        if peer is not None and self._asked[peer] >= _OPEN_PER_PEER:
            self._core.counters["sync_skipped"] += 1
            return None
        head = make_head(
            self._core.rng,
            method,
            remaining=_TIMEOUT,
            cause=None,
            own_id=self._core.identity.node_id,
            timestamp=int(self._core.unix(now) * 1000),
        )
        number = self._core.next_number()

        def on_answer(errand: Errand, data: bytes, now: Seconds) -> None:
            self._settle(errand.number)
            self._receive(errand, data, on_records, now)
            told(True)  # noqa: FBT003  # called by position

        def on_lost(  # whatever the cause, it will be asked again
            errand: Errand, _reason: str, now: Seconds, *, sent: bool, full: bool = False
        ) -> None:
            del sent
            self._give_up(errand.number, now, there=full)  # who is full is there

        data = join_head(head.packed(), body())
        errand = Errand(number, data, limits.MAX_SYNC_BODY, on_answer, on_lost)
        self._open[number] = _Question(errand, peer, on_records, told)
        self._deadlines.set(number, now + _TIMEOUT)
        if peer is not None:
            self._asked[peer] += 1
        return errand

    def _settle(self, number: int) -> _Question | None:
        self._deadlines.discard(number)
        question = self._open.pop(number, None)
        if question is not None and question.peer is not None:
            self._asked[question.peer] -= 1
            if not self._asked[question.peer]:
                del self._asked[question.peer]
        return question

    def _give_up(self, number: int, now: Seconds, *, there: bool) -> None:
        """There will be no answer; `there`: but somebody who could give one."""
        question = self._settle(number)
        if question is not None:
            self._core.counters["sync_lost"] += 1
            question.on_records(question.peer, None, now)
            question.told(there)

    def _receive(self, errand: Errand, data: bytes, on_records: _OnRecords, now: Seconds) -> None:
        peer = errand.link.peer if errand.link is not None else None
        try:
            raw_head, body = split_head_untrusted(data)
            if ResponseHead.from_untrusted(raw_head).status == messages.OK:
                on_records(peer, codec.unpack_list_untrusted(body, 0), now)
                return
        except WireError:
            self._core.counters["answer_malformed"] += 1
        on_records(peer, None, now)

    def _merge_greeting(
        self, peer: NodeId | None, greeting: list[codec.Value] | None, now: Seconds
    ) -> None:
        if peer is not None and greeting is not None:
            self._swim.greeted_untrusted(greeting, peer, now=now)
            self._core.counters["syncs"] += 1

    def _merge_sync(
        self, peer: NodeId | None, records: list[codec.Value] | None, now: Seconds
    ) -> None:
        if records is None:
            return
        self._swim.merge_untrusted(records, peer, now=now)
        if peer is not None:
            self._swim.synced_with(peer, now=now)
        self._core.counters["syncs"] += 1

    def _merge_pull(
        self, peer: NodeId | None, records: list[codec.Value] | None, now: Seconds
    ) -> None:
        if records is not None:
            self._swim.merge_untrusted(records, peer, now=now)

    # --- answering -----------------------------------------------------------

    def answer_sync(
        self, peer: NodeId, body: bytes, reply: Callable[[int, bytes], None], now: Seconds
    ) -> None:
        """`SYNC`: take their records, give ours."""
        records = codec.unpack_list_untrusted(body, 0)
        if records:
            self._swim.merge_untrusted(records, peer, now=now)
        self._core.counters["syncs_answered"] += 1
        reply(messages.OK, self._packed_records(now))

    def answer_join(
        self, peer: NodeId, body: bytes, reply: Callable[[int, bytes], None], now: Seconds
    ) -> None:
        """`JOIN`: take the newcomer's record, greet it."""
        newcomer = codec.unpack_list_untrusted(body, 0)
        greeting = self._swim.greeting(newcomer[:1], peer, now=now)
        self._core.counters["syncs_answered"] += 1
        reply(messages.OK, codec.pack(greeting))

    def answer_compare(
        self, peer: NodeId, body: bytes, reply: Callable[[int, bytes], None], now: Seconds
    ) -> None:
        """`COMPARE`: give what they lack, and ask for what we lack."""
        comparison = codec.unpack_list_untrusted(body, 0)
        records = self._swim.compare_untrusted(comparison, peer, now=now)
        if records is None:
            reply(messages.REFUSED, pack_error("Busy", "ask somebody else", None))
            return
        self._core.counters["syncs_answered"] += 1
        reply(messages.OK, codec.pack(records))

    def answer_pull(
        self, _peer: NodeId, body: bytes, reply: Callable[[int, bytes], None], _now: Seconds
    ) -> None:
        """`PULL`: the records with these ids."""
        ids = codec.unpack_list_untrusted(body, 0)
        known = [node for node in ids[: limits.MAX_PULLS] if type(node) is bytes]
        reply(messages.OK, codec.pack(self._swim.records_of(known)))

    def _packed_records(self, now: Seconds) -> bytes:
        made_at, view_hash, packed = self._packed
        if view_hash != self._swim.view_hash() or now - made_at > _FRESH or not packed:
            packed = codec.pack(self._swim.sync_payload())
            self._packed = (now, self._swim.view_hash(), packed)
        return packed

    # --- time ----------------------------------------------------------------

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return self._deadlines.soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Give up questions that nobody answers."""
        for number in self._deadlines.pop_due(now):
            self._links.cancel(self._open[number].errand)
            self._give_up(number, now, there=False)
