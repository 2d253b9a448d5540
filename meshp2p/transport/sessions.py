"""The datagram sessions of one node: by number, by peer, and which gives way to which.

Replayed handshakes make sessions that nobody ever confirms. So the unconfirmed are
counted apart: they can push out each other, never a session in use.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from meshp2p.ids import NodeId, Seconds
from meshp2p.transport.session import Session
from meshp2p.wire import limits

_ROOMY: Final = limits.MAX_SESSIONS // 2
_KEPT_PER_PEER: Final = 3
"""Previous, current and next; as many again that wait to be confirmed."""


class Sessions:
    """Every session of one node."""

    def __init__(self) -> None:
        """Hold none."""
        self._confirmed: OrderedDict[int, Session] = OrderedDict()
        self.unconfirmed: OrderedDict[int, Session] = OrderedDict()
        """For reading, by index: to be given up, the oldest first."""
        self._of_peer: dict[NodeId, list[Session]] = {}

    def __len__(self) -> int:
        """Sessions held, the unconfirmed included."""
        return len(self._confirmed) + len(self.unconfirmed)

    def __contains__(self, index: int) -> bool:
        """Whether the number is taken."""
        return index in self._confirmed or index in self.unconfirmed

    def find(self, index: int) -> Session | None:
        """The session that datagrams to us name by this number."""
        return self._confirmed.get(index) or self.unconfirmed.get(index)

    def current(self, peer: NodeId) -> Session | None:
        """The newest session whose peer has shown that it holds the keys."""
        of_peer = self._of_peer.get(peer)
        if not of_peer:
            return None
        newest = of_peer[-1]
        if newest.confirmed:
            return newest
        return next((session for session in reversed(of_peer) if session.confirmed), None)

    def of(self, peer: NodeId) -> tuple[Session, ...]:
        """All with a peer, the oldest first."""
        return tuple(self._of_peer.get(peer, ()))

    def answered(self, peer: NodeId, origin: bytes) -> Session | None:
        """The session that an earlier copy of the same INIT made."""
        return next((s for s in self._of_peer.get(peer, ()) if s.origin == origin), None)

    def replaces(self, session: Session, age: Seconds) -> bool:
        """Whether the peer has another one in use, made more than `age` seconds earlier."""
        made = session.created_at
        return any(
            s.confirmed and made - s.created_at > age for s in self._of_peer[session.peer_id]
        )

    def oldest_unconfirmed(self) -> Session | None:
        """The next to be given up."""
        return next(iter(self.unconfirmed.values()), None)

    def keep(self, session: Session) -> None:
        """Store a new session."""
        of_peer = self._of_peer.setdefault(session.peer_id, [])
        of_peer.append(session)
        if session.confirmed:
            self._confirmed[session.index] = session
        else:
            self.unconfirmed[session.index] = session
        self._make_room(of_peer, confirmed=session.confirmed)

    def confirm(self, session: Session) -> None:
        """The peer holds the keys: from now on the session may be used for sending."""
        session.confirmed = True
        session.resp = b""
        del self.unconfirmed[session.index]
        self._confirmed[session.index] = session
        # It is the newest in use, however old its handshake: the room is not made of it.
        of_peer = self._of_peer[session.peer_id]
        of_peer.remove(session)
        of_peer.append(session)
        self._make_room(of_peer, confirmed=True)

    def heard(self, session: Session) -> None:
        """The session was used: of all that are kept it is now the last to give way.

        As long as there is much room, nobody keeps count of that.
        """
        if len(self._confirmed) > _ROOMY and session.index in self._confirmed:
            self._confirmed.move_to_end(session.index)

    def _make_room(self, of_peer: list[Session], *, confirmed: bool) -> None:
        alike = [session for session in of_peer if session.confirmed is confirmed]
        for session in alike[:-_KEPT_PER_PEER]:
            self.remove(session)
        while len(self.unconfirmed) > limits.MAX_PENDING_HANDSHAKES:
            self.remove(next(iter(self.unconfirmed.values())))
        while len(self._confirmed) > limits.MAX_SESSIONS:
            self.remove(next(iter(self._confirmed.values())))

    def remove(self, session: Session) -> None:
        """Drop a session, if it is still here."""
        self._confirmed.pop(session.index, None)
        self.unconfirmed.pop(session.index, None)
        of_peer = self._of_peer.get(session.peer_id, [])
        if session in of_peer:
            of_peer.remove(session)
        if not of_peer:
            self._of_peer.pop(session.peer_id, None)

    def forget(self, peer: NodeId) -> None:
        """Drop all sessions with a peer."""
        for session in list(self._of_peer.get(peer, ())):
            self.remove(session)
