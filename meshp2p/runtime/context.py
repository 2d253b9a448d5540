"""What a handler knows of the call it answers, and how it makes calls of its own."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

import attrs

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds, show_id
from meshp2p.messaging.requests import Cause
from meshp2p.wire.messages import RequestHead

CAUSE: Final[ContextVar[Cause | None]] = ContextVar("meshp2p_cause", default=None)
"""The request being handled, so that calls made meanwhile carry its deadline and trace."""

_TRACE_AT: Final = slice(1, 17)
_SPAN_AT: Final = slice(17, 25)


@attrs.define(eq=False)
class _Known:
    """What both kinds of context tell.

    Args:
        caller: Id of whoever calls, as text; proved by the channel.
        caller_handle: Its handle, or "".
        token: Fencing token of an award, 0 for plain calls: a sink that keeps the
            highest token it saw can refuse a worker that was replaced.
    """

    head: RequestHead
    deadline: Seconds
    caller_id: bytes
    caller_handle: str
    _clock: Callable[[], Seconds]
    token: int = 0
    _cancelled: threading.Event = attrs.field(factory=threading.Event)

    @property
    def caller(self) -> str:
        """Id of whoever calls, 26 letters and digits; proved by the channel."""
        return show_id(self.caller_id)

    @property
    def remaining(self) -> Seconds:
        """Seconds left; negative when nobody waits any more."""
        return self.deadline - self._clock()

    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up or the deadline passed: stop when convenient."""
        return self._cancelled.is_set()

    @property
    def hops(self) -> int:
        """Calls that led here, this one included."""
        return self.head.hops

    @property
    def key(self) -> str:
        """The caller's idempotency key, or ""."""
        return self.head.key

    @property
    def trace(self) -> str:
        """W3C trace id, 32 hex digits."""
        return self.head.traceparent[_TRACE_AT].hex()

    @property
    def traceparent(self) -> str:
        """The W3C header of this name, for whatever this handler calls over HTTP."""
        raw = self.head.traceparent
        return f"{raw[:1].hex()}-{self.trace}-{raw[_SPAN_AT].hex()}-{raw[25:26].hex()}"

    @property
    def path(self) -> tuple[str, ...]:
        """Ids of the callers that led here, the first one first."""
        return tuple(show_id(node) for node in self.head.path)

    def cancel(self) -> None:
        """The node's: tell the handler to stop."""
        self._cancelled.set()


@attrs.define(eq=False)
class Context(_Known):
    """For plain functions; its `call` blocks."""

    _call: Callable[..., Any] | None = None

    def call(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401  # the handler's answer
        """`Node.call` with what is left of this call's deadline."""
        if self._call is None:
            raise UsageError("inline handlers cannot wait for calls: leave out inline=True")
        return self._call(target, *args, **kwargs)


@attrs.define(eq=False)
class AsyncContext(_Known):
    """For async functions."""

    _call: Callable[..., Awaitable[Any]] | None = None

    async def call(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401  # the handler's answer
        """`AsyncNode.call` with what is left of this call's deadline."""
        if self._call is None:
            raise UsageError("this node cannot make calls")
        return await self._call(target, *args, **kwargs)
