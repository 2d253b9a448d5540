"""How streams to others begin: dialled at one address after the other, accepted, proved."""

from __future__ import annotations

from meshp2p.effects import CloseStream, OpenStream, StreamId
from meshp2p.engine.core import Core
from meshp2p.engine.endings import Endings
from meshp2p.engine.link import Link, make_ready
from meshp2p.engine.switchboard import Switchboard
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport.connection import Connection
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.held import Held
from meshp2p.transport.path import Route
from meshp2p.wire import limits


class Beginnings:
    """Puts links on the board."""

    def __init__(
        self, core: Core, door: Doorkeeper, board: Switchboard, held: Held, endings: Endings
    ) -> None:
        """End through `endings` what others' beginnings make one too many."""
        self._core = core
        self._door = door
        self._board = board
        self._held = held
        self._endings = endings

    def dial(self, route: Route, peer: NodeId | None, now: Seconds) -> Link | None:
        """Ask for a connection; None if there is no address or no room.

        Args:
            peer: Who is to answer; None for anybody of the mesh.
        """
        if not route.addresses or len(self._board) >= limits.MAX_CONNECTIONS:
            return None
        link = Link(self._board.next_stream(), now, wanted=peer, route=route)
        self._board.add(link)
        self._connect(link, now)
        return link

    def _connect(self, link: Link, now: Seconds) -> None:
        addresses = link.route.addresses if link.route else ()
        link.address = addresses[link.tries % len(addresses)]
        link.tries += 1
        link.deadline = now + self._core.config.connect_timeout
        self._core.emit(OpenStream(link.stream, link.address))

    def opened(self, stream: StreamId, now: Seconds) -> None:
        """A connection that we asked for stands: begin the handshake."""
        link = self._board.find(stream)
        if link is None or link.route is None:
            self._core.emit(CloseStream(stream, flush=False))
            return
        link.connection = Connection(
            self._door,
            now=now,
            rekey_bytes=self._core.config.stream_rekey_bytes,
            dial=True,
            peer_id=link.wanted,
            static=link.route.static,
            seen_from=link.address,
            held=self._held,
        )
        make_ready(self._core, link)

    def accepted(self, stream: StreamId, remote: Address, now: Seconds) -> None:
        """Somebody connected; they have `preauth_timeout` to prove who they are."""
        if self._board.unproved.is_crowd(remote) or len(self._board) >= limits.MAX_CONNECTIONS:
            self._core.counters["stream_refused"] += 1
            self._core.emit(CloseStream(stream, flush=False))
            return
        silent = self._board.unproved.one_too_many()
        if silent is not None:
            self._core.counters["stream_refused"] += 1
            self._endings.lose(silent, "it did not say who it is", now)
        link = Link(stream, now + self._core.config.preauth_timeout, address=remote)
        link.connection = Connection(
            self._door,
            now=now,
            rekey_bytes=self._core.config.stream_rekey_bytes,
            dial=False,
            seen_from=remote,
            held=self._held,
        )
        self._board.add(link)

    def prove(self, link: Link, peer: NodeId, now: Seconds) -> Link:
        """The other end is known: settle which connection leads to it from now on."""
        self._board.prove(link, peer)
        link.idle_since = now
        best, drop = self._board.choose(
            link,
            peer,
            lower=self._core.identity.node_id < peer,
            patience=self._core.config.connect_timeout,
        )
        if drop is not None:
            self._endings.wind_down(drop)
        return best

    def try_again(self, link: Link, now: Seconds) -> bool:
        """The next address; then XX, since the other may have a new key; False if that is all."""
        route = link.route
        if route is None:
            return False
        if link.tries >= len(route.addresses):
            if route.static is None or link.connection is None:
                return False
            link.route = route = Route(route.addresses, None)
            link.tries = 0
        link.connection = None
        link.ready = False
        self._board.renumber(link)
        self._connect(link, now)
        return True

    def give_up_silent(self, now: Seconds) -> None:
        """Those who did not prove who they are in time, unless there is another way to them."""
        for link in self._board.unproved.due(now):
            if not self.try_again(link, now):
                self._endings.lose(link, "it did not answer in time", now)
            else:
                self._core.counters["stream_retried"] += 1
