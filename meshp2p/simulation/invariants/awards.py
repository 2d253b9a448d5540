"""A0: whoever gets the work made the best bid; the bids are ranked again, from nothing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import attrs

from meshp2p.consensus import AwardData
from meshp2p.consensus.award import AwardNote
from meshp2p.consensus.envelope import PPM
from meshp2p.consensus.lot import Lot
from meshp2p.consensus.offer import BID, Announcement, PlacedBid
from meshp2p.consensus.scoring import OWNERS_CHOICE, BidTerms, Policy
from meshp2p.effects import Persist
from meshp2p.errors import NoBids, PeerLost, WireError
from meshp2p.events import CallFinished, MemberEvent
from meshp2p.identity.keys import SIGNATURE_BYTES
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.invariants.statement import awards_in

_GROUP_BYTES: Final = 16
_SIGNED: Final = b"meshp2p/" + BID.encode() + b"/1\0"
"""How what a bidder signs begins."""

_Life: TypeAlias = tuple[str, int]
_Rank: TypeAlias = tuple[int, NodeId]
"""A score and whose bid it is of."""


@attrs.define(eq=False)
class _Sale:
    """One auction of one life: its bids, the best first, and how far down its awards have come."""

    lot: Lot
    order: list[_Rank]
    bids: dict[NodeId, PlacedBid]
    place: int = 0
    notes: list[AwardNote] = attrs.field(factory=list)


class BestBid(Invariant):
    """A0: each award goes to the best valid bid by the scoring policy that was announced.

    Valid is a bid whose signature the owner checked while the auction was open, within the
    budget. A better one is passed over only if it was tried, or if its bidder was lost.
    """

    name = "A0"
    promise = "Work goes to the best bid by the announced rules; to the next if that one is lost."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing was offered."""
        super().__init__(lookout)
        self._sales: dict[_Life, dict[int, _Sale]] = {}
        self._heard: defaultdict[tuple[_Life, int], dict[NodeId, PlacedBid]] = defaultdict(dict)
        self._open: dict[tuple[_Life, int], Lot] = {}
        """Auctions for which a bid was heard."""
        self._lost: defaultdict[_Life, dict[NodeId, Seconds]] = defaultdict(dict)
        lookout.ears.on_belief.append(self._belief)
        lookout.hear(MemberEvent, self._event)
        lookout.hear(Persist, self._persist)
        lookout.hear(CallFinished, self._finished)

    def _belief(self, believer: NodeId, _public: bytes, data: bytes) -> None:
        if not data.startswith(_SIGNED):
            return
        node = self.lookout.node_of(believer)
        payload = data[len(_SIGNED) + _GROUP_BYTES :]
        try:
            bid = PlacedBid.read_untrusted(payload + bytes(SIGNATURE_BYTES))
        except WireError:
            return  # signed nonsense: whoever reads it refuses it
        if node is None or not node.is_running:
            return
        for lot in inside.lots_of(node.engine):
            if lot.announcement.hash == bid.announcement:
                auction = (node.name, node.life), lot.number
                self._heard[auction][bid.bidder] = bid
                self._open[auction] = lot

    def _event(self, outlook: Outlook, event: MemberEvent) -> None:
        if event.name in ("member.failed", "member.left"):
            self._lost[outlook.name, outlook.life][NodeId(event.member.id)] = outlook.now

    # --- awards ------------------------------------------------------------------------

    def _persist(self, outlook: Outlook, effect: Persist) -> None:
        for _, award in awards_in(effect):
            self._awarded(outlook, award)

    def _awarded(self, outlook: Outlook, award: AwardNote) -> None:
        """Written down: before anybody is told of it."""
        for lot in inside.lots_of(outlook.engine):
            if lot.announcement.hash == award.announcement:
                sale = self._sale(outlook, lot)
                sale.notes.append(award)
                if lot.announcement.policy.name != OWNERS_CHOICE:
                    self._judge(outlook, sale, award)

    def _sale(self, outlook: Outlook, lot: Lot) -> _Sale:
        """An auction as it stands at its first award: from then on no bid counts."""
        life = (outlook.name, outlook.life)
        sales = self._sales.setdefault(life, {})
        if lot.number not in sales:
            offer, heard = lot.announcement, self._heard.pop((life, lot.number), {})
            bids = {
                bidder: bid
                for bidder, bid in heard.items()
                if not offer.budget or bid.terms.price <= offer.budget
            }
            sales[lot.number] = _Sale(lot, _ranked(offer, bids.values()), bids)
        return sales[lot.number]

    def _judge(self, outlook: Outlook, sale: _Sale, award: AwardNote) -> None:
        """The award goes to the best bid of those who are left."""
        who, place = outlook.name, sale.place
        won = (award.score, award.winner)
        if won not in sale.order[place:]:
            text = f"{who} awards work to {self.call(award.winner)} with score {award.score}, of "
            self.violate(text + self._names(sale.order[place:]), who)
        sale.place = sale.order.index(won, place) + 1
        lost = self._lost[outlook.name, outlook.life]
        for score, bidder in sale.order[place : sale.place - 1]:
            if lost.get(bidder, -1.0) < sale.lot.began_at:
                text = f"{who} passes over {self.call(bidder)}, whose bid scores {score}, for "
                self.violate(text + f"{self.call(award.winner)} with {award.score}", who)
        bid = sale.bids[award.winner]
        if (award.price, award.bid) != (bid.terms.price, hashlib.sha256(_payload(bid)).digest()):
            self.violate(f"{who} awards something that {self.call(award.winner)} did not bid", who)

    def _names(self, order: Sequence[_Rank]) -> str:
        return ", ".join(f"{self.call(bidder)} {score}" for score, bidder in order) or "nobody"

    # --- what the user is told -----------------------------------------------------------

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        data = event.value
        if not isinstance(data, AwardData):
            return
        who = outlook.name
        sale = self._sales.get((who, outlook.life), {}).get(event.number)
        if sale is None or not sale.notes:
            self.violate(f"{who} was told of an award that was never written", who)
        last = sale.notes[-1]
        told = (data.winner, data.epoch, data.price, data.score)
        if told != (last.winner, last.epoch, last.price, last.score):
            self.violate(f"{who} was told of another award than it made", who)
        ranked = [bidder for _, bidder in sale.order]
        shown = [bid.bidder for bid in data.bids]
        if shown != ranked and sale.lot.announcement.policy.name != OWNERS_CHOICE:
            text = f"{who} was told of the bids of {len(shown)} members in another order, or of "
            self.violate(f"{text}others, than its policy gives: {self._names(sale.order)}", who)
        listed = {PlacedBid.read_untrusted(each).bidder for each in data.transcript.bids}
        if listed != set(sale.bids):
            self.violate(f"a transcript of {who} leaves bids out, or makes some up", who)


