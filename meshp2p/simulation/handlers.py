"""Agents' functions in virtual time: they return at once, their answer comes later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from meshp2p.consensus import Bid, Offer, VoteCall
from meshp2p.effects import Invoke
from meshp2p.events import CapabilityInfo
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.body import pack_plain
from meshp2p.runtime.coordination import read_offer, read_vote_call, write_ballot, write_bid
from meshp2p.wire import codec, messages
from meshp2p.wire.messages import RequestHead, pack_error

Bidder = Callable[[Offer], Bid | None]
Voter = Callable[[VoteCall], object]

_THINKING: Final[Seconds] = 0.002
"""How long bidders and voters take."""


@attrs.frozen(kw_only=True)
class Handler:
    """One capability of a simulated agent.

    Args:
        function: Called with the caller's arguments when the work begins.
        takes: Virtual seconds until its answer is there.
        idempotent: As in `CapabilityInfo`, like `limit`.
    """

    function: Callable[..., object]
    takes: Seconds = 0.0
    idempotent: bool = False
    limit: int = 0

    def info(self, name: str) -> CapabilityInfo:
        """How it is announced."""
        return CapabilityInfo(name, limit=self.limit, idempotent=self.idempotent)


@attrs.frozen
class Onward:
    """What a handler returns that asks somebody else and answers with the answer."""

    target: str
    args: tuple[object, ...] = ()
    timeout: Seconds | None = None


@attrs.frozen
class Ran:
    """A handler that began, with what it was told.

    Args:
        began: Virtual time.
        deadline: The same; by then its caller has given up.
        call_id: 16 bytes that the caller drew.
        token: Fencing token of an award, 0 for calls.
    """

    method: str
    began: Seconds
    deadline: Seconds
    caller: NodeId
    call_id: bytes
    body: bytes
    token: int
    head: RequestHead | None


@attrs.frozen
class Work:
    """What becomes of one invocation: an answer after some time, or a further call."""

    takes: Seconds
    status: int = messages.OK
    body: bytes = b""
    onward: Onward | None = None


@attrs.define
class Agent:
    """All that one simulated agent can do.

    Args:
        on_message: Receives messages to its handle; without it they are refused.
        bidder: Without one it bids price 0, as nodes do.
        voter: Without one it abstains.
    """

    handlers: Mapping[str, Handler] = attrs.field(factory=dict)
    on_message: Callable[[Any], object] | None = None
    bidder: Bidder | None = None
    voter: Voter | None = None

    def run(self, invoke: Invoke) -> Work:
        """Begin what an engine asks for."""
        try:
            return self._run(invoke)
        except Exception as error:  # noqa: BLE001  # whatever an agent's function raises
            text = pack_error(type(error).__name__, str(error), None)
            return Work(0.0, messages.REMOTE_ERROR, text)

    def _run(self, invoke: Invoke) -> Work:
        body: Any = codec.unpack_untrusted(invoke.body)
        if invoke.method == "?bid":
            bid = self.bidder(read_offer(body)) if self.bidder else Bid()
            return Work(_THINKING, body=write_bid(bid))
        if invoke.method == "?vote":
            choice = self.voter(read_vote_call(body)) if self.voter else None
            return Work(_THINKING, body=write_ballot(choice))
        if invoke.method == messages.ON_MESSAGE:
            answer = self.on_message(body) if self.on_message else None
            return Work(0.0, body=pack_plain(answer, "the result"))
        handler = self.handlers[invoke.method]
        args, kwargs = body
        result = handler.function(*args, **kwargs)
        if isinstance(result, Onward):
            return Work(handler.takes, onward=result)
        return Work(handler.takes, body=pack_plain(result, "the result"))


def ran(invoke: Invoke, now: Seconds) -> Ran:
    """What to remember of an invocation."""
    head = invoke.request if isinstance(invoke.request, RequestHead) else None
    return Ran(
        invoke.method,
        now,
        invoke.deadline,
        NodeId(invoke.caller),
        head.call_id if head is not None else b"",
        invoke.body,
        invoke.token,
        head,
    )
