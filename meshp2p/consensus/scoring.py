"""Which bid is best: integers only, so that anyone who holds the bids finds the same winner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import attrs

from meshp2p.consensus.envelope import PPM, Fields, digest
from meshp2p.errors import WireError
from meshp2p.ids import NodeId
from meshp2p.wire.codec import Value

WEIGHTED: Final = "weighted/1"
"""Name of the policy below."""

OWNERS_CHOICE: Final = "owner's choice"
"""The owner scored with a function of its own: nobody else can repeat it."""

_MAX_WEIGHT: Final = 1_000_000
_MAX_POLICY_NAME: Final = 32


@attrs.frozen(kw_only=True)
class BidTerms:
    """The numbers of a bid.

    Args:
        price: In the unit of owner and bidders.
        eta_ms: Milliseconds; 0 for "not said".
        load: Calls that the bidder was running.
        match_ppm: How well its capability fits, in millionths.
    """

    price: int = 0
    eta_ms: int = 0
    quality_ppm: int = PPM
    confidence_ppm: int = PPM
    load: int = 0
    match_ppm: int = PPM

    def to_fields(self) -> list[Value]:
        """In the order of the fields."""
        return list(attrs.astuple(self))

    @classmethod
    def read_untrusted(cls, fields: Fields) -> BidTerms:
        """Read what `to_fields` wrote.

        Raises:
            WireError: It did not.
        """
        return cls(
            price=fields.integer(),
            eta_ms=fields.integer(),
            quality_ppm=fields.integer(0, PPM),
            confidence_ppm=fields.integer(0, PPM),
            load=fields.integer(),
            match_ppm=fields.integer(0, PPM),
        )


class Scorable(Protocol):
    """A bid, as far as scoring is concerned."""

    @property
    def bidder(self) -> NodeId:
        """Who made it."""
        ...

    @property
    def terms(self) -> BidTerms:
        """What it says."""
        ...


Score: TypeAlias = Callable[[Scorable], int]
"""A user's own score; higher is better."""


@attrs.frozen(kw_only=True)
class Policy:
    """How much each virtue of a bid counts.

    The defaults put a third on fitting, a third on being cheap and idle, a third on
    being quick and good. They are a starting point, not a finding; only ratios matter.

    Args:
        name: `WEIGHTED`, or `OWNERS_CHOICE`, with which the weights mean nothing.
    """

    match: int = 30
    load: int = 15
    price: int = 20
    eta: int = 15
    quality: int = 15
    confidence: int = 5
    name: str = WEIGHTED

    def to_fields(self) -> list[Value]:
        """[name, match, load, price, eta, quality, confidence]."""
        weights: list[Value] = [self.match, self.load, self.price]
        return [self.name, *weights, self.eta, self.quality, self.confidence]

    @classmethod
    def read_untrusted(cls, fields: Fields) -> Policy:
        """Read what `to_fields` wrote.

        Raises:
            WireError: It did not.
        """
        name = fields.text(_MAX_POLICY_NAME)
        match, load, price, eta, quality, confidence = (
            fields.integer(0, _MAX_WEIGHT) for _ in range(6)
        )
        policy = cls(
            match=match,
            load=load,
            price=price,
            eta=eta,
            quality=quality,
            confidence=confidence,
            name=name,
        )
        if not policy.total:
            raise WireError("a policy in which nothing counts")
        return policy

    @property
    def total(self) -> int:
        """Of all weights."""
        return self.match + self.load + self.price + self.eta + self.quality + self.confidence

    def score(self, terms: BidTerms, *, cheapest: int, quickest: int) -> int:
        """A bid's score among its rivals, 0 to 1,000,000.

        Twice the cheapest price earns half the points for price, likewise time and
        load. Whoever does not say how long it takes earns half the points for time.

        Args:
            cheapest: Lowest price among all bids.
            quickest: Shortest `eta_ms` among the bids that state one.
        """
        in_time = PPM * (quickest + 1) // (terms.eta_ms + 1) if terms.eta_ms else PPM // 2
        points = (
            self.match * terms.match_ppm
            + self.load * (PPM // (1 + terms.load))
            + self.price * (PPM * (cheapest + 1) // (terms.price + 1))
            + self.eta * in_time
            + self.quality * terms.quality_ppm
            + self.confidence * terms.confidence_ppm
        )
        return points // self.total


def rank(
    bids: Sequence[Scorable],
    policy: Policy,
    task_id: bytes,
    epoch: int,
    own_score: Score | None = None,
) -> list[tuple[int, NodeId]]:
    """Scores and bidders, the best first.

    Equal scores are ordered by SHA-256(task id, epoch as 8 bytes, bidder), so that no
    member wins all ties and the owner cannot choose among them.
    """
    cheapest = min((bid.terms.price for bid in bids), default=0)
    quickest = min((bid.terms.eta_ms for bid in bids if bid.terms.eta_ms), default=0)
    scored = [
        (
            own_score(bid)
            if own_score is not None
            else policy.score(bid.terms, cheapest=cheapest, quickest=quickest),
            bid.bidder,
        )
        for bid in bids
    ]
    prefix = task_id + epoch.to_bytes(8, "big")
    return sorted(scored, key=lambda entry: (-entry[0], digest(prefix + entry[1])))
