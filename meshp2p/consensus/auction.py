"""Auctioning work off: announce it, collect bids, rank them; `awarding` goes on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import attrs

from meshp2p.consensus.awarding import Awarding
from meshp2p.consensus.envelope import digest
from meshp2p.consensus.epochs import Epochs
from meshp2p.consensus.lot import Lot, check_may_be_held
from meshp2p.consensus.offer import ANNOUNCEMENT, BID, NONCE_BYTES, Announcement
from meshp2p.consensus.scoring import OWNERS_CHOICE, Policy, Score
from meshp2p.consensus.surroundings import Reply, Surroundings
from meshp2p.errors import DeadlineExceeded, UsageError, WireError
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

OFFER: Final = "!auction.offer"
"""Body: a signed announcement. Answer: a signed bid, or refused: no bid."""

DEFAULT_BIDDERS: Final = 8
"""Members asked when nobody says how many."""

_MILLISECONDS: Final = 1_000


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
        self._around = surroundings
        self._lots: dict[bytes, Lot] = {}
        self._epochs = Epochs(stored)
        self._awarding = Awarding(surroundings, self._epochs, self._finish)
        self._forged_bids = 0

    @property
    def forged(self) -> int:
        """Bids, acceptances and results that were forged, damaged, or of another task."""
        return self._forged_bids + self._awarding.forged

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

    def cancel(self, number: int) -> None:
        """The user waits no more: without an award there is none; one that is made stands.

        Bidders hear nothing, as when somebody else wins.
        """
        for lot in list(self._lots.values()):
            if lot.number == number and lot.stage == "open":
                self._remove(lot)

    def member_lost(self, member: NodeId) -> None:
        """Wait no longer for a member that is gone; replace it where it had won."""
        for lot in list(self._lots.values()):
            if member not in lot.asked:
                continue
            lot.gone.add(member)
            if lot.stage == "open":
                self._settle(lot, member)
            else:
                self._awarding.member_lost(lot, member)

    def close(self, error: Exception) -> None:
        """Hold none any more: each ends with this error, and no further award is made."""
        for lot in list(self._lots.values()):
            self._finish(lot, error=error)

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
            self._forged_bids += 1
            return
        budget = lot.announcement.budget
        if not self._around.is_signed_by(bidder, BID, statement):
            self._forged_bids += 1
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
        self._awarding.award_next(lot)

    def _expire(self, lot: Lot, now: Seconds) -> None:
        what = f"the auction of {lot.announcement.capability!r}"
        waited, doubt = now - lot.began_at, lot.maybe_executed
        self._finish(lot, error=DeadlineExceeded(what, waited, maybe_executed=doubt))

    def _finish(self, lot: Lot, value: object = None, error: Exception | None = None) -> None:
        self._remove(lot)
        number = lot.number if lot.result_number is None else lot.result_number
        self._around.finish(number, value, error)

    def _remove(self, lot: Lot) -> None:
        lot.stage = "over"
        del self._lots[lot.task_id]
        self._around.deadlines.cancel(lot.closing)
        self._around.deadlines.cancel(lot.ending)
        if not lot.announcement.key:
            self._epochs.forget(lot.task_id)
