"""Datagram handshakes that this node begins: tried, answered, and confirmed by the peer.

Any message can be lost, so a try is repeated at growing pauses: first until the peer answers,
then until a datagram under the new keys shows that it has them too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf

import attrs

from meshp2p.config import Config
from meshp2p.errors import WireError
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import packet
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.packet import FLAG_XX
from meshp2p.transport.path import Outbox, Path, Route, Via, address_of
from meshp2p.transport.pending import Attempt, Confirmation, pack_reply
from meshp2p.transport.session import CipherCache, Session
from meshp2p.transport.sessions import Sessions
from meshp2p.wire import limits


@attrs.define(eq=False, kw_only=True)
class Initiator:
    """At most one handshake with each peer, and sessions on which the peer was not heard.

    Args:
        _new_index: Gives a number that no session has, nor any handshake under way.
        attempts: By number of the session to be, those that nobody has answered; for reading.
        confirmations: By number of the session, those answered; for reading.
        dropped: Handshakes never begun: too many at once, or no way to the peer is known.
        unreachable: Handshakes given up.
    """

    _config: Config = attrs.field(alias="config")
    _door: Doorkeeper = attrs.field(alias="door")
    _rng: random.Random = attrs.field(alias="rng")
    _sessions: Sessions = attrs.field(alias="sessions")
    _outbox: Outbox = attrs.field(alias="outbox")
    _ciphers: CipherCache = attrs.field(alias="ciphers")
    _new_index: Callable[[], int] = attrs.field(alias="new_index")
    attempts: dict[int, Attempt] = attrs.field(factory=dict, init=False)
    confirmations: dict[int, Confirmation] = attrs.field(factory=dict, init=False)
    dropped: int = attrs.field(default=0, init=False)
    unreachable: int = attrs.field(default=0, init=False)
    _attempt_of: dict[NodeId, Attempt] = attrs.field(factory=dict, init=False)

    def begin(self, peer: NodeId, route: Route, helper: Via | None, now: Seconds) -> bool:
        """Begin a handshake, if none is under way; return whether there is one now.

        Args:
            helper: Try it through this member besides.
        """
        begun = self._attempt_of.get(peer)
        if begun is not None:
            if helper is not None and begun.add_helper(helper):
                self._outbox.append((helper, peer, begun.datagram(self._door, helper)))
            return True
        index = self._new_index()
        full = len(self.attempts) >= limits.MAX_PENDING_HANDSHAKES
        begun = Attempt.begin(self._door, peer, index, route.addresses, route.static)
        reachable = (helper is not None and begun.add_helper(helper)) or route.addresses
        if full or not reachable:
            self.dropped += 1
            return False
        if len(route.addresses) > self._config.handshake_tries:
            begun.turn = self._rng.randrange(len(route.addresses))  # each gets a chance
        self.attempts[index] = self._attempt_of[peer] = begun
        self._try(begun, now)
        return True

    def _try(self, begun: Attempt, now: Seconds) -> None:
        begun.next_try = now + self._config.handshake_retry * 2**begun.tries
        for path in begun.next_paths(self._door):
            datagram = begun.datagram(self._door, path)
            self._outbox.append((path, begun.peer_id, datagram))

    def prevails(self, peer: NodeId) -> bool:
        """Both began at once: the smaller id's handshake is the one that is finished."""
        begun = self._attempt_of.get(peer)
        return begun is not None and begun.takes_precedence and self._door.identity.node_id < peer

    def moved(self, peer: NodeId, addresses: tuple[Address, ...]) -> None:
        """The next tries go there."""
        begun = self._attempt_of.get(peer)
        if begun is not None:
            begun.addresses = addresses

    def drop(self, peer: NodeId) -> None:
        """Begin anew with a peer, or not at all: there is a session, or it is gone."""
        begun = self._attempt_of.pop(peer, None)
        if begun is not None:
            del self.attempts[begun.index]

    def receive_resp_untrusted(self, resp: packet.Reply, path: Path, now: Seconds) -> Session:
        """The session that an answer makes; XX needs one more message, which is sent.

        Raises:
            WireError: And nothing else: it answers nothing of ours, or nobody we know sent it.
        """
        begun = self.attempts.get(resp.receiver)
        xx = bool(resp.flags & FLAG_XX)
        if begun is None or xx is not (begun.static is None):
            raise WireError("an answer to no handshake of ours")
        self._door.check_mac_untrusted(resp.covered, resp.mac1, xx=xx)
        # A copy: if somebody else answers at an old address, the right one still may.
        noise = begun.noise.branch()
        payload = noise.read_untrusted(resp.noise)
        peer = self._door.admit_untrusted(payload, noise.remote_static, now=now)
        if peer.credential.node_id != begun.peer_id:
            raise WireError("somebody else answered at the member's address")
        ends, finish = (begun.index, resp.sender), b""
        if xx:
            message = noise.write(self._door.greeting(address_of(path)))
            finish = pack_reply(self._door, packet.FINISH, ends, message, None)
            self._outbox.append((path, begun.peer_id, finish))
        session = Session.agreed(noise, ends, peer, path, now)
        next_try = now + self._config.handshake_retry
        self.confirmations[session.index] = Confirmation(session, finish, next_try)
        return session

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        soonest = inf
        for begun in self.attempts.values():
            soonest = min(soonest, begun.next_try)
        for confirmation in self.confirmations.values():
            soonest = min(soonest, confirmation.next_try)
        return soonest

    def receive_deadline(self, *, now: Seconds) -> list[NodeId]:
        """Try again what was not answered; return whom it has been given up to reach."""
        lost: list[NodeId] = []
        for begun in [b for b in self.attempts.values() if b.next_try <= now]:
            if begun.tries >= self._config.handshake_tries:
                self.drop(begun.peer_id)
                lost.append(begun.peer_id)
                self.unreachable += 1
            else:
                self._try(begun, now)
        for confirmation in [c for c in self.confirmations.values() if c.next_try <= now]:
            self._confirm_again(confirmation, now)
        return lost

    def _confirm_again(self, confirmation: Confirmation, now: Seconds) -> None:
        """The last message, or the first datagram, may be lost: then the peer has no keys."""
        session = confirmation.session
        if session.index not in self._sessions:
            del self.confirmations[session.index]
        elif confirmation.tries >= self._config.handshake_tries:
            del self.confirmations[session.index]
            self._sessions.remove(session)
            self.unreachable += 1
        else:
            confirmation.next_try = now + self._config.handshake_retry * 2**confirmation.tries
            confirmation.tries += 1
            sealed = session.seal(b"", self._ciphers)
            for datagram in (confirmation.finish, sealed):
                if datagram:
                    self._outbox.append((session.path, session.peer_id, datagram))
