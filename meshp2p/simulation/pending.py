"""What a command of a simulated user will come to."""

from __future__ import annotations

from typing import Any

import attrs

from meshp2p.consensus import AwardData, AwardResult
from meshp2p.events import CallFinished
from meshp2p.ids import Seconds
from meshp2p.node.verbs import read_result


class NotYetError(Exception):
    """The command has not ended; let the world run."""


@attrs.define(eq=False)
class Pending:
    """A call, an auction or a vote that was begun.

    Args:
        began: Virtual time; `ended` likewise, once it has.
        outcome: Of an auction that was awarded: the work's own result.
    """

    number: int
    began: Seconds
    ended: Seconds | None = None
    outcome: Pending | None = None
    _finished: CallFinished | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._finished is not None

    @property
    def error(self) -> Exception | None:
        """What a user would have had raised; None if it went well, or is still open."""
        return None if self._finished is None else self._finished.error

    @property
    def result(self) -> object:
        """The answer's value; for auctions AwardData, for votes VoteResult.

        Raises:
            NotYetError: It has not ended.
            MeshError: What a user would have had raised; ResultError for an answer that is none.
        """
        if self._finished is None:
            raise NotYetError("nothing was answered yet")
        if self._finished.error is not None:
            raise self._finished.error
        value = self._finished.value
        if isinstance(value, AwardResult):
            value = value.body
        if isinstance(value, bytes):
            return read_result(value, Any)
        return value

    @property
    def value(self) -> object:
        """As the engine told it: for the result of an auction AwardResult; None if open."""
        return None if self._finished is None else self._finished.value

    def finish(self, finished: CallFinished, now: Seconds) -> Pending | None:
        """It has ended; return what now waits for an award's result, if it was one."""
        self._finished = finished
        self.ended = now
        if isinstance(finished.value, AwardData):
            self.outcome = Pending(finished.value.number, now)
        return self.outcome
