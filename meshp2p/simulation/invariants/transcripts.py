"""A9: whoever is shown the record of an auction can check alone that everybody in it signed."""

from __future__ import annotations

from collections.abc import Iterator

from meshp2p.consensus import AwardData
from meshp2p.consensus.award import ACCEPTANCE, AWARD
from meshp2p.consensus.envelope import is_signed_by
from meshp2p.consensus.offer import ANNOUNCEMENT, BID, PlacedBid
from meshp2p.consensus.transcript import Transcript
from meshp2p.events import CallFinished
from meshp2p.ids import NodeId
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.invariants.overheard import silent


class Signed(Invariant):
    """A9: offer, bids, awards and acceptance bear their authors' signatures, after a journey."""

    name = "A9"
    promise = "The record of an auction proves who bid, who won and that the winner accepted."

    def __init__(self, lookout: Lookout) -> None:
        """Be told of awards when their owners are."""
        super().__init__(lookout)
        self._crypto = silent(self.world.crypto)
        lookout.hear(CallFinished, self._finished)

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        if not isinstance(event.value, AwardData):
            return
        transcript = Transcript.from_bytes_untrusted(event.value.transcript.to_bytes())
        for signer, kind, statement in _statements(transcript, outlook.node.id, event.value):
            key, _ = transcript.people.get(signer, (b"", b""))
            signed = (key, kind, transcript.group_id, statement)
            if not key or not is_signed_by(self._crypto, *signed):
                who = self.call(signer)
                text = f"{outlook.name} was told of the {kind} of {who}, who did not sign it"
                self.violate(text, outlook.name, who)


def _statements(
    transcript: Transcript, owner: NodeId, data: AwardData
) -> Iterator[tuple[NodeId, str, bytes]]:
    """Who should have signed what, of which kind."""
    yield owner, ANNOUNCEMENT, transcript.announcement
    for bid in transcript.bids:
        yield PlacedBid.read_untrusted(bid).bidder, BID, bid
    for award in transcript.awards:
        yield owner, AWARD, award
    yield data.winner, ACCEPTANCE, transcript.acceptance
