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

import attrs

from meshp2p.config import Config
from meshp2p.errors import WireError
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import packet
from meshp2p.transport.copies import Copies
from meshp2p.transport.handshake import DATAGRAMS, Doorkeeper, Peer
from meshp2p.transport.noise import Handshake
from meshp2p.transport.packet import FLAG_XX, SUITE_CHACHA
from meshp2p.transport.pending import Answer, Answers, Attempt, Confirmation
from meshp2p.transport.session import CipherCache, Path, Session, Via, address_of
from meshp2p.transport.sessions import Sessions
from meshp2p.wire import limits


@attrs.frozen
class Route:
    """How to reach a peer for the first time."""

    addresses: tuple[Address, ...]
    static: bytes | None


class Received(NamedTuple):
    """An authentic datagram's plaintext and sender."""

    peer: NodeId
    plaintext: bytes


class Endpoint:
    """One node's end of every datagram session."""

    def __init__(self, *, config: Config, door: Doorkeeper, rng: random.Random) -> None:
        """Nothing is sent before `send`."""
        self._config = config
        self._door = door
        self._rng = rng
        self._ciphers = CipherCache(door.crypto)
        self._sessions = Sessions()
        self._attempts: dict[int, Attempt] = {}
        self._attempt_of: dict[NodeId, Attempt] = {}
        self._answers = Answers()
        self._copies = Copies()
        self._confirmations: dict[int, Confirmation] = {}
        self._under_way = (
            self._attempts,
            self._confirmations,
            self._sessions.unconfirmed,
            self._answers.by_index,
        )
        """All that a deadline may come of; nearly always empty."""
        self._waiting: dict[NodeId, deque[bytes]] = {}
        self._outbox: list[tuple[Path, NodeId | None, bytes]] = []
        # Twice what an initiator needs for all its tries.
        self._half_made_life: Seconds = 2.0 * config.handshake_retry * 2**config.handshake_tries
        self.rekey_after: Seconds = config.rekey_after
        self.dropped = 0
        self.unreachable = 0
        self.rekeyed = 0

    def outputs(self) -> list[tuple[Path, NodeId | None, bytes]]:
        """Drain (path, peer, datagram). The peer is known whenever the path is `Via`."""
        if not self._outbox:
            return []
        out, self._outbox = self._outbox, []
        return out

    def __len__(self) -> int:
        """Sessions held."""
        return len(self._sessions)

    @property
    def is_meeting(self) -> bool:
        """Whether a handshake that was begun here waits for its answer, and words for it."""
        return bool(self._attempts)

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
            if self._initiate(peer, route(peer), helper, now):
                self._wait(peer, plaintext)
            return
        if helper is not None:
            if self._initiate(peer, route(peer), None, now):
                self._wait(peer, plaintext)
        elif now - session.created_at > self.rekey_after or session.may_be_lost(now):
            self._initiate(peer, route(peer), None, now)
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
        begun = self._attempt_of.get(peer)
        if not addresses:
            return
        if begun is not None:
            begun.addresses = tuple(addresses)
        for session in self._sessions.of(peer):
            if session.path in gone:
                session.path = addresses[0]

    def forget(self, peer: NodeId) -> None:
        """Drop all sessions with a peer: it restarted, or is dead."""
        self._sessions.forget(peer)
        self._waiting.pop(peer, None)
        self._drop_attempt(self._attempt_of.get(peer))

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
                self._receive_init(init, path, now)
            case packet.Reply(kind=packet.RESP) as resp:
                self._receive_resp(resp, path, now)
            case packet.Reply() as finish:
                self._receive_finish(finish, path, now)
        return None

    def _receive_data(self, sealed: packet.Data, path: Path) -> Received | None:
        session = self._sessions.find(sealed.receiver)
        if session is None:
            raise WireError("a datagram for a session that we do not have")
        plaintext = session.open_untrusted(sealed, path, self._ciphers)
        if self._confirmations:
            self._confirmations.pop(session.index, None)
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

    def _receive_init(self, init: packet.Init, path: Path, now: Seconds) -> None:
        xx = bool(init.flags & FLAG_XX)
        self._door.check_mac_untrusted(init.covered, init.mac1, xx=xx)
        if init.suite != SUITE_CHACHA or init.flags & ~FLAG_XX:
            raise WireError("a handshake of another suite")
        if xx and isinstance(path, Via):
            raise WireError("XX through a member: the answer would find no way back")
        if not self._copies.is_new_untrusted(init.mac1, path, now):
            self._answer_copy(init, path)
        elif xx:
            self._answer_xx(init, path, now)
        else:
            self._answer_ik(init, path, now)

    def _answer_copy(self, init: packet.Init, path: Path) -> None:
        """The answer may have been lost; whoever plays a recording back gets nothing new."""
        index = self._copies.echo_untrusted(init.mac1)
        answer = self._answers.find(index) or self._sessions.find(index)
        if answer is None or answer.origin != init.origin or not answer.resp:
            raise WireError("a copy of a handshake that is over")
        peer = answer.peer_id if isinstance(answer, Session) else None
        self._send_resp(answer.resp, init, path, peer)

    def _answer_xx(self, init: packet.Init, path: Path, now: Seconds) -> None:
        noise = self._door.accept(DATAGRAMS, xx=True)
        noise.read_untrusted(init.noise)
        message = noise.write(self._door.greeting(address_of(path)))
        index = self._new_index()
        resp = self._seal_reply(packet.RESP, index, init.sender, message, None)
        self._send_resp(resp, init, path, None)
        self._answers.keep(Answer(index, init.sender, init.origin, noise, resp, now))
        self._copies.answered(init.mac1, index)

    def _answer_ik(self, init: packet.Init, path: Path, now: Seconds) -> None:
        noise = self._door.accept(DATAGRAMS, xx=False)
        payload = noise.read_untrusted(init.noise)
        peer = self._door.admit_untrusted(payload, noise.remote_static, now=now)
        node_id = peer.credential.node_id
        session = self._sessions.answered(node_id, init.origin)
        if session is None:
            if self._our_attempt_wins(node_id):
                self._copies.forget(init.mac1)  # ours may fail yet
                return
            session = self._half_session(init, noise, peer, path, now)
        elif session.confirmed:
            raise WireError("a copy of a handshake that is over")
        self._send_resp(session.resp, init, path, node_id)
        if session.index not in self._sessions:
            self._sessions.keep(session)
        self._copies.answered(init.mac1, session.index)

    def _half_session(
        self, init: packet.Init, noise: Handshake, peer: Peer, path: Path, now: Seconds
    ) -> Session:
        """A session that counts for nothing until the peer has used its keys."""
        index = self._new_index()
        message = noise.write(self._door.greeting(address_of(path)))
        resp = self._seal_reply(packet.RESP, index, init.sender, message, noise.remote_static)
        ends = (index, init.sender)
        return Session.agreed(
            noise, ends, peer, path, now, origin=init.origin, resp=resp, confirmed=False
        )

    def _our_attempt_wins(self, peer: NodeId) -> bool:
        """Both began at once: the smaller id's handshake is the one that is finished."""
        begun = self._attempt_of.get(peer)
        return begun is not None and begun.takes_precedence and self._door.identity.node_id < peer

    def _seal_reply(
        self, kind: int, index: int, remote_index: int, message: bytes, static: bytes | None
    ) -> bytes:
        flags = FLAG_XX if static is None else 0
        bare = packet.pack_reply(kind, flags, index, remote_index, message)
        return bare + self._door.mac(bare, static) + bytes(packet.MAC_BYTES)

    def _send_resp(self, resp: bytes, init: packet.Init, path: Path, peer: NodeId | None) -> None:
        """Answer, but never with more bytes than came: the address may be a victim's."""
        if isinstance(path, Address) and len(resp) > init.size:
            raise WireError("an INIT shorter than our answer")
        self._outbox.append((path, peer, resp))

    def _receive_resp(self, resp: packet.Reply, path: Path, now: Seconds) -> None:
        begun = self._attempts.get(resp.receiver)
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
        finish = b""
        if xx:
            message = noise.write(self._door.greeting(address_of(path)))
            finish = self._seal_reply(packet.FINISH, begun.index, resp.sender, message, None)
            self._outbox.append((path, begun.peer_id, finish))
        session = Session.agreed(noise, (begun.index, resp.sender), peer, path, now)
        self._confirmations[session.index] = Confirmation(
            session, finish, now + self._config.handshake_retry
        )
        self._keep_established(session, path)

    def _receive_finish(self, finish: packet.Reply, path: Path, now: Seconds) -> None:
        self._door.check_mac_untrusted(finish.covered, finish.mac1, xx=True)
        answer = self._answers.find(finish.receiver)
        if answer is None:
            raise WireError("the end of no handshake of ours")
        noise = answer.noise.branch()
        payload = noise.read_untrusted(finish.noise)
        peer = self._door.admit_untrusted(payload, noise.remote_static, now=now)
        self._answers.remove(answer)
        ends = (answer.index, answer.remote_index)
        session = Session.agreed(noise, ends, peer, path, now, origin=answer.origin)
        self._keep_established(session, path)

    # --- sessions ------------------------------------------------------------

    def _keep_established(self, session: Session, path: Path) -> None:
        self._sessions.keep(session)
        self._established(session, path)

    def _established(self, session: Session, path: Path) -> None:
        """Send what waited; an empty datagram confirms the keys where nothing did."""
        self._drop_attempt(self._attempt_of.get(session.peer_id))
        self.rekeyed += self._sessions.replaces(session, self.rekey_after)
        for plaintext in self._waiting.pop(session.peer_id, None) or [b""]:
            sealed = session.seal(plaintext, self._ciphers)
            self._outbox.append((path, session.peer_id, sealed))

    def _new_index(self) -> int:
        while True:
            index = self._rng.getrandbits(32)
            if not (index in self._sessions or index in self._answers or index in self._attempts):
                return index

    # --- handshakes that we begin ----------------------------------------------

    def _initiate(self, peer: NodeId, route: Route, helper: Via | None, now: Seconds) -> bool:
        """Begin a handshake, if none is under way; return whether there is one now."""
        begun = self._attempt_of.get(peer)
        if begun is not None:
            if helper is not None and begun.add_helper(helper):
                self._outbox.append((helper, peer, begun.datagram(self._door, helper)))
            return True
        index = self._new_index()
        full = len(self._attempts) >= limits.MAX_PENDING_HANDSHAKES
        begun = Attempt.begin(self._door, peer, index, route.addresses, route.static)
        reachable = (helper is not None and begun.add_helper(helper)) or route.addresses
        if full or not reachable:
            self.dropped += 1
            return False
        if len(route.addresses) > self._config.handshake_tries:
            begun.turn = self._rng.randrange(len(route.addresses))  # each gets a chance
        self._attempts[index] = self._attempt_of[peer] = begun
        self._try(begun, now)
        return True

    def _try(self, begun: Attempt, now: Seconds) -> None:
        begun.next_try = now + self._config.handshake_retry * 2**begun.tries
        for path in begun.next_paths(self._door):
            datagram = begun.datagram(self._door, path)
            self._outbox.append((path, begun.peer_id, datagram))

    def _drop_attempt(self, begun: Attempt | None) -> None:
        if begun is not None:
            self._attempts.pop(begun.index, None)
            self._attempt_of.pop(begun.peer_id, None)

    # --- time ----------------------------------------------------------------

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        if not any(self._under_way):
            return inf
        soonest = inf
        for begun in self._attempts.values():
            soonest = min(soonest, begun.next_try)
        for confirmation in self._confirmations.values():
            soonest = min(soonest, confirmation.next_try)
        for half_made in (self._answers.oldest(), self._sessions.oldest_unconfirmed()):
            if half_made is not None:
                soonest = min(soonest, half_made.created_at + self._half_made_life)
        return soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Try unanswered handshakes again, give up old ones."""
        if not any(self._under_way):
            return
        for begun in [b for b in self._attempts.values() if b.next_try <= now]:
            if begun.tries >= self._config.handshake_tries:
                self._drop_attempt(begun)
                self._waiting.pop(begun.peer_id, None)
                self.unreachable += 1
            else:
                self._try(begun, now)
        for confirmation in [c for c in self._confirmations.values() if c.next_try <= now]:
            self._confirm_again(confirmation, now)
        while (answer := self._answers.oldest()) and self._is_over(answer, now):
            self._answers.remove(answer)
        while (session := self._sessions.oldest_unconfirmed()) and self._is_over(session, now):
            self._sessions.remove(session)

    def _is_over(self, half_made: Answer | Session, now: Seconds) -> bool:
        return now >= half_made.created_at + self._half_made_life

    def _confirm_again(self, confirmation: Confirmation, now: Seconds) -> None:
        """The last message, or the first datagram, may be lost: then the peer has no keys."""
        session = confirmation.session
        if session.index not in self._sessions:
            del self._confirmations[session.index]
        elif confirmation.tries >= self._config.handshake_tries:
            del self._confirmations[session.index]
            self._sessions.remove(session)
            self.unreachable += 1
        else:
            confirmation.next_try = now + self._config.handshake_retry * 2**confirmation.tries
            confirmation.tries += 1
            sealed = session.seal(b"", self._ciphers)
            for datagram in (confirmation.finish, sealed):
                if datagram:
                    self._outbox.append((session.path, session.peer_id, datagram))
