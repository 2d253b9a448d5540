"""Ends a task that never gives up control: an endless loop in a handler, say."""

from __future__ import annotations

import ctypes
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from meshp2p.ids import Seconds
from meshp2p.testing.clock import SimClock

_FRAMES: Final = 6
"""Of the stack, the innermost ones: where it hangs."""


class _Bite(BaseException):
    """Raised in the midst of whatever hangs; what is told is in `SimClock.bitten`."""


@contextmanager
def watchdog(clock: SimClock, patience: Seconds) -> Iterator[None]:
    """Interrupt this thread when the loop makes no turn for so long; the run fails then.

    Args:
        patience: Real seconds.
    """
    over, watched = threading.Event(), threading.get_ident()

    def watch() -> None:
        seen = -1
        while not over.wait(patience):
            if clock.looks == seen:
                clock.bitten = clock.stuck(_told(watched, patience))
                # Between two bytecodes of that thread; what hangs in C code is not reached.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(watched), ctypes.py_object(_Bite)
                )
            seen = clock.looks

    thread = threading.Thread(target=watch, name="meshp2p watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _told(thread: int, patience: Seconds) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # documented, in spite of its name
    where = "".join(traceback.format_stack(frame)[-_FRAMES:]) if frame is not None else ""
    return (
        f"a task has not given up control for {patience:g} real seconds: it loops, sleeps with "
        f"time.sleep(), or waits for something outside of the simulation. It is here:\n{where}"
    )