class NextBest(BestBid):
    """A0, its end: an auction fails only when every valid bidder was tried, or lost."""

    name = "next-best"
    promise = "If the winner declines, falls silent or is lost, whoever bid next best is asked."

    def _judge(self, outlook: Outlook, sale: _Sale, award: AwardNote) -> None:
        """The order of awards is another promise."""

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        sale = self._ended(outlook, event.number)
        if sale is None or not isinstance(event.error, NoBids | PeerLost):
            return
        tried = {note.winner for note in sale.notes}
        lost = self._lost[outlook.name, outlook.life]
        for score, bidder in sale.order:
            if bidder not in tried and lost.get(bidder, -1.0) < sale.lot.began_at:
                who, other = outlook.name, self.call(bidder)
                text = f"an auction of {who} ended ({event.error!s:.60}), though {other}, whose "
                self.violate(f"{text}bid scores {score}, was not asked", who, other)

    def _ended(self, outlook: Outlook, number: int) -> _Sale | None:
        """The auction that ended under that number; None if bids are ranked by its owner."""
        life = (outlook.name, outlook.life)
        lot = self._open.get((life, number))
        if lot is None:
            sold = self._sales.get(life, {}).values()
            lot = next((sale.lot for sale in sold if sale.lot.result_number == number), None)
        if lot is None or lot.announcement.policy.name == OWNERS_CHOICE:
            return None
        return self._sale(outlook, lot)


def _ranked(offer: Announcement, bids: Iterable[PlacedBid]) -> list[_Rank]:
    """All that can win, the best first, by the words of the policy `weighted/1`."""
    by_bidder = {bid.bidder: bid.terms for bid in bids}
    scores = {each: _score(offer.policy, each, by_bidder) for each in by_bidder}
    tie = offer.task_id + offer.epoch.to_bytes(8, "big")
    order = sorted(by_bidder, key=lambda each: hashlib.sha256(tie + each).digest())
    order.sort(key=scores.__getitem__, reverse=True)
    return [(scores[each], each) for each in order if scores[each] >= offer.reserve]


def _score(policy: Policy, bidder: NodeId, terms: dict[NodeId, BidTerms]) -> int:
    """Weighted shares of a million, rounded down; the cheapest and the quickest earn it all."""
    own = terms[bidder]
    cheapest = min(each.price for each in terms.values())
    stated = [each.eta_ms for each in terms.values() if each.eta_ms]
    earned = {
        "match": own.match_ppm,
        "load": PPM // (own.load + 1),
        "price": PPM * (cheapest + 1) // (own.price + 1),
        "eta": PPM * (min(stated) + 1) // (own.eta_ms + 1) if own.eta_ms else PPM // 2,
        "quality": own.quality_ppm,
        "confidence": own.confidence_ppm,
    }
    weights = {name: int(getattr(policy, name)) for name in earned}
    return sum(weights[name] * earned[name] for name in earned) // sum(weights.values())


def _payload(bid: PlacedBid) -> bytes:
    """What its bidder signed."""
    return bid.statement[:-SIGNATURE_BYTES]
