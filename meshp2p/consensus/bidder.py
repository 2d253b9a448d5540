"""Bidding for the work of others: their offers, what the user's bidder says, signed bids.

A bid promises nothing; what it wins is taken on in `worker.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import attrs

from meshp2p.consensus.offer import (
    ANNOUNCEMENT,
    BID,
    Announcement,
    Bid,
    Offer,
    PlacedBid,
)
from meshp2p.consensus.scoring import BidTerms
from meshp2p.consensus.surroundings import OK, Surroundings
from meshp2p.errors import WireError
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import codec, limits


@attrs.define(eq=False, kw_only=True)
class OpenOffer:
    """An offer of somebody's that this node is thinking about or has bid on."""

    announcement: Announcement
    ends_at: Seconds
    bid: PlacedBid | None = None
    ending: int = 0


class Bidder:
    """This node as a bidder for work of its mesh, its own included."""

    def __init__(self, surroundings: Surroundings) -> None:
        """No offer yet."""
        self._around = surroundings
        self._open: OrderedDict[bytes, OpenOffer] = OrderedDict()

    def find(self, announcement: bytes) -> OpenOffer | None:
        """The offer with this hash, if it still stands."""
        return self._open.get(announcement)

    def forget(self, announcement: bytes, _now: Seconds = 0.0) -> None:
        """It was won, or is over."""
        offer = self._open.pop(announcement, None)
        if offer is not None:
            self._around.deadlines.cancel(offer.ending)

    def receive_offer_untrusted(
        self, ticket: int, peer: NodeId, statement: bytes, *, now: Seconds
    ) -> None:
        """Consider an offer; the ticket is answered when the user's bidder has spoken.

        Raises:
            Nothing: what is wrong becomes the answer.
        """
        try:
            announcement = self._read_offer(peer, statement)
        except WireError as error:
            self._around.refuse(ticket, str(error))
            return
        known = self._open.get(announcement.hash)
        if known is not None:
            self._answer_again(ticket, known)
            return
        if not self._make_room():
            self._around.refuse(ticket, "this node is thinking about too many offers")
            return
        offer = OpenOffer(announcement=announcement, ends_at=now + announcement.deadline)
        self._open[announcement.hash] = offer
        forget = partial(self.forget, announcement.hash)
        offer.ending = self._around.deadlines.call_at(offer.ends_at, forget)
        self._think(ticket, offer, now)

    def _read_offer(self, peer: NodeId, statement: bytes) -> Announcement:
        if not self._around.identity.may_promise:
            raise WireError("this node keeps no journal, so it may not bid")
        announcement = Announcement.read_untrusted(statement)
        if announcement.owner != peer:
            raise WireError("the offer was signed by somebody else")
        if not self._around.is_signed_by(peer, ANNOUNCEMENT, statement):
            raise WireError("the offer has a forged signature, or its owner is unknown here")
        return announcement

    def _answer_again(self, ticket: int, offer: OpenOffer) -> None:
        if offer.bid is None:
            self._around.refuse(ticket, "this node is still thinking about it, or did not bid")
        else:
            self._around.answer(ticket, offer.bid.statement)

    def _make_room(self) -> bool:
        """The oldest bid goes: it is no promise, and most do not win. False if none can."""
        if len(self._open) < limits.MAX_OPEN_OFFERS:
            return True
        oldest = next((key for key, offer in self._open.items() if offer.bid), None)
        if oldest is not None:
            self.forget(oldest)
        return oldest is not None

    def _think(self, ticket: int, offer: OpenOffer, now: Seconds) -> None:
        announcement = offer.announcement
        load = self._around.load()
        shown = Offer(
            capability=announcement.capability,
            size=announcement.size,
            deadline_ms=announcement.deadline_ms,
            owner=announcement.owner,
            owner_handle=self._around.handle_of(announcement.owner),
            my_load=load,
            budget=announcement.budget,
        )
        self._around.run(
            "?bid",
            codec.pack(shown.to_body()),
            now + announcement.close_ms / 1_000,
            announcement.owner,
            partial(self._place, ticket, offer, load),
        )

    def _place(
        self, ticket: int, offer: OpenOffer, load: int, status: int, body: bytes, _now: Seconds
    ) -> None:
        """The user's bidder has answered: nil for no bid, else a list as of `Bid.to_body`."""
        announcement = offer.announcement
        try:
            value = codec.unpack_untrusted(body) if status == OK else None
            wanted = Bid.from_body(value) if value is not None else None
        except WireError:
            wanted = None
        if wanted is None or announcement.hash not in self._open:
            self.forget(announcement.hash)
            self._around.refuse(ticket, "no bid" if status == OK else "its bidder failed")
            return
        terms = BidTerms(**attrs.asdict(wanted), load=load)
        bid = PlacedBid(
            task_id=announcement.task_id,
            epoch=announcement.epoch,
            bidder=self._around.identity.node_id,
            announcement=announcement.hash,
            terms=terms,
            valid_ms=announcement.deadline_ms,
        )
        statement = self._around.sign(BID, bid.to_fields())
        offer.bid = PlacedBid.read_untrusted(statement)
        self._around.answer(ticket, statement)
