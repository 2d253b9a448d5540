"""An asyncio loop as seen from the node's thread: the user's, or one of the node's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

_PATIENCE: Final = 2.0
"""Seconds. A handler that ignores its cancellation holds up no `stop`."""


class AsyncioLoop:
    """Starts coroutines on a loop that runs in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread | None) -> None:
        """Use `own` for a new loop in a thread of the node's, or pass the user's."""
        self.loop = loop
        self._thread = thread

    @classmethod
    def own(cls) -> AsyncioLoop:
        """A loop that lives as long as the node, so that what handlers keep stays usable.

        Raises:
            RuntimeError: There is no thread to be had.
        """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(
            target=_run_and_close, args=(loop,), name="meshp2p-asyncio", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the system gives this process no more threads
            loop.close()
            raise
        return cls(loop, thread)

    @property
    def thread_id(self) -> int | None:
        """Of the node's own loop; None for the user's."""
        return None if self._thread is None else self._thread.ident

    def start(
        self, work: Callable[[], Coroutine[Any, Any, Any]], over: Callable[[Any], None]
    ) -> Callable[[], None]:
        """Run `work` on the loop; `over` gets its result, or None if it had none.

        Returns:
            What cancels it, callable from any thread.
        """
        tasks: list[asyncio.Task[Any]] = []

        def begin() -> None:
            task = self.loop.create_task(work())
            tasks.append(task)
            task.add_done_callback(lambda task: over(_result_of(task)))

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        try:
            self.loop.call_soon_threadsafe(begin)
        except RuntimeError:  # the user's loop is closed
            over(None)
        return lambda: None if self.loop.is_closed() else _soon(self.loop, cancel)

    def close(self) -> None:
        """End the node's own loop; the user's is left alone."""
        if self._thread is None or self.loop.is_closed():
            return
        _soon(self.loop, self.loop.stop)
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)


def _run_and_close(loop: asyncio.AbstractEventLoop) -> None:
    """As `asyncio.run` ends: tasks hear of it, and no socket stays open."""
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_all(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _result_of(task: asyncio.Task[Any]) -> Any:  # noqa: ANN401  # what the task returned
    """None if it was cancelled or raised, which the loop itself tells of."""
    return None if task.cancelled() or task.exception() is not None else task.result()


async def _cancel_all(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        return  # it was closed meanwhile
