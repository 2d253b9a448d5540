"""The result of an award, which may come long after the award."""

from __future__ import annotations

from collections.abc import Callable

import attrs

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
