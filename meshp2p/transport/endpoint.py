"""All datagram sessions of one node: handshakes, sealing, and who a datagram is from.

Everything a stranger sends ends here, counted, without an answer. A session's path
follows the newest authentic datagram. Make before break: a replaced session still
opens what is on its way. Source: `docs/protocol.md`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import NamedTuple

from meshp2p.config import Config
from meshp2p.errors import WireError
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import packet
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.initiator import Initiator
from meshp2p.transport.path import Outbox, Path, Route, Via
from meshp2p.transport.responder import Responder
from meshp2p.transport.session import CipherCache, Session
from meshp2p.transport.sessions import Sessions
from meshp2p.wire import limits


class Received(NamedTuple):
    """An authentic datagram's plaintext and sender."""

    peer: NodeId
    plaintext: bytes


class Endpoint:
    """One node's end of every datagram session."""

    def __init__(self, *, config: Config, door: Doorkeeper, rng: random.Random) -> None:
        """Nothing is sent before `send`."""
        self._rng = rng
        self._ciphers = CipherCache(door.crypto)
        self._sessions = Sessions()
        self._outbox: Outbox = []
        self._initiator = Initiator(
            config=config,
            door=door,
            rng=rng,
            sessions=self._sessions,
            outbox=self._outbox,
            ciphers=self._ciphers,
            new_index=self._new_index,
        )
        self._responder = Responder(
            door=door,
            sessions=self._sessions,
            outbox=self._outbox,
            # Twice what an initiator needs for all its tries.
            patience=2.0 * config.handshake_retry * 2**config.handshake_tries,
            ours_prevails=self._initiator.prevails,
            new_index=self._new_index,
        )
        self._waiting: dict[NodeId, deque[bytes]] = {}
        self.rekey_after: Seconds = config.rekey_after
        self.rekeyed = 0

    def outputs(self) -> Outbox:
        """Drain what is to be sent."""
        if not self._outbox:
            return []
        out, self._outbox[:] = self._outbox[:], []
        return out

    def __len__(self) -> int:
        """Sessions held."""
        return len(self._sessions)

    @property
    def is_meeting(self) -> bool:
        """Whether a handshake that was begun here waits for its answer, and words for it."""
        return bool(self._initiator.attempts)

    @property
    def dropped(self) -> int:
        """Handshakes never begun: too many at once, or no way to the peer is known."""
        return self._initiator.dropped

    @property
    def unreachable(self) -> int:
        """Handshakes given up."""
        return self._initiator.unreachable

    def path_of(self, peer: NodeId) -> Path | None:
        """Where the peer was last heard; None without a session in which something can be sent."""
        session = self._sessions.current(peer)
        return None if session is None else session.path

    # --- sending -------------------------------------------------------------

    def send(
        self,
        peer: NodeId,
        plaintext: bytes,
        *,
        route: Callable[[NodeId], Route],
        now: Seconds,
        via: NodeId | None = None,
    ) -> None:
        """Seal and send; without a session, a handshake goes first and this waits.

        Args:
            route: Asked only where the session does not know the way itself.
            via: Go through this member, because the peer does not answer directly. A
                handshake under way is tried through it as well. A session may be one
                that the peer has lost (it keeps so many only): then a new one is begun
                directly, and brings the plaintext once more.
        """
        session = self._sessions.current(peer)
        helper = None if via is None else Via(via)
        if session is None:
            if self._initiator.begin(peer, route(peer), helper, now):
                self._wait(peer, plaintext)
            return
        if helper is not None:
            if self._initiator.begin(peer, route(peer), None, now):
                self._wait(peer, plaintext)
        elif now - session.created_at > self.rekey_after or session.may_be_lost(now):
            self._initiator.begin(peer, route(peer), None, now)
        session.said(now)
        path = helper or session.path
        if helper is None and isinstance(path, Via):  # made through a member: now directly
            addresses = route(peer).addresses
            path = addresses[0] if addresses else path
        self._outbox.append((path, peer, session.seal(plaintext, self._ciphers)))

    def _wait(self, peer: NodeId, plaintext: bytes) -> None:
        waiting = self._waiting.setdefault(peer, deque(maxlen=limits.MAX_WAITING_PER_PEER))
        if plaintext not in waiting:  # one for each helper
            waiting.append(plaintext)

    def reply(self, peer: NodeId, plaintext: bytes, *, path: Path, now: Seconds) -> bool:  # noqa: ARG002  # an input like the others: the engine tells the time with each
        """Answer on the very path that a datagram came by; False without a session."""
        session = self._sessions.current(peer)
        if session is None:
            return False
        self._outbox.append((path, peer, session.seal(plaintext, self._ciphers)))
        return True

    def moved(self, peer: NodeId, gone: Collection[Address], addresses: Sequence[Address]) -> None:
        """A peer is no longer at some addresses: what leads there leads to the others now.

        A session whose path is none of these is left alone: the peer has been heard there.
        """
        if not addresses:
            return
        self._initiator.moved(peer, tuple(addresses))
        for session in self._sessions.of(peer):
            if session.path in gone:
                session.path = addresses[0]

    def forget(self, peer: NodeId) -> None:
        """Drop all sessions with a peer: it restarted, or is dead."""
        self._sessions.forget(peer)
        self._waiting.pop(peer, None)
        self._initiator.drop(peer)

    # --- receiving -----------------------------------------------------------

    def receive_untrusted(self, data: bytes, path: Path, *, now: Seconds) -> Received | None:
        """Take one datagram; return what an authentic peer said in it, if anything.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        parsed = packet.parse_untrusted(data)
        if type(parsed) is packet.Data:  # nearly always
            return self._receive_data(parsed, path)
        match parsed:
            case packet.Init() as init:
                self._responder.receive_init_untrusted(init, path, now)
            case packet.Reply(kind=packet.RESP) as resp:
                self._keep(self._initiator.receive_resp_untrusted(resp, path, now), path)
            case packet.Reply() as finish:
                self._keep(self._responder.receive_finish_untrusted(finish, path, now), path)
        return None

    def _receive_data(self, sealed: packet.Data, path: Path) -> Received | None:
        session = self._sessions.find(sealed.receiver)
        if session is None:
            raise WireError("a datagram for a session that we do not have")
        plaintext = session.open_untrusted(sealed, path, self._ciphers)
        if self._initiator.confirmations:
            self._initiator.confirmations.pop(session.index, None)
        if not session.confirmed:
            self._sessions.confirm(session)
            self._established(session, path)
        elif not plaintext and not session.is_ours:
            # Whoever began asks whether the keys are in use. It is never asked back.
            self._outbox.append((path, session.peer_id, session.seal(b"", self._ciphers)))
        self._sessions.heard(session)
        if not plaintext:
            return None
        return Received(session.peer_id, plaintext)

    # --- sessions ------------------------------------------------------------

    def _keep(self, session: Session, path: Path) -> None:
        self._sessions.keep(session)
        self._established(session, path)

    def _established(self, session: Session, path: Path) -> None:
        """Send what waited; an empty datagram confirms the keys where nothing did."""
        self._initiator.drop(session.peer_id)
        self.rekeyed += self._sessions.replaces(session, self.rekey_after)
        for plaintext in self._waiting.pop(session.peer_id, None) or [b""]:
            sealed = session.seal(plaintext, self._ciphers)
            self._outbox.append((path, session.peer_id, sealed))

    def _new_index(self) -> int:
        while True:
            index = self._rng.getrandbits(32)
            answered, begun = self._responder.answers, self._initiator.attempts
            if not (index in self._sessions or index in answered or index in begun):
                return index

    # --- time ----------------------------------------------------------------

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do: nearly always nothing is under way."""
        soonest = inf
        if self._initiator.attempts or self._initiator.confirmations:
            soonest = self._initiator.next_deadline()
        if self._responder.answers.by_index or self._sessions.unconfirmed:
            soonest = min(soonest, self._responder.next_deadline())
        return soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Try unanswered handshakes again, give up old ones."""
        if self._initiator.attempts or self._initiator.confirmations:
            for peer in self._initiator.receive_deadline(now=now):
                self._waiting.pop(peer, None)
        if self._responder.answers.by_index or self._sessions.unconfirmed:
            self._responder.receive_deadline(now=now)
