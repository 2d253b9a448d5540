"""One task under the hammer: what was offered, who bid, who was tried. Only its state.

`auction` decides what happens next; here is what is known, and what may be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs

from meshp2p.consensus.award import AcceptanceNote, AwardNote, ResultNote, bids_root
from meshp2p.consensus.envelope import MAX_INTEGER, Fields, digest
from meshp2p.consensus.offer import MAX_KEY, MAX_SPEC, Announcement, PlacedBid
from meshp2p.consensus.scoring import Score, rank
from meshp2p.consensus.transcript import Transcript
from meshp2p.errors import RemoteError, UsageError, WireError
from meshp2p.ids import NodeId, Seconds, check_name
from meshp2p.wire import codec, limits

Stage: TypeAlias = Literal["open", "writing", "awarded", "running", "over"]
"""Bids are collected; an award goes to disk; it was sent; it was accepted; all is done."""


@attrs.frozen(kw_only=True)
class AwardData:
    """A task that was awarded and accepted.

    Args:
        number: The result follows as `Finished` under this number, with an AwardResult.
        winner: Of the first award that was accepted; a successor may finish the work.
        score: As the policy found it, 0 to 1,000,000; higher is better.
        bids: All that could win, the best first.
        transcript: Proves the auction to others.
    """

    number: int
    task_id: bytes
    winner: NodeId
    winner_name: str
    epoch: int
    price: int
    score: int
    bids: tuple[PlacedBid, ...]
    transcript: Transcript


@attrs.frozen(kw_only=True)
class AwardResult:
    """What came out: the encoded result, and who did it under which epoch."""

    body: bytes
    winner: NodeId
    epoch: int


@attrs.define(eq=False, kw_only=True)
class Lot:
    """One task of this node, from its announcement to its result.

    Args:
        number: Of the user's command.
        body: Encoded arguments.
        waiting: Who was asked and has not answered.
        ranking: Scores and bidders, the best first; `untried`, those still to be awarded.
        gone: Who was lost meanwhile.
        declined: How many did not bid, or did not take an award.
        doubts: How many winners were replaced that may have begun.
        awards: All that were signed, as they travel; `award` is the last.
        result_number: Under which the result is told, once an award was accepted.
        claims: How often the result of the present award was asked for.
    """

    number: int
    announcement: Announcement
    announced: bytes
    body: bytes
    own_score: Score | None
    began_at: Seconds
    ends_at: Seconds
    asked: tuple[NodeId, ...]
    waiting: set[NodeId]
    stage: Stage = "open"
    bids: dict[NodeId, PlacedBid] = attrs.field(factory=dict)
    ranking: list[tuple[int, NodeId]] = attrs.field(factory=list)
    untried: list[tuple[int, NodeId]] = attrs.field(factory=list)
    gone: set[NodeId] = attrs.field(factory=set)
    declined: int = 0
    doubts: int = 0
    awards: list[bytes] = attrs.field(factory=list)
    award: AwardNote | None = None
    result_number: int | None = None
    claims: int = 0
    closing: int = 0
    ending: int = 0

    @property
    def task_id(self) -> bytes:
        """32 bytes."""
        return self.announcement.task_id

    @property
    def maybe_executed(self) -> bool:
        """Whether some winner may have begun."""
        return self.stage in ("awarded", "running") or self.doubts > 0

    def read_bid_untrusted(self, bidder: NodeId, statement: bytes) -> PlacedBid:
        """What a member answered to the offer; the signature is not looked at.

        Raises:
            WireError: It is no bid of this member for this offer.
        """
        bid = PlacedBid.read_untrusted(statement)
        offer = self.announcement
        if (bid.task_id, bid.epoch, bid.bidder) != (self.task_id, offer.epoch, bidder):
            raise WireError("a bid of another task or member")
        if bid.announcement != offer.hash:
            raise WireError("a bid for another offer of this task")
        return bid

    def close(self) -> None:
        """Rank the bids that are in.

        Raises:
            Exception: Whatever the user's own score raises.
        """
        offer, bids = self.announcement, list(self.bids.values())
        ranking = rank(bids, offer.policy, self.task_id, offer.epoch, self.own_score)
        for score, _ in ranking:
            if type(score) is not int or abs(score) > MAX_INTEGER:
                raise UsageError(f"a score of {score!r}: whole numbers below 2^53 are allowed")
        self.ranking = [
            entry for entry in ranking if not offer.reserve or entry[0] >= offer.reserve
        ]
        self.untried = self.ranking.copy()

    def next_bidder(self) -> tuple[int, NodeId] | None:
        """Score and id of the best bidder that was not tried and is not gone."""
        while self.untried:
            entry = self.untried.pop(0)
            if entry[1] not in self.gone:
                return entry
        return None

    def draft_award(self, epoch: int, score: int, winner: NodeId) -> AwardNote:
        """What is to be signed so that this bidder has the task."""
        offer, bid = self.announcement, self.bids[winner]
        return AwardNote(
            task_id=self.task_id,
            epoch=epoch,
            owner=offer.owner,
            winner=winner,
            price=bid.terms.price,
            score=score,
            announcement=offer.hash,
            bid=bid.hash,
            bids=bids_root([placed.hash for placed in self.bids.values()]),
            spec_hash=offer.spec_hash,
        )

    def transcript(
        self, group_id: bytes, acceptance: bytes, people: Sequence[tuple[bytes, bytes]]
    ) -> Transcript:
        """The record so far; `people` are node keys and chains of all who signed."""
        return Transcript.assemble(
            group_id=group_id,
            announcement=self.announced,
            bids=[bid.statement for bid in self.bids.values()],
            awards=self.awards,
            acceptance=acceptance,
            people=people,
        )

    def award_data(
        self, award: AwardNote, number: int, name: str, transcript: Transcript
    ) -> AwardData:
        """What the user gets; the result will follow under `number`."""
        return AwardData(
            number=number,
            task_id=self.task_id,
            winner=award.winner,
            winner_name=name,
            epoch=award.epoch,
            price=award.price,
            score=award.score,
            bids=tuple(self.bids[bidder] for _, bidder in self.ranking),
            transcript=transcript,
        )


def check_may_be_held(capability: str, body: bytes, budget: int, key: str, *, sealed: bool) -> None:
    """Accept what the user asked for as an auction.

    Raises:
        UsageError: It cannot be one; the text says why.
    """
    check_name("capability", capability)
    if sealed:
        raise UsageError("sealed=True: sealed bids are not there yet")
    if len(body) > MAX_SPEC:
        raise UsageError(f"arguments of {len(body)} bytes; {MAX_SPEC} are allowed")
    if len(key.encode()) > MAX_KEY:
        raise UsageError(f"key={key!r}: at most {MAX_KEY} bytes are allowed")
    if not 0 <= budget <= MAX_INTEGER:
        raise UsageError(f"budget={budget}: allowed are 0 (any price) to {MAX_INTEGER}")


def check_acceptance_untrusted(award: AwardNote, statement: bytes) -> None:
    """Accept a statement, its signature apart, as the winner's acceptance.

    Raises:
        WireError: It is something else.
    """
    note = AcceptanceNote.read_untrusted(statement)
    expected = (award.task_id, award.epoch, award.winner, award.hash)
    if (note.task_id, note.epoch, note.winner, note.award) != expected:
        raise WireError("an acceptance of another award")


def read_result_untrusted(award: AwardNote, body: bytes) -> tuple[bytes, int, bytes]:
    """The winner's signed note (its signature not looked at), its status, the encoded result.

    Raises:
        WireError: It is not the result of this award.
    """
    fields = Fields(codec.unpack_list_untrusted(body, at_least=2))
    statement, result = fields.octets_up_to(limits.MAX_SIGNED), fields.octets_up_to(MAX_SPEC)
    note = ResultNote.read_untrusted(statement)
    expected = (award.task_id, award.epoch, award.winner, digest(result))
    if (note.task_id, note.epoch, note.worker, note.result) != expected:
        raise WireError("a result of another award")
    return statement, note.status, result


def read_error_untrusted(body: bytes, member: str) -> RemoteError:
    """The handler's exception: [type, message, traceback or nil].

    Raises:
        WireError: It is something else.
    """
    values = codec.unpack_list_untrusted(body, at_least=2)
    fields = Fields(values)
    kind, message = fields.text(limits.MAX_ERROR_TEXT), fields.text(limits.MAX_ERROR_TEXT)
    shown = fields.left and values[2] is not None
    return RemoteError(kind, message, fields.text(limits.MAX_ERROR_TEXT) if shown else None, member)
