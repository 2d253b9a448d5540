"""The record of an auction: enough for anyone to score it again and find what was wrong.

As it travels: MessagePack of [format, group id (16 B), announcement, [bids], [awards],
acceptance, [[node key, chain]...]], in exactly one encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from meshp2p.consensus import envelope
from meshp2p.consensus.award import ACCEPTANCE, AWARD, AcceptanceNote, AwardNote, bids_root
from meshp2p.consensus.envelope import FORMAT, Fields
from meshp2p.consensus.offer import ANNOUNCEMENT, BID, Announcement, PlacedBid
from meshp2p.consensus.scoring import OWNERS_CHOICE, rank
from meshp2p.errors import CredentialError, WireError
from meshp2p.identity.credential import MESH_ID_BYTES, without_transport
from meshp2p.identity.keys import KEY_BYTES, Crypto, OpenSSL, node_id_of
from meshp2p.identity.trust import verify_chain
from meshp2p.ids import NodeId, show_id
from meshp2p.wire import codec, limits

_ELEMENTS: Final = 7
_MAX_PEOPLE: Final = limits.MAX_BIDDERS + 1


@attrs.frozen(kw_only=True)
class Transcript:
    """All signed statements of one auction, up to the acceptance.

    Args:
        group_id: 16 bytes; the namespace in which all of it was signed.
        people: Node key and credential chain of everyone who signed, by node id.
    """

    group_id: bytes
    announcement: bytes
    bids: tuple[bytes, ...]
    awards: tuple[bytes, ...]
    acceptance: bytes
    people: Mapping[NodeId, tuple[bytes, bytes]]

    @classmethod
    def assemble(
        cls,
        *,
        group_id: bytes,
        announcement: bytes,
        bids: Sequence[bytes],
        awards: Sequence[bytes],
        acceptance: bytes,
        people: Sequence[tuple[bytes, bytes]],
    ) -> Transcript:
        """Put together what was signed; transport keys of the day are left out."""
        return cls(
            group_id=group_id,
            announcement=announcement,
            bids=tuple(sorted(bids)),
            awards=tuple(awards),
            acceptance=acceptance,
            people={node_id_of(key): (key, without_transport(chain)) for key, chain in people},
        )

    def to_bytes(self) -> bytes:
        """The transcript as it is stored and sent."""
        people = [list(self.people[node_id]) for node_id in sorted(self.people)]
        statements = [self.announcement, list(self.bids), list(self.awards), self.acceptance]
        return codec.pack([FORMAT, self.group_id, *statements, people])

    @classmethod
    def from_bytes_untrusted(cls, data: bytes) -> Transcript:
        """Read what `to_bytes` wrote; what it proves is for `findings` to say.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        if len(data) > limits.MAX_CERTIFICATE:
            raise WireError(f"{len(data)} bytes, at most {limits.MAX_CERTIFICATE} allowed")
        fields = Fields(codec.unpack_list_untrusted(data, at_least=_ELEMENTS))
        fields.integer(FORMAT, FORMAT)
        transcript = cls(
            group_id=fields.octets(MESH_ID_BYTES),
            announcement=fields.octets_up_to(limits.MAX_SIGNED),
            bids=_statements(fields),
            awards=_statements(fields),
            acceptance=fields.octets_up_to(limits.MAX_SIGNED),
            people=_people(fields),
        )
        if transcript.to_bytes() != data:
            raise WireError("a transcript that is not in its one encoding")
        return transcript

    def findings(self, root: bytes | None, *, crypto: Crypto | None = None) -> tuple[str, ...]:
        """Everything that is wrong with the auction, in sentences; empty if nothing is.

        Args:
            root: Ed25519 public key of the mesh root. Without it one finding is that
                nobody vouches for whoever signed.
            crypto: Mathematics to use; OpenSSL by default.
        """
        crypto = crypto or OpenSSL()
        try:
            announcement = Announcement.read_untrusted(self.announcement)
            bids = [PlacedBid.read_untrusted(bid) for bid in self.bids]
            awards = [AwardNote.read_untrusted(award) for award in self.awards]
            acceptance = AcceptanceNote.read_untrusted(self.acceptance)
        except WireError as error:
            return (f"not the record of an auction: {error}",)
        found = self._vouched(crypto, root, announcement.wall)
        found += self._forged(crypto, announcement, bids, awards, acceptance)
        found += _rule_breaches(announcement, bids, awards)
        if not awards or (acceptance.award, acceptance.winner) != (
            awards[-1].hash,
            awards[-1].winner,
        ):
            found.append("what was accepted is not the last award")
        return tuple(found)

    def _vouched(self, crypto: Crypto, root: bytes | None, wall: int) -> list[str]:
        if root is None:
            return ["signers unknown: give the mesh root's public key to be sure"]
        found = []
        for node_id, (key, chain) in self.people.items():
            try:
                credential = verify_chain(crypto, chain, root_public=root, at=wall)
            except (WireError, CredentialError) as error:
                found.append(f"{_name(node_id)}'s credential does not hold: {error}")
            else:
                if credential.node_key != key:
                    found.append(f"{_name(node_id)}'s credential is somebody else's")
        return found

    def _forged(
        self,
        crypto: Crypto,
        announcement: Announcement,
        bids: Sequence[PlacedBid],
        awards: Sequence[AwardNote],
        acceptance: AcceptanceNote,
    ) -> list[str]:
        signed = [(announcement.owner, ANNOUNCEMENT, self.announcement)]
        signed += [(bid.bidder, BID, bid.statement) for bid in bids]
        signed += [(award.owner, AWARD, s) for award, s in zip(awards, self.awards, strict=True)]
        signed += [(acceptance.winner, ACCEPTANCE, self.acceptance)]
        return [
            f"the {kind} of {_name(signer)} has a forged signature"
            for signer, kind, statement in signed
            if signer not in self.people
            or not envelope.is_signed_by(
                crypto, self.people[signer][0], kind, self.group_id, statement
            )
        ]


