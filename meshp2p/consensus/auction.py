"""Auctioning work off: announce, collect bids, award, and see it through to a result.

The owner of a task is the only one who writes its awards, so no agreement is needed:
epochs rise strictly, each is on disk before its award leaves, and each names one winner.
Whoever is lost, declines or stays silent is followed by the next best bid under the next
epoch; work that was already running may so run twice, told apart by the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import attrs

from meshp2p.consensus.award import ACCEPTANCE, AWARD, RESULT, AwardNote
from meshp2p.consensus.envelope import digest
from meshp2p.consensus.epochs import Epochs
from meshp2p.consensus.lot import (
    AwardResult,
    Lot,
    check_acceptance_untrusted,
    check_may_be_held,
    read_error_untrusted,
    read_result_untrusted,
)
from meshp2p.consensus.offer import (
    ANNOUNCEMENT,
    BID,
    NONCE_BYTES,
    Announcement,
)
from meshp2p.consensus.scoring import OWNERS_CHOICE, Policy, Score
from meshp2p.consensus.surroundings import Reply, Surroundings
from meshp2p.errors import (
    DeadlineExceeded,
    NoBids,
    PeerLost,
    StateUnusable,
    UsageError,
    WireError,
)
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import codec, limits

OFFER: Final = "!auction.offer"
"""Body: a signed announcement. Answer: a signed bid, or refused: no bid."""

AWARDED: Final = "!auction.award"
"""Body: [signed award, encoded arguments]. Answer: a signed acceptance, or refused."""

CLAIM: Final = "!auction.result"
"""Body: [task id, epoch]. Answer, once the work is done: [signed note, encoded result]."""

DEFAULT_BIDDERS: Final = 8
"""Members asked when nobody says how many."""

_MILLISECONDS: Final = 1_000
_CLAIMS: Final = 2
"""A connection that breaks while work is under way is tried once more."""


class Auctioneer:
    """All auctions that this node holds."""

    def __init__(
        self, surroundings: Surroundings, stored: Mapping[tuple[str, bytes], bytes]
    ) -> None:
        """Remember the epochs of earlier lives; their auctions are over.

        Raises:
            StateUnusable: The journal holds something else.
        """
        self.late = 0
        """Bids that came after their auction had closed."""
        self.forged = 0
        """Bids, acceptances and results that were forged, damaged, or of another task."""
        self._around = surroundings
        self._lots: dict[bytes, Lot] = {}
        self._epochs = Epochs(stored)

    def hold(  # noqa: PLR0913  # the rules of an auction are that many
        self,
        number: int,
        capability: str,
        body: bytes,
        candidates: Sequence[NodeId],
        *,
        close_after: Seconds,
        deadline: Seconds,
        now: Seconds,
        unix: float,
        at_most: int = DEFAULT_BIDDERS,
        policy: Policy | None = None,
        score: Score | None = None,
        budget: int = 0,
        reserve: int = 0,
        key: str = "",
        sealed: bool = False,
    ) -> None:
        """Auction a call off. `Finished(number)` brings AwardData or why there is none.

        Args:
            body: Encoded arguments; only winners get them.
            candidates: Whom to ask, the most promising first.
            close_after: Seconds to wait for bids; it closes earlier once all answered.
            deadline: Seconds from now in which all of it must be done.
            at_most: Number of candidates asked.
            score: The user's own; then the transcript can show but not repeat it.
            key: Idempotency key.

        Raises:
            UsageError: Such an auction cannot be; the text says why.
        """
        self._check_may_hold()
        check_may_be_held(capability, body, budget, key, sealed=sealed)
        identity = self._around.identity
        rules = Policy(name=OWNERS_CHOICE) if score else policy or Policy()
        announcement = Announcement(
            owner=identity.node_id,
            journal_id=identity.journal_id,
            nonce=bytes(NONCE_BYTES) if key else self._around.entropy(NONCE_BYTES),
            key=key.encode(),
            capability=capability,
            spec_hash=digest(body),
            size=len(body),
            policy=rules,
            epoch=1,
            close_ms=round(close_after * _MILLISECONDS),
            deadline_ms=max(1, round(deadline * _MILLISECONDS)),
            wall=int(unix),
            reserve=reserve,
            budget=budget,
        )
        epoch = self._epochs.following(announcement.task_id)
        announcement = attrs.evolve(announcement, epoch=epoch)
        if announcement.task_id in self._lots:
            raise UsageError(f"an auction with key {key!r} and these arguments is under way")
        asked = tuple(dict.fromkeys(candidates))[: min(at_most, limits.MAX_BIDDERS)]
        self._open(number, announcement, body, score, asked, now=now, close_after=close_after)

    def member_lost(self, member: NodeId) -> None:
        """Wait no longer for a member that is gone; replace it where it had won."""
        for lot in list(self._lots.values()):
            if member not in lot.asked:
                continue
            lot.gone.add(member)
            if lot.stage == "open":
                self._settle(lot, member)
            elif lot.stage in ("awarded", "running") and _winner(lot) == member:
                self._replace(lot)

    def _check_may_hold(self) -> None:
        if not self._around.identity.may_promise:
            raise UsageError("an ephemeral node keeps no journal, so it may not hold an auction")
        if len(self._lots) >= limits.MAX_OPEN_AUCTIONS:
            raise UsageError(f"{len(self._lots)} auctions are open: wait for some to end")

    # -- Bidding

    def _open(
        self,
        number: int,
        announcement: Announcement,
        body: bytes,
        own_score: Score | None,
        asked: tuple[NodeId, ...],
        *,
        now: Seconds,
        close_after: Seconds,
    ) -> None:
        announced = self._around.sign(ANNOUNCEMENT, announcement.to_fields())
        try:  # what others would refuse is the caller's mistake: read it as they will
            announcement = Announcement.read_untrusted(announced)
        except WireError as error:
            raise UsageError(f"such an auction cannot be held: {error}") from error
        lot = Lot(
            number=number,
            announcement=announcement,
            announced=announced,
            body=body,
            own_score=own_score,
            began_at=now,
            ends_at=now + announcement.deadline,
            asked=asked,
            waiting=set(asked),
        )
        self._lots[lot.task_id] = lot
        deadlines = self._around.deadlines
        lot.closing = deadlines.call_at(now + close_after, lambda _: self._close(lot))
        lot.ending = deadlines.call_at(lot.ends_at, partial(self._expire, lot))
        for bidder in asked:
            then = partial(self._receive_bid, lot, bidder)
            self._around.ask(bidder, OFFER, announced, close_after, then)
        if not asked:
            self._close(lot)

    def _receive_bid(self, lot: Lot, bidder: NodeId, reply: Reply, _now: Seconds) -> None:
        if lot.stage != "open":
            self.late += reply.ok
            return
        if reply.ok:
            self._keep_bid(lot, bidder, reply.body)
        elif reply.status is not None:
            lot.declined += 1
        self._settle(lot, bidder)

    def _keep_bid(self, lot: Lot, bidder: NodeId, statement: bytes) -> None:
        try:
            bid = lot.read_bid_untrusted(bidder, statement)
        except WireError:
            self.forged += 1
            return
        budget = lot.announcement.budget
        if not self._around.is_signed_by(bidder, BID, statement):
            self.forged += 1
        elif budget and bid.terms.price > budget:
            lot.declined += 1
        else:
            lot.bids[bidder] = bid

    def _settle(self, lot: Lot, bidder: NodeId) -> None:
        """No bid will come from this member any more; close once that holds for all."""
        lot.waiting.discard(bidder)
        if not lot.waiting:
            self._close(lot)

    def _close(self, lot: Lot) -> None:
        """No more bids: rank them and award the best."""
        if lot.stage != "open":
            return
        self._around.deadlines.cancel(lot.closing)
        try:
            lot.close()
        except Exception as error:  # noqa: BLE001  # a score of the user's may raise anything
            problem = UsageError(f"score= failed with {type(error).__name__}: {error}")
            problem.__cause__ = error
            self._finish(lot, error=problem)
            return
        self._award_next(lot)

    # -- Awarding

    def _award_next(self, lot: Lot) -> None:
        """Award the best bidder that was not tried; on disk first."""
        best = lot.next_bidder()
        if best is None:
            self._exhausted(lot)
            return
        score, winner = best
        epoch = self._epochs.advance(lot.task_id)
        statement = self._around.sign(AWARD, lot.draft_award(epoch, score, winner).to_fields())
        lot.award = AwardNote.read_untrusted(statement)
        lot.awards.append(statement)
        lot.claims = 0
        lot.stage = "writing"
        self._around.persist(
            *self._epochs.rows(lot.task_id, statement, keyed=bool(lot.announcement.key)),
            then=partial(self._send_award, lot, lot.award, statement),
        )

    def _send_award(
        self,
        lot: Lot,
        award: AwardNote,
        statement: bytes,
        ok: bool,  # noqa: FBT001  # called by position
        now: Seconds,
    ) -> None:
        if lot.stage != "writing" or lot.award is not award:
            return
        if not ok:
            problem = "nothing was awarded: it could not be written to disk"
            self._finish(lot, error=StateUnusable(problem))
        elif award.winner in lot.gone:
            self._award_next(lot)
        else:
            lot.stage = "awarded"
            # It has just bid, so it needs a round trip and a disk; connecting takes longer.
            patience = min(self._around.config.connect_timeout, lot.ends_at - now)
            self._around.ask(
                award.winner,
                AWARDED,
                codec.pack([statement, lot.body]),
                max(patience, 1 / _MILLISECONDS),
                partial(self._receive_acceptance, lot, award),
            )

    def _receive_acceptance(self, lot: Lot, award: AwardNote, reply: Reply, now: Seconds) -> None:
        if lot.stage != "awarded" or lot.award is not award:
            return
        if reply.ok and self._is_acceptance(award, reply.body):
            lot.stage = "running"
            self._tell_awarded(lot, award, reply.body)
            self._claim(lot, award, now)
        else:
            lot.declined += reply.status is not None
            lot.doubts += reply.status is None
            self._award_next(lot)

    def _is_acceptance(self, award: AwardNote, statement: bytes) -> bool:
        try:
            check_acceptance_untrusted(award, statement)
        except WireError:
            self.forged += 1
            return False
        genuine = self._around.is_signed_by(award.winner, ACCEPTANCE, statement)
        self.forged += not genuine
        return genuine

    def _tell_awarded(self, lot: Lot, award: AwardNote, acceptance: bytes) -> None:
        """The user hears of the first acceptance; who follows shows in the result."""
        if lot.result_number is not None:
            return
        lot.result_number = self._around.next_number()
        identity = self._around.identity
        people = [(identity.node_public, identity.chain)]
        people += filter(None, map(self._around.credential_of, lot.bids))
        transcript = lot.transcript(identity.keys.group_id, acceptance, people)
        name = self._around.name_of(award.winner)
        self._around.finish(lot.number, lot.award_data(award, lot.result_number, name, transcript))

    # -- The work

    def _claim(self, lot: Lot, award: AwardNote, now: Seconds) -> None:
        """Ask for the result; the winner answers when it is done."""
        lot.claims += 1
        self._around.ask(
            award.winner,
            CLAIM,
            codec.pack([award.task_id, award.epoch]),
            max(lot.ends_at - now, 1 / _MILLISECONDS),
            partial(self._receive_result, lot, award),
        )

    def _receive_result(self, lot: Lot, award: AwardNote, reply: Reply, now: Seconds) -> None:
        if lot.stage != "running" or lot.award is not award:
            return
        if reply.ok:
            try:
                self._conclude(lot, award, reply.body)
            except WireError:
                self.forged += 1
                self._replace(lot)
        elif reply.status is None and not reply.lost:
            pass  # its time is up together with the auction's
        elif reply.lost and lot.claims < _CLAIMS and now < lot.ends_at:
            self._claim(lot, award, now)
        else:
            self._replace(lot)

    def _replace(self, lot: Lot) -> None:
        """The winner will not tell what came out, though it may have begun."""
        lot.doubts += 1
        self._award_next(lot)

    def _conclude(self, lot: Lot, award: AwardNote, body: bytes) -> None:
        """The winner is done. Tell the user what came out.

        Raises:
            WireError: It is not the winner's signed result of this award.
        """
        statement, status, result = read_result_untrusted(award, body)
        if not self._around.is_signed_by(award.winner, RESULT, statement):
            raise WireError("a result with a forged signature")
        if status == 0:
            done = AwardResult(body=result, winner=award.winner, epoch=award.epoch)
            self._finish(lot, value=done)
        else:
            name = self._around.name_of(award.winner)
            self._finish(lot, error=read_error_untrusted(result, name))

    # -- The end

    def _exhausted(self, lot: Lot) -> None:
        """There is nobody left to award the task to."""
        error: Exception = NoBids(lot.announcement.capability, len(lot.asked), lot.declined)
        if lot.doubts and lot.award is not None:
            name = self._around.name_of(lot.award.winner)
            error = PeerLost(name, "and nobody is left who bid", maybe_executed=True)
        self._finish(lot, error=error)

    def _expire(self, lot: Lot, now: Seconds) -> None:
        what = f"the auction of {lot.announcement.capability!r}"
        waited, doubt = now - lot.began_at, lot.maybe_executed
        self._finish(lot, error=DeadlineExceeded(what, waited, maybe_executed=doubt))

    def _finish(self, lot: Lot, value: object = None, error: Exception | None = None) -> None:
        lot.stage = "over"
        del self._lots[lot.task_id]
        self._around.deadlines.cancel(lot.closing)
        self._around.deadlines.cancel(lot.ending)
        if not lot.announcement.key:
            self._epochs.forget(lot.task_id)
        number = lot.number if lot.result_number is None else lot.result_number
        self._around.finish(number, value, error)


def _winner(lot: Lot) -> NodeId | None:
    return lot.award.winner if lot.award else None
