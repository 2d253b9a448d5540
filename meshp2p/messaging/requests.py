"""Calls that this node makes: what is known of each, and what may be done when one fails.

At most once by default. A call is tried on another member only if it certainly did
not run, or may run twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from meshp2p.errors import (
    Closed,
    DeadlineExceeded,
    MeshError,
    Overloaded,
    PeerLost,
    Refused,
    RemoteError,
    WireError,
)
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.resolver import Target
from meshp2p.wire import limits, messages
from meshp2p.wire.messages import RequestHead, ResponseHead, unpack_error_untrusted

MAX_TRIES: Final = 8
_TRACE_AT: Final = slice(1, 17)
_DICE: Final = 16 + 16 + 8
"""Bytes: a call id, a trace id, a span id."""

Done: TypeAlias = "Callable[[Request, bytes, MeshError | None, Seconds], None]"
"""Called once with the answer's body, or with what to raise."""


@attrs.define  # not frozen: made for every call that is answered
class Cause:
    """The request whose handler makes this call: deadline, trace and path go on."""

    head: RequestHead
    deadline: Seconds


@attrs.define(eq=False)
class Request:
    """One call of this node, from the command to its answer.

    Args:
        idempotent: Whether the chosen member says that it may run twice.
        sent: Whether it left this process towards the member now tried.
        doubt: Whether any earlier try may have run.
        doubtful: What the last such try ended in.
        life: Transport key of the process that may have run it; another one of the same
            member has forgotten the key.
    """

    number: int
    target: Target
    head: RequestHead
    body: bytes
    made_at: Seconds
    deadline: Seconds
    done: Done
    wait_until: Seconds = 0.0
    answer_limit: int = 0
    retry: bool = True
    peer: NodeId | None = None
    peer_name: str = ""
    idempotent: bool = False
    sent: bool = False
    doubt: bool = False
    tries: int = 0
    tried: tuple[NodeId, ...] = ()
    finished: bool = False
    doubtful: MeshError | None = None
    life: bytes | None = None

    @property
    def trace(self) -> str:
        """The W3C trace id, 32 hex digits."""
        return self.head.traceparent[_TRACE_AT].hex()

    @property
    def may_try_again(self) -> bool:
        """Whether any further try is allowed at all."""
        return self.retry and self.tries < MAX_TRIES

    def may_go_elsewhere(self, *, maybe_executed: bool) -> bool:
        """Whether another member may be tried after a failure."""
        if not self.may_try_again or self.target.id is not None:
            return False
        return self.idempotent or not (maybe_executed or self.doubt)

    def may_return(self) -> bool:
        """Whether the same member may be asked again: it remembers the key."""
        return self.may_try_again and bool(self.head.key)

    def honest(self, error: MeshError) -> MeshError:
        """The error to raise: never one that hides that an earlier try may have run."""
        if not self.doubt or getattr(error, "maybe_executed", False) or self.doubtful is None:
            return error
        return error if isinstance(error, RemoteError) else self.doubtful

    def expired(self, now: Seconds) -> DeadlineExceeded:
        """What to raise when the time is over."""
        return DeadlineExceeded(
            self.target.text, now - self.made_at, maybe_executed=self.sent or self.doubt
        )

    def lost(self, reason: str) -> PeerLost:
        """What to raise when the member is gone."""
        return PeerLost(self.peer_name, reason, maybe_executed=self.sent or self.doubt)

    def overloaded(self) -> Overloaded:
        """What to raise when the member has no room for it, and so never looked at it."""
        return Overloaded(messages.RETRY_AFTER_MS / 1000, self.peer_name)


def make_head(  # one argument for each field that a caller decides
    rng: random.Random,
    method: str,
    *,
    remaining: Seconds,
    cause: Cause | None,
    own_id: NodeId,
    key: str = "",
    flags: int = 0,
    timestamp: int = 0,
) -> RequestHead:
    """The head of a new request; trace, hops and path continue those of its cause."""
    dice = rng.randbytes(_DICE)
    path: list[bytes] = [own_id]
    hops = 1
    traceparent = b"\0" + dice[16:] + b"\1"  # version 0, sampled
    if cause is not None:
        above = cause.head
        traceparent = b"\0" + above.traceparent[_TRACE_AT] + dice[32:] + b"\1"
        hops, path = above.hops + 1, [*above.path, own_id][-limits.MAX_HOPS :]
    left = int(remaining * 1000) if remaining > 0 else 0
    # By position, in half the time: one is made for every call.
    return RequestHead(
        method, left, 1, flags, dice[:16], key, traceparent, hops, path, "", timestamp, {}
    )


def error_of_answer(request: Request, head: ResponseHead, body: bytes) -> MeshError:
    """The exception that an answer other than OK stands for.

    Raises:
        WireError: The answer is malformed.
    """
    name = request.peer_name
    if head.status == messages.OVERLOADED:
        return Overloaded(head.retry_after_ms / 1000, name)
    if head.status == messages.DEADLINE:
        waited, maybe = request.deadline - request.made_at, head.started or request.doubt
        return DeadlineExceeded(request.target.text, waited, maybe_executed=maybe)
    if head.status == messages.CLOSING:
        return PeerLost(name, "it takes no new calls", maybe_executed=head.started)
    kind, text, traceback = unpack_error_untrusted(body)
    if head.status == messages.NO_SUCH_METHOD:
        return Refused(f"it has no handler for {request.target.method!r}", name)
    if head.status in (messages.REFUSED, messages.TOO_MANY_HOPS):
        return Refused(text, name)
    return RemoteError(kind, text, traceback, name, request.trace)


def closed_error() -> Closed:
    """What calls raise that are open when the node stops."""
    return Closed("the node has stopped")


def broken_answer(request: Request, error: WireError) -> PeerLost:
    """What to raise for an answer that is not one."""
    return PeerLost(request.peer_name, f"its answer is malformed: {error}", maybe_executed=True)
