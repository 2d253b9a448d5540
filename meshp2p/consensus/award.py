"""What is signed once bids are in: award, acceptance, result; and the root of all bids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from meshp2p.consensus import envelope
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES, MAX_INTEGER, Fields, digest
from meshp2p.ids import NodeId
from meshp2p.wire.codec import Value

AWARD: Final = "award"
ACCEPTANCE: Final = "accept"
RESULT: Final = "result"
"""Kinds of statement."""

EPOCH_BYTES: Final = 8


def slot_of(task_id: bytes, epoch: int) -> bytes:
    """40 bytes that name one award: task id, epoch in big endian."""
    return task_id + epoch.to_bytes(EPOCH_BYTES, "big")


def bids_root(hashes: Sequence[bytes]) -> bytes:
    """One hash that stands for all bids, so that a bidder can be shown its own is among them.

    Source: RFC 6962, section 2.1 (leaf and node hashes differ in their first byte).
    """
    level = [digest(b"\0" + leaf) for leaf in sorted(hashes)]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [digest(b"\1" + b"".join(pair)) if len(pair) > 1 else pair[0] for pair in pairs]
    return level[0] if level else digest(b"")


@attrs.frozen(kw_only=True)
class AwardNote:
    """The owner's word that a bidder has a task in this epoch, and nobody else.

    Args:
        epoch: Strictly increasing for a task; the fencing token of whoever runs it.
        announcement: Hash of the announcement; `bid`, of the winning bid.
        bids: Root of all bids that were ranked.
        score: Of the winning bid.
        hash: SHA-256 of the signed payload. Filled by the reader.
    """

    task_id: bytes
    epoch: int
    owner: NodeId
    winner: NodeId
    price: int
    score: int
    announcement: bytes
    bid: bytes
    bids: bytes
    spec_hash: bytes
    hash: bytes = b""

    def to_fields(self) -> list[Value]:
        """What is signed. The token is the epoch; a lease of 0 ms means none."""
        head: list[Value] = [FORMAT, self.task_id, self.epoch, self.owner, self.winner]
        hashes: list[Value] = [self.announcement, self.bid, self.bids, self.spec_hash]
        return [*head, self.epoch, 0, self.price, self.score, *hashes]

    @classmethod
    def read_untrusted(cls, statement: object) -> AwardNote:
        """Read an award; the signature is not looked at.

        Raises:
            WireError: It is none.
        """
        fields = envelope.open_untrusted(statement)
        task_id, epoch = fields.octets(HASH_BYTES), fields.integer(1)
        owner, winner = fields.node_id(), fields.node_id()
        fields.integer(epoch, epoch)
        fields.integer()  # lease
        return cls(
            task_id=task_id,
            epoch=epoch,
            owner=owner,
            winner=winner,
            price=fields.integer(),
            score=fields.integer(-MAX_INTEGER),
            announcement=fields.octets(HASH_BYTES),
            bid=fields.octets(HASH_BYTES),
            bids=fields.octets(HASH_BYTES),
            spec_hash=fields.octets(HASH_BYTES),
            hash=_hash(statement),
        )


@attrs.frozen(kw_only=True)
class AcceptanceNote:
    """The winner's word that it takes the task on; from here it is committed.

    Args:
        award: Hash of the award.
    """

    task_id: bytes
    epoch: int
    winner: NodeId
    award: bytes

    def to_fields(self) -> list[Value]:
        """What is signed; the last is a lease in ms, 0 for none."""
        return [FORMAT, self.task_id, self.epoch, self.winner, self.award, 0]

    @classmethod
    def read_untrusted(cls, statement: object) -> AcceptanceNote:
        """Read an acceptance; the signature is not looked at.

        Raises:
            WireError: It is none.
        """
        fields = envelope.open_untrusted(statement)
        note = cls(
            task_id=fields.octets(HASH_BYTES),
            epoch=fields.integer(1),
            winner=fields.node_id(),
            award=fields.octets(HASH_BYTES),
        )
        fields.integer()  # lease
        return note


@attrs.frozen(kw_only=True)
class ResultNote:
    """The worker's word on what came out.

    Args:
        status: 0 if the handler returned, else it raised.
        result: SHA-256 of the encoded result, or of the encoded error.
        cost: In the unit of the bid's price.
    """

    task_id: bytes
    epoch: int
    worker: NodeId
    status: int
    result: bytes
    cost: int = 0

    def to_fields(self) -> list[Value]:
        """What is signed."""
        head: list[Value] = [FORMAT, self.task_id, self.epoch, self.worker]
        return [*head, self.status, self.result, self.cost]

    @classmethod
    def read_untrusted(cls, statement: object) -> ResultNote:
        """Read a result's note; the signature is not looked at.

        Raises:
            WireError: It is none.
        """
        fields = envelope.open_untrusted(statement)
        return cls(
            task_id=fields.octets(HASH_BYTES),
            epoch=fields.integer(1),
            worker=fields.node_id(),
            status=fields.integer(),
            result=fields.octets(HASH_BYTES),
            cost=fields.integer(),
        )


def read_claim_untrusted(fields: Fields) -> bytes:
    """The slot (see `slot_of`) that somebody asks the result of: [task id, epoch].

    Raises:
        WireError: It is something else.
    """
    task_id = fields.octets(HASH_BYTES)
    return slot_of(task_id, fields.integer(1))


def _hash(statement: object) -> bytes:
    return digest(envelope.payload_of(statement)) if type(statement) is bytes else b""
