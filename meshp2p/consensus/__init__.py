"""Deciding together: auctions of work, votes, and certificates that outlive both.

Checking a certificate needs nothing but this package and the mesh root's public key::

    from meshp2p.consensus import verify
    verdict = verify(Path("ship-it.cert").read_bytes(), root)
"""

from __future__ import annotations

from collections.abc import Collection

from meshp2p.consensus.ballot import Ballot, Elector, VoteCall
from meshp2p.consensus.certificate import Certificate, Verdict
from meshp2p.consensus.lot import AwardData, AwardResult
from meshp2p.consensus.offer import Bid, Offer, PlacedBid
from meshp2p.consensus.participant import METHODS, TABLES, Participant
from meshp2p.consensus.scoring import BidTerms, Policy
from meshp2p.consensus.surroundings import Answer, Ask, Finished, Output, Run
from meshp2p.consensus.transcript import Transcript
from meshp2p.consensus.vote import ElectorBallot, VoteResult
from meshp2p.errors import WireError

__all__ = [
    "METHODS",
    "TABLES",
    "Answer",
    "Ask",
    "AwardData",
    "AwardResult",
    "Ballot",
    "Bid",
    "BidTerms",
    "Certificate",
    "Elector",
    "ElectorBallot",
    "Finished",
    "Offer",
    "Output",
    "Participant",
    "PlacedBid",
    "Policy",
    "Run",
    "Transcript",
    "Verdict",
    "VoteCall",
    "VoteResult",
    "verify",
]


def verify(data: bytes, root: bytes | None, revoked: Collection[bytes] = ()) -> Verdict:
    """Judge a certificate as it is stored. Never raises, whatever `data` holds.

    Args:
        root: Ed25519 public key of the mesh root, 32 bytes, known from elsewhere.
        revoked: Node ids or node keys whose signatures count no more.
    """
    try:
        certificate = Certificate.from_bytes_untrusted(data)
    except WireError as error:
        return Verdict(valid=False, outcome=None, explanation=f"refused: {error}")
    return certificate.verify(root, revoked)
