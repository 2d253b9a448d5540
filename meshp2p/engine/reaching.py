"""Asking a member by stream whether it is there, where datagrams do not get through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshp2p.engine.core import Core
from meshp2p.engine.link import Errand
from meshp2p.engine.links import Links
from meshp2p.errors import WireError
from meshp2p.gossip.accusation import MAX_ACCUSATION
from meshp2p.gossip.fields import binary
from meshp2p.gossip.record import MAX_LINE
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.messaging.requests import make_head
from meshp2p.transport.path import Route
from meshp2p.wire import codec, limits, messages
from meshp2p.wire.messages import ResponseHead, join_head, split_head_untrusted

ALIVE: Final = "!alive"
"""Body: [an accusation of you, or b""]. Answer: [my newest line]."""
ALIVE_PRICE: Final = 4 * 1024
"""Bytes of an asker's rations: sixteen a second; whom no datagram reaches is asked once."""

_TIMEOUT: Final[Seconds] = 10.0


class Reaching:
    """Questions by stream, at most one open to each member, each with an end.

    Whoever lets us ask and never answers must not be left alone for ever, nor fill the
    room for questions to others.
    """

    def __init__(
        self, core: Core, swim: Swim, links: Links, *, route_to: Callable[[NodeId], Route]
    ) -> None:
        """Ask for `swim` over `links`."""
        self._core = core
        self._swim = swim
        self._links = links
        self._route_to = route_to
        self._open: dict[NodeId, Errand] = {}
        self._peers: dict[int, NodeId] = {}
        self._deadlines = Deadlines(core.board)

    def __len__(self) -> int:
        """How many questions are open."""
        return len(self._open)

    def ask(self, peer: NodeId, accusation: bytes, *, dial: bool, now: Seconds) -> None:
        """Ask a member, unless it is being asked.

        Args:
            accusation: What it should object to, if it can; b"" for nothing.
            dial: Whether a connection may be made for it.
        """
        if peer in self._open or len(self._open) >= limits.MAX_PENDING_HANDSHAKES:
            return
        if not (dial or self._links.reaches(peer)):
            return
        head = make_head(
            self._core.rng,
            ALIVE,
            remaining=_TIMEOUT,
            cause=None,
            own_id=self._core.identity.node_id,
            timestamp=int(self._core.unix(now) * 1000),
        )
        data = join_head(head.packed(), codec.pack([accusation]))
        number = self._core.next_number()
        errand = Errand(number, data, limits.MAX_HEAD, self._answered, self._lost)
        self._open[peer], self._peers[number] = errand, peer
        self._deadlines.set(number, now + _TIMEOUT)
        self._core.counters["asked_by_stream"] += 1
        self._links.send(peer, errand, route=self._route_to, now=now)

    def _answered(self, errand: Errand, data: bytes, now: Seconds) -> None:
        peer = self._settle(errand)
        try:
            raw_head, body = split_head_untrusted(data)
            if peer is None or ResponseHead.from_untrusted(raw_head).status != messages.OK:
                return
            line = binary(codec.unpack_list_untrusted(body, 1)[0], "line", at_most=MAX_LINE)
        except WireError:
            self._core.counters["answer_malformed"] += 1
            return
        self._swim.answered_by_stream(peer, line, now=now)

    def _lost(
        self,
        errand: Errand,
        _reason: str,
        _now: Seconds,
        *,
        sent: bool,  # noqa: ARG002  # as all who are told of losses are called
        full: bool = False,  # noqa: ARG002  # likewise
    ) -> None:
        self._settle(errand)

    def _settle(self, errand: Errand) -> NodeId | None:
        self._deadlines.discard(errand.number)
        peer = self._peers.pop(errand.number, None)
        if peer is not None:
            del self._open[peer]
        return peer

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return self._deadlines.soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Give up questions that nobody answers."""
        for number in self._deadlines.pop_due(now):
            errand = self._open[self._peers[number]]
            self._links.cancel(errand)
            self._settle(errand)

    def answer(
        self, peer: NodeId, body: bytes, reply: Callable[[int, bytes], None], now: Seconds
    ) -> None:
        """`ALIVE`: look at what we are accused of, and say that we are there."""
        fields = codec.unpack_list_untrusted(body, 1)
        accusation = binary(fields[0], "accusation", at_most=MAX_ACCUSATION)
        line = self._swim.asked_by_stream(peer, accusation, now=now)
        reply(messages.OK, codec.pack([line]))
