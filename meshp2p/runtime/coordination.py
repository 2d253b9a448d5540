"""Users' bids and ballots to and from what the consensus machines read."""

from __future__ import annotations

from typing import Any

from meshp2p.consensus import Ballot, Bid, Offer, VoteCall
from meshp2p.errors import UsageError
from meshp2p.wire import codec


def read_offer(body: Any) -> Offer:  # noqa: ANN401  # decoded, not yet checked
    """What an `on_bid` handler is given."""
    return Offer.from_body(body)


def read_vote_call(body: Any) -> VoteCall:  # noqa: ANN401  # decoded, not yet checked
    """What an `on_vote` handler is given."""
    return VoteCall.from_body(body)


def write_bid(answer: object) -> bytes:
    """What an `on_bid` handler returned.

    Raises:
        UsageError: Neither a Bid nor None.
    """
    if answer is None:
        return codec.pack(None)
    if isinstance(answer, Bid):
        return codec.pack(answer.to_body())
    raise UsageError(f"on_bid returned {answer!r}; allowed are Bid(...) and None (no bid)")


def write_ballot(answer: object) -> bytes:
    """What an `on_vote` handler returned.

    Raises:
        UsageError: Neither an option, a Ballot nor None.
    """
    if answer is None:
        return codec.pack(None)
    if isinstance(answer, str):
        answer = Ballot(answer)
    if isinstance(answer, Ballot):
        return codec.pack(answer.to_body())
    raise UsageError(
        f"on_vote returned {answer!r}; allowed are one of the options, Ballot(...) and None"
    )
