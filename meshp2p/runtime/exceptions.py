"""One error out of trio's exception groups: users see what happened, not how we nest."""

from __future__ import annotations

import trio


def single(error: BaseException) -> BaseException:
    """The one error inside groups of one; cancellations beside it do not count.

    Ctrl-C counts alone: what else was raised, such as `Closed`, came of it.
    """
    while isinstance(error, BaseExceptionGroup):
        interrupts = error.subgroup(KeyboardInterrupt)
        parts = error.exceptions if interrupts is None else interrupts.exceptions[:1]
        inner = [part for part in parts if not _is_cancellation(part)]
        if len(inner) == 1:
            error = inner[0]
        elif not inner:
            error = error.exceptions[0]
        else:
            return error
    return error


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cancellation(part) for part in error.exceptions)
    return isinstance(error, trio.Cancelled)
