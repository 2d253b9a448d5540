"""What follows the bids: award, acceptance, work and result, and whoever is next if one fails.

The owner of a task is the only one who writes its awards, so no agreement is needed:
epochs rise strictly, each is on disk before its award leaves, and each names one winner.
Whoever is lost, declines or stays silent is followed by the next best bid under the next
epoch; work that was already running may so run twice, told apart by the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from meshp2p.consensus.award import ACCEPTANCE, AWARD, RESULT, AwardNote
from meshp2p.consensus.epochs import Epochs
from meshp2p.consensus.lot import (
    AwardResult,
    Lot,
    check_acceptance_untrusted,
    read_error_untrusted,
    read_result_untrusted,
)
from meshp2p.consensus.surroundings import Reply, Surroundings
from meshp2p.errors import NoBids, PeerLost, StateUnusable, WireError
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import codec

AWARDED: Final = "!auction.award"
"""Body: [signed award, encoded arguments]. Answer: a signed acceptance, or refused."""

CLAIM: Final = "!auction.result"
"""Body: [task id, epoch]. Answer, once the work is done: [signed note, encoded result]."""

_MILLISECONDS: Final = 1_000
_CLAIMS: Final = 2
"""A connection that breaks while work is under way is tried once more."""

Finish: TypeAlias = Callable[[Lot, object, Exception | None], None]
"""A task is over: its result, or why there is none."""


class Awarding:
    """All awards of one owner."""

    def __init__(self, surroundings: Surroundings, epochs: Epochs, finish: Finish) -> None:
        """Nothing is awarded yet."""
        self.forged = 0
        """Acceptances and results that were forged, damaged, or of another task."""
        self._around = surroundings
        self._epochs = epochs
        self._finish = finish

    def member_lost(self, lot: Lot, member: NodeId) -> None:
        """Replace a winner that is gone."""
        award = lot.award
        if lot.stage in ("awarded", "running") and award is not None and award.winner == member:
            self._replace(lot)

    def award_next(self, lot: Lot) -> None:
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
            self._finish(lot, None, StateUnusable(problem))
        elif award.winner in lot.gone:
            self.award_next(lot)
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
            self.award_next(lot)

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
        self.award_next(lot)

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
            self._finish(lot, done, None)
        else:
            name = self._around.name_of(award.winner)
            self._finish(lot, None, read_error_untrusted(result, name))

    def _exhausted(self, lot: Lot) -> None:
        """There is nobody left to award the task to."""
        error: Exception = NoBids(lot.announcement.capability, len(lot.asked), lot.declined)
        if lot.doubts and lot.award is not None:
            name = self._around.name_of(lot.award.winner)
            error = PeerLost(name, "and nobody is left who bid", maybe_executed=True)
        self._finish(lot, None, error)
