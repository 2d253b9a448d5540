"""How streams to others end: lost, too many, no longer needed; and what is said to the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshp2p.effects import CloseStream, StreamId
from meshp2p.engine.core import Core
from meshp2p.engine.link import Link, make_ready
from meshp2p.engine.switchboard import Switchboard
from meshp2p.ids import Seconds
from meshp2p.transport.connection import Connection
from meshp2p.transport.held import Held

_SWEEPS_PER_IDLE: Final = 4
_OVERFULL: Final = "it made this node hold too much"


class Endings:
    """Takes links off the board."""

    def __init__(
        self,
        core: Core,
        board: Switchboard,
        held: Held,
        *,
        on_gone: Callable[[Link, str, Seconds], None],
        now: Seconds,
    ) -> None:
        """Call `on_gone` when a proved peer's stream is lost."""
        self._core = core
        self._board = board
        self._held = held
        self._on_gone = on_gone
        self._parting: dict[StreamId, Connection] = {}
        """Closed connections whose last word is still to be pulled."""
        self.next_sweep = now + core.config.idle_close / _SWEEPS_PER_IDLE

    def lose(self, link: Link, reason: str, now: Seconds, *, closed: bool = False) -> None:
        """Drop a link; every errand on it learns whether it had left."""
        if not self._board.remove(link):
            return
        if link.connection is not None:
            link.connection.mux.close()
        if not closed:
            self._core.emit(CloseStream(link.stream, flush=False))
        for errand in link.waiting:
            errand.on_lost(errand, reason, now, sent=False)
        for errand in list(link.pending.values()):
            errand.on_lost(errand, reason, now, sent=True)
        if link.peer is not None:
            self._on_gone(link, reason, now)

    def end(self, link: Link, counter: str, reason: str, now: Seconds) -> None:
        """Close what a member has too much of; this is no sign of its death."""
        self._core.counters[counter] += 1
        link.retiring = True
        self.lose(link, reason, now)

    def wind_down(self, link: Link) -> None:
        """Begin nothing on it any more, and let the other end know."""
        link.retiring = True
        if link.connection is not None:
            link.connection.mux.go_away()
        make_ready(self._core, link)

    def retire(self, link: Link) -> None:
        """Close what nobody uses; this is no sign of death."""
        self._board.remove(link)
        if link.connection is not None:
            link.connection.mux.close()
            link.connection.mux.go_away()
            self._parting[link.stream] = link.connection
        self._core.emit(CloseStream(link.stream))

    def relieve(self, now: Seconds) -> None:
        """Close those that make this node hold most, until it can bear the rest."""
        held = self._held
        while held.half_received > held.most_half_received:
            self.end(self._board.largest("half_received"), "stream_overfull", _OVERFULL, now)
        while held.unread > held.most_unread:
            self.end(self._board.largest("unread"), "stream_overfull", _OVERFULL, now)

    def sweep(self, now: Seconds) -> None:
        """Close what is not used."""
        config = self._core.config
        self.next_sweep = now + config.idle_close / _SWEEPS_PER_IDLE
        self._parting.clear()
        for link in self._board:
            if link.peer is None or link.connection is None:
                continue
            if not link.connection.mux.is_idle or link.connection.last_heard > link.idle_since:
                link.idle_since = max(link.connection.last_heard, link.idle_since)
            elif link.retiring or now - link.idle_since >= config.idle_close:
                self.retire(link)

    def last_bytes(self, stream: StreamId, at_most: int) -> bytes:
        """Of a stream that was retired: what is to be sent before it closes."""
        parting = self._parting.pop(stream, None)
        return b"" if parting is None else parting.pull(at_most)
