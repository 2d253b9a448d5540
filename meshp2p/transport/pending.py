"""Handshakes on datagrams that are not over: begun, answered, waiting to be confirmed.

Any message of a handshake can be lost. Whoever began sends again, at growing pauses,
until a datagram under the new keys comes back; whoever answers only repeats itself.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import attrs

from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport import packet
from meshp2p.transport.handshake import DATAGRAMS, Doorkeeper
from meshp2p.transport.noise import Handshake
from meshp2p.transport.packet import FLAG_XX, MAC_BYTES
from meshp2p.transport.path import Path, Via
from meshp2p.transport.session import Session
from meshp2p.wire import limits

_IK_TRIES: Final = 2
"""Then the peer may have restarted with another transport key: XX."""
_IK_PADDING: Final = 1_040
"""INIT is never shorter than the largest RESP to IK: 1,017 bytes."""
_MAX_HELPERS: Final = 3
"""Members through which one handshake is tried: as many as SWIM asks (its k)."""


@attrs.define(eq=False)
class Attempt:
    """A handshake that we began and that nobody has answered.

    Args:
        index: Number of the session that it will make.
        static: The peer's transport key; None for XX.
        helpers: Members through which it is tried besides. Only with IK: whoever
            answers XX does not know to whom, so no member could carry it back.
    """

    peer_id: NodeId
    index: int
    addresses: tuple[Address, ...]
    static: bytes | None = attrs.field(repr=False)
    noise: Handshake = attrs.field(repr=False)
    message: bytes = attrs.field(repr=False)
    helpers: list[Via] = attrs.field(factory=list)
    turn: int = 0
    tries: int = 0
    next_try: Seconds = 0.0

    @classmethod
    def begin(
        cls,
        door: Doorkeeper,
        peer_id: NodeId,
        index: int,
        addresses: tuple[Address, ...],
        static: bytes | None,
    ) -> Attempt:
        """Begin with IK where the peer's key is known and usable, else with XX."""
        noise, message, static = door.first_message(DATAGRAMS, static)
        return cls(peer_id, index, addresses, static, noise, message)

    @property
    def takes_precedence(self) -> bool:
        """Whether the peer, if it is the greater id and began too, has to wait for us."""
        return self.static is not None and self.tries <= _IK_TRIES

    def add_helper(self, helper: Via) -> bool:
        """Try through a member as well; return whether that is possible, and new."""
        known = helper in self.helpers or len(self.helpers) >= _MAX_HELPERS
        if known or self.static is None:
            return False
        self.helpers.append(helper)
        return True

    def next_paths(self, door: Doorkeeper) -> list[Path]:
        """Where the next try goes: to one address after the other, and through helpers."""
        if self.static is not None and self.tries >= _IK_TRIES and self.addresses:
            self.noise, self.message, self.static = door.first_message(DATAGRAMS, None)
        paths: list[Path] = []
        if self.addresses:
            paths.append(self.addresses[(self.turn + self.tries) % len(self.addresses)])
        if self.static is not None:
            paths += self.helpers
        self.tries += 1
        return paths

    def datagram(self, door: Doorkeeper, path: Path) -> bytes:
        """INIT for a path. Only those to an address are padded: a helper's peer is no victim."""
        xx = self.static is None
        at_least = 0 if isinstance(path, Via) else limits.MAX_DATAGRAM if xx else _IK_PADDING
        flags = FLAG_XX if xx else 0
        bare = packet.pack_init(flags, self.index, self.message, at_least=at_least)
        return bare + door.mac(bare, self.static) + bytes(MAC_BYTES)


@attrs.define(eq=False)
class Confirmation:
    """A session that we began and on which the peer has not been heard.

    Args:
        finish: XX's last message, sent again and again; b"" for IK.
    """

    session: Session
    finish: bytes = attrs.field(repr=False)
    next_try: Seconds
    tries: int = 1


@attrs.define(eq=False)
class Answer:
    """An XX handshake that somebody else began: RESP sent, FINISH awaited."""

    index: int
    remote_index: int
    origin: bytes
    noise: Handshake = attrs.field(repr=False)
    resp: bytes = attrs.field(repr=False)
    created_at: Seconds


class Answers:
    """XX handshakes answered."""

    def __init__(self) -> None:
        """Hold none."""
        self.by_index: OrderedDict[int, Answer] = OrderedDict()
        """For reading; the oldest first."""

    def __len__(self) -> int:
        """How many are not finished."""
        return len(self.by_index)

    def __contains__(self, index: int) -> bool:
        """Whether the number is taken."""
        return index in self.by_index

    def find(self, index: int) -> Answer | None:
        """The one that a FINISH names."""
        return self.by_index.get(index)

    def oldest(self) -> Answer | None:
        """The next to be given up."""
        return next(iter(self.by_index.values()), None)

    def keep(self, answer: Answer) -> None:
        """Store one; the oldest gives way."""
        self.by_index[answer.index] = answer
        if len(self.by_index) > limits.MAX_PENDING_HANDSHAKES:
            self.remove(next(iter(self.by_index.values())))

    def remove(self, answer: Answer) -> None:
        """Drop one."""
        self.by_index.pop(answer.index, None)


def pack_reply(
    door: Doorkeeper, kind: int, ends: tuple[int, int], message: bytes, static: bytes | None
) -> bytes:
    """RESP or FINISH, with its mac.

    Args:
        ends: Our number for the session to be, and the peer's.
        static: The peer's transport key; None for XX.
    """
    bare = packet.pack_reply(kind, FLAG_XX if static is None else 0, *ends, message)
    return bare + door.mac(bare, static) + bytes(MAC_BYTES)
