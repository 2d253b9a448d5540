"""Datagram handshakes that others begin: answered once, and kept until the end is sure.

Whoever answers only repeats itself, and never says more than was said to it: what a stranger
plays back costs little, draws nothing new, and makes no session that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import attrs

from meshp2p.errors import WireError
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import packet
from meshp2p.transport.copies import Copies
from meshp2p.transport.handshake import DATAGRAMS, Doorkeeper, Peer
from meshp2p.transport.noise import Handshake
from meshp2p.transport.packet import FLAG_XX, SUITE_CHACHA
from meshp2p.transport.path import Outbox, Path, Via, address_of
from meshp2p.transport.pending import Answer, Answers, pack_reply
from meshp2p.transport.session import Session
from meshp2p.transport.sessions import Sessions


@attrs.define(eq=False, kw_only=True)
class Responder:
    """Answers INITs; XX awaits a FINISH, IK the first datagram under the new keys.

    Args:
        _patience: How long either may take.
        _ours_prevails: Whether a handshake that this node began with a peer comes first.
        _new_index: Gives a number that no session has, nor any handshake under way.
        answers: XX handshakes under way; for reading.
    """

    _door: Doorkeeper = attrs.field(alias="door")
    _sessions: Sessions = attrs.field(alias="sessions")
    _outbox: Outbox = attrs.field(alias="outbox")
    _patience: Seconds = attrs.field(alias="patience")
    _ours_prevails: Callable[[NodeId], bool] = attrs.field(alias="ours_prevails")
    _new_index: Callable[[], int] = attrs.field(alias="new_index")
    answers: Answers = attrs.field(factory=Answers, init=False)
    _copies: Copies = attrs.field(factory=Copies, init=False)

    def receive_init_untrusted(self, init: packet.Init, path: Path, now: Seconds) -> None:
        """Somebody begins.

        Raises:
            WireError: And nothing else: a stranger, a copy, or more than may be asked.
        """
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
        answer = self.answers.find(index) or self._sessions.find(index)
        if answer is None or answer.origin != init.origin or not answer.resp:
            raise WireError("a copy of a handshake that is over")
        peer = answer.peer_id if isinstance(answer, Session) else None
        self._send_resp(answer.resp, init, path, peer)

    def _answer_xx(self, init: packet.Init, path: Path, now: Seconds) -> None:
        noise = self._door.accept(DATAGRAMS, xx=True)
        noise.read_untrusted(init.noise)
        message = noise.write(self._door.greeting(address_of(path)))
        index = self._new_index()
        resp = pack_reply(self._door, packet.RESP, (index, init.sender), message, None)
        self._send_resp(resp, init, path, None)
        self.answers.keep(Answer(index, init.sender, init.origin, noise, resp, now))
        self._copies.answered(init.mac1, index)

    def _answer_ik(self, init: packet.Init, path: Path, now: Seconds) -> None:
        noise = self._door.accept(DATAGRAMS, xx=False)
        payload = noise.read_untrusted(init.noise)
        peer = self._door.admit_untrusted(payload, noise.remote_static, now=now)
        node_id = peer.credential.node_id
        session = self._sessions.answered(node_id, init.origin)
        if session is None:
            if self._ours_prevails(node_id):
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
        ends = (self._new_index(), init.sender)
        message = noise.write(self._door.greeting(address_of(path)))
        resp = pack_reply(self._door, packet.RESP, ends, message, noise.remote_static)
        return Session.agreed(
            noise, ends, peer, path, now, origin=init.origin, resp=resp, confirmed=False
        )

    def _send_resp(self, resp: bytes, init: packet.Init, path: Path, peer: NodeId | None) -> None:
        """Answer, but never with more bytes than came: the address may be a victim's."""
        if isinstance(path, Address) and len(resp) > init.size:
            raise WireError("an INIT shorter than our answer")
        self._outbox.append((path, peer, resp))

    def receive_finish_untrusted(self, finish: packet.Reply, path: Path, now: Seconds) -> Session:
        """The session that the last message of XX makes.

        Raises:
            WireError: And nothing else: it ends nothing of ours, or a stranger sent it.
        """
        self._door.check_mac_untrusted(finish.covered, finish.mac1, xx=True)
        answer = self.answers.find(finish.receiver)
        if answer is None:
            raise WireError("the end of no handshake of ours")
        noise = answer.noise.branch()
        payload = noise.read_untrusted(finish.noise)
        peer = self._door.admit_untrusted(payload, noise.remote_static, now=now)
        self.answers.remove(answer)
        ends = (answer.index, answer.remote_index)
        return Session.agreed(noise, ends, peer, path, now, origin=answer.origin)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        soonest = inf
        for half_made in (self.answers.oldest(), self._sessions.oldest_unconfirmed()):
            if half_made is not None:
                soonest = min(soonest, half_made.created_at + self._patience)
        return soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Give up what nobody finished."""
        while (answer := self.answers.oldest()) and self._is_over(answer, now):
            self.answers.remove(answer)
        while (session := self._sessions.oldest_unconfirmed()) and self._is_over(session, now):
            self._sessions.remove(session)

    def _is_over(self, half_made: Answer | Session, now: Seconds) -> bool:
        return now >= half_made.created_at + self._patience
