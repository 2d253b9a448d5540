"""Streams to other nodes: one connection for each peer, dialled when first needed.

An errand is a request on its way. It waits while the connection is made, learns its
answer, or learns that the connection is gone and whether it had left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from math import inf
from typing import Final

from meshp2p.effects import CloseStream, StreamId, StreamReady
from meshp2p.engine.beginnings import Beginnings
from meshp2p.engine.core import Core
from meshp2p.engine.endings import Endings
from meshp2p.engine.link import Errand, Link, OnRequest, make_ready
from meshp2p.engine.switchboard import Switchboard
from meshp2p.errors import WireError
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import frame
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.held import Held
from meshp2p.transport.multiplex import AnswerArrived, Arrival, RequestArrived, ResetArrived
from meshp2p.transport.path import Route
from meshp2p.wire import limits

_FAREWELL: Final[Seconds] = 1.0
"""A member that said goodbye by datagram may still have answers on their way by stream."""
_RESET_REASONS: Final = {
    frame.BUSY: "it has too many requests open",
    frame.STALLED: "the rest of a body did not come",
}


class Links:
    """All streams of one node."""

    def __init__(
        self,
        core: Core,
        door: Doorkeeper,
        *,
        on_request: OnRequest,
        on_gone: Callable[[Link, str, Seconds], None],
        now: Seconds,
        held: Held | None = None,
    ) -> None:
        """Call `on_request` for each request, `on_gone` when a proved peer's stream ends.

        Args:
            held: What connections may hold together; as in `limits` if None.
        """
        self._core = core
        self._on_request = on_request
        self._board = Switchboard()
        self.held = Held() if held is None else held
        """What all connections make this node hold; for reading."""
        self._endings = Endings(core, self._board, self.held, on_gone=on_gone, now=now)
        self._beginnings = Beginnings(core, door, self._board, self.held, self._endings)
        self._next_look = now + limits.BODY_SILENCE

    def __len__(self) -> int:
        """Streams open or being opened."""
        return len(self._board)

    # --- sending -------------------------------------------------------------

    def send(
        self, peer: NodeId, errand: Errand, *, route: Callable[[NodeId], Route], now: Seconds
    ) -> None:
        """Bring an errand to a member, over its connection or a new one along `route`."""
        link = self._board.to(peer)
        if link is None:
            link = self._beginnings.dial(route(peer), peer, now)
            if link is None:
                errand.on_lost(errand, "no address of it is known", now, sent=False)
                return
        self._carry(link, errand, now)

    def reaches(self, peer: NodeId) -> bool:
        """Whether there is a connection to a member, or one is being made."""
        return self._board.to(peer) is not None

    def meet(self, address: Address, errand: Errand, *, now: Seconds) -> None:
        """Bring an errand to whoever of the mesh listens at an address."""
        link = self._beginnings.dial(Route((address,), None), None, now)
        if link is not None:
            self._carry(link, errand, now)

    def _carry(self, link: Link, errand: Errand, now: Seconds) -> None:
        if link.connection is None or link.peer is None:
            errand.link = link
            link.waiting.append(errand)
            return
        mux = link.connection.mux
        if mux.is_full:
            errand.on_lost(errand, "its connection is full", now, sent=False, full=True)
            return
        if errand.life is not None and errand.life != link.connection.peer_key:
            errand.on_lost(errand, "it has restarted meanwhile", now, sent=False)
            return
        errand.link = link
        errand.stream = mux.request(
            errand.data, answer_limit=errand.answer_limit, one_way=errand.one_way
        )
        errand.data = b""  # it is the connection's now
        if not errand.one_way:
            link.pending[errand.stream] = errand
        if not link.ready:
            link.ready = True
            self._core.emit(StreamReady(link.stream))

    def cancel(self, errand: Errand) -> None:
        """Nobody wants the answer any more: tell the other side, if it was asked."""
        link = errand.link
        if link is None or link.stream not in self._board:
            return
        if errand in link.waiting:
            link.waiting.remove(errand)
        elif link.connection is not None and link.pending.pop(errand.stream, None) is not None:
            link.connection.mux.reset(errand.stream, frame.CANCELLED)
            make_ready(self._core, link)

    def answer(self, link: Link, stream: int, data: bytes) -> None:
        """Answer a request that arrived on a link, if it still stands."""
        link.jobs.pop(stream, None)
        if link.stream in self._board and link.connection is not None:
            link.connection.mux.answer(stream, data)
            if not link.ready:
                link.ready = True
                self._core.emit(StreamReady(link.stream))

    # --- the driver's reports ------------------------------------------------

    def opened(self, stream: StreamId, *, now: Seconds) -> None:
        """A connection that we asked for stands: begin the handshake."""
        self._beginnings.opened(stream, now)

    def accepted(self, stream: StreamId, remote: Address, *, now: Seconds) -> None:
        """Somebody connected; they have `preauth_timeout` to prove who they are."""
        self._beginnings.accepted(stream, remote, now)

    def receive(self, stream: StreamId, data: bytes, *, now: Seconds) -> NodeId | None:
        """Bytes of a stream; return whose they are, if they prove it: parts of records do not."""
        link = self._board.find(stream)
        if link is None or link.connection is None:
            return None
        try:
            arrivals = link.connection.receive_untrusted(data, now=now)
        except WireError as error:
            self._core.counters["stream_dropped"] += 1
            self._endings.lose(link, str(error), now)
            return None
        if link.peer is None and link.connection.is_open and link.connection.peer is not None:
            self._prove(link, link.connection.peer.credential.node_id, now)
        self._hand_on(link, arrivals, now)
        if not link.ready and link.connection.has_bytes:
            make_ready(self._core, link)
        if link.connection.mux.peer_goes_away or link.stream in self._board.leaving:
            # Not because we want to end it: until the other end has said so as well, a
            # request of its may be on the way, and would be lost with the connection.
            self._receive_farewell(link)
        if self.held.half_received > self.held.most_half_received:
            self._endings.relieve(now)
        return link.peer if link.connection.last_heard == now else None

    def _hand_on(self, link: Link, arrivals: list[Arrival], now: Seconds) -> None:
        for arrival in arrivals:
            if type(arrival) is AnswerArrived:
                errand = link.pending.pop(arrival.stream, None)
                if errand is not None:
                    errand.on_answer(errand, arrival.data, now)
            elif type(arrival) is RequestArrived:
                self._on_request(link, arrival.stream, arrival.data, now)
            elif type(arrival) is ResetArrived:
                self._receive_reset(link, arrival, now)

    def _receive_farewell(self, link: Link) -> None:
        """The other end opens no more requests here: nor do we, and the last one closes."""
        self._board.lead_nowhere(link)
        link.retiring = True
        if link.connection is not None and link.connection.mux.is_idle:
            self._endings.retire(link)

    def _receive_reset(self, link: Link, reset: ResetArrived, now: Seconds) -> None:
        errand = link.pending.pop(reset.stream, None)
        if errand is not None:
            busy = reset.code == frame.BUSY
            reason = _RESET_REASONS.get(reset.code, "it gave the request up")
            errand.on_lost(errand, reason, now, sent=not busy, full=busy)
        self._on_request(link, reset.stream, None, now)

    def closed(self, stream: StreamId, reason: str, *, now: Seconds) -> None:
        """The stream ended, or could not be opened: `reason` is for people."""
        link = self._board.find(stream)
        if link is None:
            return
        proved = link.peer is not None
        retry = not proved and link.route is not None and self._beginnings.try_again(link, now)
        if not retry:
            self._endings.lose(link, reason, now, closed=True)

    def is_open(self, stream: StreamId) -> bool:
        """Whether the stream stands, and does not part."""
        return stream in self._board

    def bytes_for(self, stream: StreamId, at_most: int) -> bytes:
        """What to put on the socket now; empty if nothing waits."""
        link = self._board.find(stream)
        if link is None or link.connection is None:
            return self._endings.last_bytes(stream, at_most)
        data = link.connection.pull(at_most)
        if not link.connection.has_bytes:
            link.ready = False
        return data

    # --- keeping order -------------------------------------------------------

    def _prove(self, link: Link, peer: NodeId, now: Seconds) -> None:
        """The peer is known: send what waited, and let it not have too many connections."""
        best = self._beginnings.prove(link, peer, now)
        waiting, link.waiting = link.waiting, deque()
        for errand in waiting:
            self._carry(best if best.peer else link, errand, now)
        surplus = self._board.proved.surplus(peer, best)
        if surplus is not None:
            self._endings.end(surplus, "stream_surplus", "it has connected again", now)

    def _give_up_stalled(self, now: Seconds) -> None:
        """No more of a body came for a while: nobody waits for the rest of it."""
        self._next_look = now + limits.BODY_SILENCE
        for link in self._board:
            if link.connection is None:
                continue
            for stream in link.connection.mux.give_up_stalled():
                self._core.counters["body_stalled"] += 1
                self._receive_reset(link, ResetArrived(stream, frame.STALLED), now)
            make_ready(self._core, link)

    def let_go(self, peer: NodeId, reason: str, *, now: Seconds) -> None:
        """The member said goodbye: what it sent before still counts, then it will close."""
        for link in self._board.of(peer):
            if link.peer is None or not link.pending:
                self._endings.lose(link, reason, now)
            else:
                self._board.let_leave(link, now + _FAREWELL)

    def peer_moved(
        self,
        peer: NodeId,
        gone: Collection[Address],
        there: Collection[Address],
        *,
        now: Seconds,
    ) -> None:
        """A member is no longer at some addresses: nothing gets through from there, or to it.

        Args:
            there: Where it is; another port alone is that of another process on its machine.
        """
        hosts = {address.host for address in gone}.difference(address.host for address in there)
        for link in self._board.of(peer):
            if link.address is not None and link.address.host in hosts:
                self._endings.end(link, "stream_moved", "it moved", now)

    def node_moved(self, gone: Collection[Address], *, now: Seconds) -> None:
        """This node is no longer at some addresses: connections from there lead nowhere."""
        families = {":" in address.host for address in gone}
        for link in self._board:
            there = link.address
            if there is None or there.is_loopback or (":" in there.host) not in families:
                continue
            self._endings.end(link, "stream_moved", "this node moved", now)

    def drop_peer(self, peer: NodeId, reason: str, *, now: Seconds) -> None:
        """The member is gone, whatever its connections say."""
        for link in self._board.of(peer):
            self._endings.lose(link, reason, now)

    def distrust(self, peer: NodeId, process: bytes) -> None:
        """Begin nothing on a connection to another process of the member: it may be gone.

        Args:
            process: Transport key of the one that is known to run.
        """
        link = self._board.to(peer)
        if link is None or link.connection is None or link.peer is None:
            return
        if link.connection.peer_key != process:
            self._board.lead_nowhere(link)
            self._endings.wind_down(link)

    def close_all(self) -> None:
        """The node stops: send what is queued, then close."""
        for link in self._board:
            self._core.emit(CloseStream(link.stream, flush=link.peer is not None))

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        if not self._board:
            return inf
        if self.held.is_too_much:
            return self._core.now  # not while answering, which may be in the midst of anything
        return min(self._endings.next_sweep, self._next_look, self._board.next_deadline())

    def receive_deadline(self, *, now: Seconds) -> None:
        """End connections that were not made, not proved, not used, or hold too much."""
        if self._board.next_deadline() <= now:
            self._give_up_silent(now)
        if self.held.is_too_much:
            self._endings.relieve(now)
        if self._next_look <= now:
            self._give_up_stalled(now)
        if self._endings.next_sweep <= now:
            self._endings.sweep(now)

    def _give_up_silent(self, now: Seconds) -> None:
        """Those who did not prove who they are, and those who had said goodbye."""
        self._beginnings.give_up_silent(now)
        for link in [link for link in self._board.leaving.values() if link.deadline <= now]:
            self._endings.lose(link, "it left", now)
