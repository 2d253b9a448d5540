"""The results of awards, which may come long after the award."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import attrs

from meshp2p.errors import MeshError
from meshp2p.events import CallFinished


@attrs.define(eq=False, slots=False)
class PendingResult:
    """The result of an award, once it is there, and who waits for it."""

    finished: CallFinished | None = None
    _waiting: dict[object, Callable[[CallFinished], None]] = attrs.field(factory=dict, init=False)

    @property
    def awaited(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    def settle(self, finished: CallFinished) -> None:
        """It is there."""
        self.finished = finished
        waiting, self._waiting = self._waiting, {}
        for wake in waiting.values():
            wake(finished)

    def when_finished(self, wake: Callable[[CallFinished], None]) -> Callable[[], None]:
        """Call `wake` once, now or later.

        Returns:
            What takes that back: whoever asks again and again must not pile up here.
        """
        mark = object()
        if self.finished is not None:
            wake(self.finished)
        else:
            self._waiting[mark] = wake

        def forget() -> None:
            self._waiting.pop(mark, None)

        return forget


class PendingResults:
    """Results that somebody may still ask for, by the number of their command."""

    def __init__(self) -> None:
        """No award was made."""
        self._by_number: weakref.WeakValueDictionary[int, PendingResult] = (
            weakref.WeakValueDictionary()
        )

    @property
    def awaited(self) -> int:
        """How many wait for results."""
        return sum(result.awaited for result in self._by_number.values())

    def expect(self, number: int) -> PendingResult:
        """A result to come. It is forgotten when whoever gets this forgets it."""
        result = self._by_number[number] = PendingResult()
        return result

    def settle(self, finished: CallFinished) -> None:
        """A result is there, if it is one that somebody may ask for."""
        result = self._by_number.get(finished.number)
        if result is not None:
            result.settle(finished)

    def close(self, error: MeshError) -> None:
        """What has not come will not come."""
        for number, result in list(self._by_number.items()):
            if result.finished is None:
                result.settle(CallFinished(number, error=error))
