"""Statements: what somebody signed and somebody else believed, each read once.

Seen are statements that somebody else verified: those have left their authors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import attrs

from meshp2p.consensus.award import ACCEPTANCE, AWARD, RESULT, AwardNote
from meshp2p.consensus.ballot import BALLOT, PROPOSAL
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES, Fields
from meshp2p.consensus.epochs import AWARDS
from meshp2p.effects import Persist
from meshp2p.errors import WireError
from meshp2p.gossip.accusation import DOMAIN as SUSPICION
from meshp2p.gossip.record import LINE_DOMAIN
from meshp2p.identity.block import DOMAIN as CREDENTIAL
from meshp2p.identity.keys import node_id_of
from meshp2p.ids import NodeId
from meshp2p.simulation.world import World
from meshp2p.wire import codec, limits

ON_DISK: Final = (AWARD, ACCEPTANCE, BALLOT, PROPOSAL)
"""Kinds of statement that are promises, and so on disk before they leave."""
_KINDS: Final = (*ON_DISK, RESULT)
_GROUP_BYTES: Final = 16
_GOSSIP: Final = (LINE_DOMAIN, SUSPICION, CREDENTIAL)
"""How what is signed in gossip begins: most of all signatures, and no statement."""


@attrs.frozen
class Statement:
    """Something that somebody signed and somebody else verified.

    Args:
        subject: The vote or task that it is about; of a proposal, the payload itself.
        epoch: Of an award, an acceptance or a result; 0 for others.
        winner: Of an award.
    """

    kind: str
    author: NodeId
    payload: bytes
    subject: bytes
    epoch: int = 0
    winner: NodeId | None = None

    @classmethod
    def read(cls, public: bytes, data: bytes) -> Statement | None:
        """What a signature was made for; None if it is of no kind that is watched."""
        prefix, _, rest = data.partition(b"/1\0")
        kind = prefix.removeprefix(b"meshp2p/").decode(errors="replace")
        if kind not in _KINDS:
            return None
        author, payload = node_id_of(public), rest[_GROUP_BYTES:]
        if kind == PROPOSAL:
            return cls(kind, author, payload, payload)
        fields = Fields(codec.unpack_list_untrusted(payload, at_least=1))
        fields.integer(FORMAT, FORMAT)
        subject = fields.octets(HASH_BYTES)
        if kind == BALLOT:
            return cls(kind, author, payload, subject)
        epoch = fields.integer(1)
        if kind != AWARD:
            return cls(kind, author, payload, subject, epoch)
        fields.node_id()
        return cls(kind, author, payload, subject, epoch, fields.node_id())


OnStatement: TypeAlias = Callable[[Statement], None]


class Statements:
    """Reads what a world's nodes believe of each other, for whoever wants to hear of it."""

    def __init__(self, world: World) -> None:
        """Nobody listens yet, and so nothing is read."""
        self._world = world
        self._seen: set[tuple[bytes, bytes]] = set()
        self._listeners: list[OnStatement] = []

    def hear(self, listener: OnStatement) -> None:
        """Be told of each statement when somebody first believes it."""
        if not self._listeners:
            self._world.on_signature.append(self._signature)
        self._listeners.append(listener)

    def _signature(self, public: bytes, data: bytes) -> None:
        if data.startswith(_GOSSIP) or (public, data) in self._seen:
            return
        self._seen.add((public, data))
        try:
            statement = Statement.read(public, data)
        except WireError:
            return  # signed nonsense: whoever reads it refuses it
        if statement is not None:
            for listener in self._listeners:
                listener(statement)


def awards_in(effect: Persist) -> Iterator[tuple[bytes, AwardNote]]:
    """Awards that a node is about to write down, before anybody is told: task id, and award."""
    for record in effect.records:
        if record.table == AWARDS and record.value is not None:
            fields = Fields(codec.unpack_list_untrusted(record.value, at_least=4))
            fields.integer(FORMAT, FORMAT)
            fields.integer(0, 1)
            fields.integer(1)
            yield record.key, AwardNote.read_untrusted(fields.octets_up_to(limits.MAX_SIGNED))