def _rule_breaches(
    announcement: Announcement, bids: Sequence[PlacedBid], awards: Sequence[AwardNote]
) -> list[str]:
    """Score the bids again and hold each award against the outcome."""
    by_bidder = {bid.bidder: bid for bid in bids}
    found = []
    if any(bid.announcement != announcement.hash for bid in bids) or len(by_bidder) < len(bids):
        found.append("there are bids for something else, or two of one bidder")
    if announcement.policy.name == OWNERS_CHOICE:
        found.append("the owner scored as it liked: that cannot be repeated")
        order: list[tuple[int, NodeId]] = [(award.score, award.winner) for award in awards]
    else:
        order = rank(bids, announcement.policy, announcement.task_id, announcement.epoch)
    root, last = bids_root([bid.hash for bid in bids]), announcement.epoch - 1
    for award in awards:
        bid = by_bidder.get(award.winner)
        about = (award.task_id, award.owner, award.announcement, award.bids)
        if about != (announcement.task_id, announcement.owner, announcement.hash, root):
            found.append(f"award {award.epoch} belongs to another auction or other bids")
        if bid is None or (award.bid, award.price) != (bid.hash, bid.terms.price):
            found.append(f"award {award.epoch} names a bid that was not made")
        if award.epoch <= last:
            found.append(f"award {award.epoch} does not follow award {last}")
        last = award.epoch
    return found + _order_breaches(order, awards)


def _order_breaches(order: list[tuple[int, NodeId]], awards: Sequence[AwardNote]) -> list[str]:
    """Awards must go down the ranking without leaving anybody out."""
    found, place = [], 0
    for award in awards:
        if (award.score, award.winner) not in order[place:]:
            found.append(f"award {award.epoch} misstates a score, or went up the ranking")
            continue
        reached = order.index((award.score, award.winner), place)
        found += [
            f"award {award.epoch} went past the better bid of {_name(bidder)}, "
            "which is in order only if that member was lost before"
            for _, bidder in order[place:reached]
        ]
        place = reached + 1
    return found


def _statements(fields: Fields) -> tuple[bytes, ...]:
    array = Fields(fields.array(limits.MAX_BIDDERS))
    return tuple(array.octets_up_to(limits.MAX_SIGNED) for _ in range(array.left))


def _people(fields: Fields) -> dict[NodeId, tuple[bytes, bytes]]:
    array = Fields(fields.array(_MAX_PEOPLE))
    people = {}
    for _ in range(array.left):
        person = array.fields()
        key = person.octets(KEY_BYTES)
        people[node_id_of(key)] = (key, person.octets_up_to(limits.MAX_CHAIN))
    return people


def _name(node_id: NodeId) -> str:
    return show_id(node_id)[:8]
