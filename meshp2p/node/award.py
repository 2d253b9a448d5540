"""What an auction gives: who won, why, and the result once it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from meshp2p.consensus import AwardData, PlacedBid, Transcript
from meshp2p.events import CallFinished
from meshp2p.ids import Seconds, show_id
from meshp2p.node.verbs import read_award_result


@attrs.frozen(kw_only=True)
class _Awarded:
    """What is known of every award.

    Args:
        winner: Its handle, or the beginning of its id.
        winner_id: Its id, 26 letters and digits.
        epoch: Fencing token: a later award of the same task has a higher one.
        score: Of the winning bid; higher is better.
        bids: All bids in time, the best first.
        transcript: Proves the auction to others.
    """

    winner: str
    winner_id: str
    epoch: int
    price: int
    score: int
    bids: tuple[PlacedBid, ...]
    transcript: Transcript = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Award(_Awarded):
    """An accepted award; `result` blocks."""

    _wait: Callable[[Seconds | None], CallFinished] = attrs.field(repr=False, alias="wait")

    def result(self, timeout: Seconds | None = None) -> Any:  # noqa: ANN401  # the handler's answer
        """The work's result, whoever finished it.

        Raises:
            DeadlineExceeded: Not in `timeout` seconds; ask again later.
            MeshError: The work failed everywhere.
        """
        return read_award_result(self._wait(timeout))

    @classmethod
    def of(cls, data: AwardData, wait: Callable[[Seconds | None], CallFinished]) -> Award:
        """From what the engine tells."""
        return cls(wait=wait, **_facts(data))


@attrs.frozen(kw_only=True)
class AsyncAward(_Awarded):
    """An accepted award; `result` is awaited."""

    _wait: Callable[[Seconds | None], Awaitable[CallFinished]] = attrs.field(
        repr=False, alias="wait"
    )

    async def result(self, timeout: Seconds | None = None) -> Any:  # noqa: ANN401  # the handler's answer
        """As `Award.result`."""
        return read_award_result(await self._wait(timeout))

    @classmethod
    def of(
        cls, data: AwardData, wait: Callable[[Seconds | None], Awaitable[CallFinished]]
    ) -> AsyncAward:
        """From what the engine tells."""
        return cls(wait=wait, **_facts(data))


def _facts(data: AwardData) -> dict[str, Any]:
    return {
        "winner": data.winner_name,
        "winner_id": show_id(data.winner),
        "epoch": data.epoch,
        "price": data.price,
        "score": data.score,
        "bids": data.bids,
        "transcript": data.transcript,
    }
