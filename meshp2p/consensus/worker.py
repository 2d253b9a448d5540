"""Taking on what was won, doing it, and keeping the result ready for its owner.

An acceptance is a promise: it is on disk before it leaves, the work begins only then, and no
two awards of one epoch of a task are ever accepted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Final

import attrs

from meshp2p.consensus.award import (
    ACCEPTANCE,
    AWARD,
    RESULT,
    AcceptanceNote,
    AwardNote,
    ResultNote,
    read_claim_untrusted,
    slot_of,
)
from meshp2p.consensus.bidder import Bidder, OpenOffer
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES, Fields, digest
from meshp2p.consensus.offer import MAX_SPEC
from meshp2p.consensus.surroundings import FAILED, Surroundings
from meshp2p.effects import Record
from meshp2p.errors import StateUnusable, WireError
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import codec, limits

ACCEPTANCES: Final = "auction.accept"
"""Journal: task id and epoch to [hash of the award, signed acceptance]."""


@attrs.define(eq=False, kw_only=True)
class _Work:
    """An award that this node has decided to accept.

    Args:
        award_ticket: Whoever is to get the acceptance once it is on disk.
        claim_ticket: Whoever is to get the result once it is there.
        outcome: [signed note, encoded result], once the handler is done.
    """

    award: AwardNote
    capability: str
    body: bytes
    acceptance: bytes
    ends_at: Seconds
    award_ticket: int | None
    ending: int = 0
    on_disk: bool = False
    claim_ticket: int | None = None
    outcome: bytes | None = None


class Worker:
    """This node as the winner of work of its mesh, its own included."""

    def __init__(
        self,
        surroundings: Surroundings,
        bidder: Bidder,
        stored: Mapping[tuple[str, bytes], bytes],
    ) -> None:
        """Remember what was accepted in earlier lives; that work is lost.

        Args:
            bidder: Knows what this node has bid on; nothing else can be won.

        Raises:
            StateUnusable: The journal holds something else.
        """
        self.contradictions = 0
        """Second, different awards for an epoch already accepted: their owner lies."""
        self._around = surroundings
        self._bidder = bidder
        self._work: OrderedDict[bytes, _Work] = OrderedDict()
        self._accepted: OrderedDict[bytes, bytes] = OrderedDict()
        self._forgotten: list[bytes] = []
        self._results_size = 0
        for (table, slot), value in stored.items():
            if table == ACCEPTANCES:
                self._accepted[slot] = _read_slot(value)

    # -- Winning

    def receive_award_untrusted(self, ticket: int, peer: NodeId, body: bytes) -> None:
        """Accept or decline an award.

        Raises:
            Nothing: what is wrong becomes the answer.
        """
        try:
            statement, arguments = _read_parcel(body)
            award = AwardNote.read_untrusted(statement)
            self._check_award(award, peer, statement)
            self._consider(ticket, award, arguments)
        except WireError as error:
            self._around.refuse(ticket, str(error))

    def _check_award(self, award: AwardNote, peer: NodeId, statement: bytes) -> None:
        if award.owner != peer or not self._around.is_signed_by(peer, AWARD, statement):
            raise WireError("the award was not signed by whoever sent it")
        if award.winner != self._around.identity.node_id:
            raise WireError("the award is somebody else's")

    def _consider(self, ticket: int, award: AwardNote, arguments: bytes) -> None:
        slot = slot_of(award.task_id, award.epoch)
        work = self._work.get(slot)
        if work is not None and work.award.hash == award.hash:
            self._accept_again(ticket, work)
            return
        if slot in self._accepted:
            self.contradictions += self._accepted[slot] != award.hash
            raise WireError("this node has accepted this epoch before; it may have run")
        offer = self._bidder.find(award.announcement)
        if offer is None or offer.bid is None or offer.bid.hash != award.bid:
            raise WireError("this node has no such bid")
        announcement = offer.announcement
        if award.owner != announcement.owner:  # whoever once won a task knows enough to try
            raise WireError("the work was offered by somebody else")
        terms = (announcement.task_id, announcement.spec_hash, offer.bid.terms.price)
        if (award.task_id, award.spec_hash, award.price) != terms:
            raise WireError("the award differs from what was offered")
        if award.epoch < announcement.epoch or digest(arguments) != award.spec_hash:
            raise WireError("the award is out of date, or not of these arguments")
        if len(self._work) >= limits.MAX_OPEN_AUCTIONS and not self._drop_done():
            raise WireError("this node has taken on too much")
        self._bidder.forget(award.announcement)
        self._accept(ticket, award, offer, arguments)

    def _accept(self, ticket: int, award: AwardNote, offer: OpenOffer, arguments: bytes) -> None:
        """Promise it: sign, write, and only then answer and begin."""
        slot = slot_of(award.task_id, award.epoch)
        note = AcceptanceNote(
            task_id=award.task_id, epoch=award.epoch, winner=award.winner, award=award.hash
        )
        acceptance = self._around.sign(ACCEPTANCE, note.to_fields())
        work = _Work(
            award=award,
            capability=offer.announcement.capability,
            body=arguments,
            acceptance=acceptance,
            ends_at=offer.ends_at,
            award_ticket=ticket,
        )
        self._work[slot] = work
        self._accepted[slot] = award.hash
        if len(self._accepted) > limits.MAX_KEPT_AWARDS:
            self._forgotten.append(self._accepted.popitem(last=False)[0])
        old = [Record(ACCEPTANCES, key, None) for key in self._forgotten]
        self._forgotten = []
        row = codec.pack([FORMAT, award.hash, acceptance])
        self._around.persist(
            *old, Record(ACCEPTANCES, slot, row), then=partial(self._begin, slot, work)
        )
        forget = partial(self._let_go, slot, work)
        work.ending = self._around.deadlines.call_at(work.ends_at, forget)

    def _accept_again(self, ticket: int, work: _Work) -> None:
        """The same award came twice: the same bytes answer it."""
        if work.on_disk:
            self._around.answer(ticket, work.acceptance)
            return
        if work.award_ticket is not None:
            self._around.refuse(work.award_ticket, "the same was awarded again")
        work.award_ticket = ticket

    def _begin(
        self,
        slot: bytes,
        work: _Work,
        ok: bool,  # noqa: FBT001  # called by position
        _now: Seconds,
    ) -> None:
        if self._work.get(slot) is not work:
            return  # its deadline passed while the disk was busy
        ticket, work.award_ticket = work.award_ticket, None
        if not ok:
            # The slot stays taken: the disk may hold the acceptance in spite of all.
            del self._work[slot]
            self._around.deadlines.cancel(work.ending)
            if ticket is not None:
                self._around.refuse(ticket, "the acceptance could not be written to disk")
            return
        work.on_disk = True
        if ticket is not None:
            self._around.answer(ticket, work.acceptance)
        self._around.run(
            work.capability,
            work.body,
            work.ends_at,
            work.award.owner,
            partial(self._done, slot, work),
            context={"token": work.award.epoch, "key": work.award.task_id.hex()},
        )
        work.body = b""  # the handler has it now

    # -- The result

    def receive_claim_untrusted(self, ticket: int, peer: NodeId, body: bytes) -> None:
        """Give the owner its result, now or when it is there.

        Raises:
            Nothing: what is wrong becomes the answer.
        """
        try:
            slot = read_claim_untrusted(Fields(codec.unpack_list_untrusted(body, at_least=2)))
        except WireError as error:
            self._around.refuse(ticket, str(error))
            return
        work = self._work.get(slot)
        if work is None or work.award.owner != peer or not work.on_disk:
            self._around.refuse(ticket, "this node has no such work of yours")
        elif work.outcome is not None:
            self._around.answer(ticket, work.outcome)
        else:
            if work.claim_ticket is not None:
                self._around.refuse(work.claim_ticket, "the same was asked again")
            work.claim_ticket = ticket

    def _done(self, slot: bytes, work: _Work, status: int, body: bytes, _now: Seconds) -> None:
        """The handler has returned or raised."""
        if self._work.get(slot) is not work:
            return
        if len(body) > MAX_SPEC:
            error = f"a result of {len(body)} bytes; {MAX_SPEC} are allowed"
            status, body = FAILED, codec.pack(["ResultError", error, None])
        note = ResultNote(
            task_id=work.award.task_id,
            epoch=work.award.epoch,
            worker=work.award.winner,
            status=status,
            result=digest(body),
            cost=work.award.price,
        )
        outcome = codec.pack([self._around.sign(RESULT, note.to_fields()), body])
        while self._results_size + len(outcome) > limits.MAX_KEPT_RESULTS and self._drop_done():
            pass
        work.outcome = outcome
        self._results_size += len(outcome)
        if work.claim_ticket is not None:
            self._around.answer(work.claim_ticket, outcome)
            work.claim_ticket = None

    def _drop_done(self) -> bool:
        """Forget the oldest result; False if there is none."""
        for slot, work in self._work.items():
            if work.outcome is not None:
                self._let_go(slot, work)
                return True
        return False

    def _let_go(self, slot: bytes, work: _Work, _now: Seconds = 0.0) -> None:
        """Nobody will want this result any more."""
        if self._work.get(slot) is not work:
            return
        del self._work[slot]
        self._around.deadlines.cancel(work.ending)
        self._results_size -= len(work.outcome or b"")
        for ticket in (work.award_ticket, work.claim_ticket):
            if ticket is not None:
                self._around.refuse(ticket, "its deadline has passed")
        work.award_ticket = work.claim_ticket = None


def _read_parcel(body: bytes) -> tuple[bytes, bytes]:
    """The signed award and the encoded arguments."""
    fields = Fields(codec.unpack_list_untrusted(body, at_least=2))
    return fields.octets_up_to(limits.MAX_SIGNED), fields.octets_up_to(MAX_SPEC)


def _read_slot(value: bytes) -> bytes:
    try:
        fields = Fields(codec.unpack_list_untrusted(value, at_least=3))
        fields.integer(FORMAT, FORMAT)
        return fields.octets(HASH_BYTES)
    except WireError as error:
        raise StateUnusable(f"the journal's acceptances are damaged: {error}") from error
