"""Running users' functions: inline, in worker threads, on trio, or on an asyncio loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final

import attrs
import trio

from meshp2p.consensus import Bid
from meshp2p.effects import Invoke
from meshp2p.events import Log
from meshp2p.ids import Seconds, show_id
from meshp2p.messaging.body import MismatchError, pack_plain
from meshp2p.messaging.requests import Cause
from meshp2p.runtime.asyncio_loop import AsyncioLoop
from meshp2p.runtime.capability import Handler
from meshp2p.runtime.context import CAUSE, AsyncContext, Context
from meshp2p.runtime.coordination import read_offer, read_vote_call, write_ballot, write_bid
from meshp2p.runtime.failure import is_ctrl_c, outcome_of, safe_text
from meshp2p.runtime.ports import Threads, WorkerThreads
from meshp2p.runtime.registry import Registry, best_match
from meshp2p.wire import codec, messages
from meshp2p.wire.messages import RequestHead

INLINE_BUDGET: Final = 0.005
"""Seconds. Gossip waits while an inline handler runs; more than this is reported."""

_NO_CAPABILITIES: Final = "?" + messages.ON_MESSAGE
"""How methods begin that are no names of capabilities."""
_NOBODY: Final = codec.pack(None)
_UNASKED: Final = {"?bid": write_bid(Bid())}
"""Who registers no `on_bid` bids price 0 with its own load; no `on_vote` abstains."""
_UNTOLD: Final = {
    "?bid": "an on_bid handler raised, so there is no bid",
    "?vote": "an on_vote handler raised, so there is no ballot",
}
"""Questions whose asker learns that there is no answer, but not why."""


@attrs.frozen
class Message:
    """What an agent was sent without naming a capability.

    Args:
        sender: Node id as text, proved by the channel.
        sender_handle: Its handle, or "".
    """

    body: Any
    sender: str
    sender_handle: str
    correlation_id: str
    timestamp: int
    metadata: dict[str, Any]


@attrs.define(eq=False)
class _Run:
    """One invocation under way.

    Args:
        calls_back: The function has its context, so it may wait for calls of its own.
    """

    call: int
    context: Context | AsyncContext
    calls_back: bool = attrs.field(default=False, kw_only=True)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    stop: Callable[[], None] | None = None


class Runner:
    """Runs what the engine asks for; tells the driver when it is over."""

    def __init__(  # noqa: PLR0913  # the seams of the real world
        self,
        registry: Registry,
        *,
        returned: Callable[[int, int, bytes], None],
        log: Callable[[Log], None],
        asyncio_loop: Callable[[], AsyncioLoop] | None,
        call: Callable[..., Any],
        call_async: Callable[..., Any],
        show_tracebacks: bool,
        slots: int,
        threads: Threads | None = None,
    ) -> None:
        """Run handlers of `registry`.

        Args:
            asyncio_loop: Where `async def` handlers run; None for trio.
            call: What `Context.call` does; blocks.
            call_async: What `AsyncContext.call` does.
            show_tracebacks: Whether callers may see where a handler raised.
            slots: Worker threads at once.
            threads: Where plain functions run; trio's worker threads if None.
        """
        self._registry = registry
        self._returned = returned
        self._log = log
        self._asyncio_loop = asyncio_loop
        self._call = call
        self._call_async = call_async
        self._show_tracebacks = show_tracebacks
        self._limiter: trio.CapacityLimiter | None = None
        self._slots = slots
        self._threads = threads or WorkerThreads()
        self._runs: dict[int, _Run] = {}
        self.nursery: trio.Nursery | None = None
        self._surroundings = copy_context()
        """Of handlers' tasks: the node's, not those of whoever on this node made the call."""
        self.inline_slow = 0
        self.slowest_inline: Seconds = 0.0

    def start(self, invoke: Invoke) -> tuple[int, bytes] | None:
        """Begin; return (status, body) at once if the handler is inline, or cannot run."""
        try:
            found = self._prepare(invoke)
        except BaseException as error:  # noqa: BLE001  # arguments run users' validators
            return self._failure(invoke, error)
        if found is None:
            return messages.OK, _UNASKED.get(invoke.method, _NOBODY)
        handler, args, kwargs, context, write = found
        if handler.mode == "inline":
            return self._run_inline(invoke, handler, args, kwargs, write)
        run = _Run(invoke.call, context, calls_back=bool(handler.context))
        work = functools.partial(handler.function, *args, **kwargs)
        if self.nursery is None:
            return self._failure(invoke, RuntimeError("the node is stopping"))
        if handler.mode == "thread":
            self._spawn(self.nursery, self._run_in_thread, run, invoke, work, write)
        elif handler.mode == "async" and self._asyncio_loop is not None:
            try:
                loop = self._asyncio_loop()
            except RuntimeError as error:  # the system gives this process no more threads
                return self._failure(invoke, error)
            self._start_on_asyncio(loop, run, invoke, work, write)
        else:
            self._spawn(self.nursery, self._run_on_trio, run, invoke, work, write)
        self._runs[invoke.call] = run
        return None

    def _spawn(self, nursery: trio.Nursery, run: Callable[..., Any], *args: Any) -> None:  # noqa: ANN401  # of any function
        self._surroundings.run(nursery.start_soon, run, *args)

    def cancel(self, call: int) -> None:
        """Tell a handler to stop; a plain function only if it looks."""
        run = self._runs.get(call)
        if run is None:
            return
        run.context.cancel()
        run.scope.cancel()  # entered or not: the task may not have begun
        if run.stop is not None:
            run.stop()

    def _prepare(
        self, invoke: Invoke
    ) -> tuple[Handler, list[Any], dict[str, Any], Any, Callable[[Any], bytes]] | None:
        """Which function, with which arguments; None if nobody was registered."""
        if invoke.method[0] in _NO_CAPABILITIES:
            handler, args, kwargs, write = self._find(invoke)
            if handler is None:
                return None
        else:
            args, kwargs = codec.unpack_call_untrusted(invoke.body)
            declared = self._registry.capabilities.get(invoke.method)
            if declared is None or declared.handler is None:
                raise MismatchError(f"{invoke.method!r} was withdrawn")
            handler, write = declared.handler, _write_result
        context: Any = None
        if handler.context or handler.mode != "inline":
            context = self._context(invoke, handler)
        args, kwargs = handler.arguments(args, kwargs, context)
        return handler, args, kwargs, context, write

    def _find(
        self, invoke: Invoke
    ) -> tuple[Handler | None, list[Any], dict[str, Any], Callable[[Any], bytes]]:
        """For what is no call of a capability."""
        registry, method = self._registry, invoke.method
        body = codec.unpack_untrusted(invoke.body)
        if method == "?bid":
            offer = read_offer(body)
            return best_match(registry.bidders, offer.capability), [offer], {}, write_bid
        if method == "?vote":
            call = read_vote_call(body)
            return best_match(registry.voters, call.question), [call], {}, write_ballot
        return registry.on_message, [_message(invoke, body)], {}, _write_result

    def _context(self, invoke: Invoke, handler: Handler) -> Context | AsyncContext:
        head = invoke.request
        if not isinstance(head, RequestHead):
            head = RequestHead(invoke.method, 0)
        kind: Any = Context if handler.mode in ("thread", "inline") else AsyncContext
        call = self._call_async
        if handler.mode in ("thread", "inline"):
            call = None if handler.mode == "inline" else self._call  # type: ignore[assignment]
        return kind(  # type: ignore[no-any-return]  # one of the two
            head=head,
            deadline=invoke.deadline,
            caller_id=invoke.caller,
            caller_handle=invoke.caller_handle,
            clock=self._threads.clock(),
            token=invoke.token,
            call=call,
        )

    def _run_inline(
        self,
        invoke: Invoke,
        handler: Handler,
        args: list[Any],
        kwargs: dict[str, Any],
        write: Callable[[Any], bytes],
    ) -> tuple[int, bytes]:
        began = trio.current_time()
        token = CAUSE.set(_cause(invoke))
        try:
            outcome = messages.OK, write(handler.function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # whatever a user's function raises
            outcome = self._failure(invoke, error)
        finally:
            CAUSE.reset(token)
        took = trio.current_time() - began
        if took > INLINE_BUDGET:
            self.inline_slow += 1
            self.slowest_inline = max(self.slowest_inline, took)
            fields = (("capability", invoke.method), ("seconds", round(took, 6)))
            self._log(Log("warning", "an inline handler held up the node", fields))
        return outcome

    @trio.lowlevel.enable_ki_protection
    async def _run_in_thread(
        self, run: _Run, invoke: Invoke, work: Callable[[], Any], write: Callable[[Any], bytes]
    ) -> None:
        def in_thread() -> tuple[int, bytes]:
            CAUSE.set(_cause(invoke))
            try:
                return messages.OK, write(work())
            except BaseException as error:  # noqa: BLE001  # whatever a user's function raises
                return self._failure(invoke, error)

        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(self._slots)
        try:
            outcome = await self._threads.run(
                in_thread, limiter=self._limiter, calls_back=run.calls_back
            )
        except RuntimeError as error:  # the system gives this process no more threads
            outcome = self._failure(invoke, error)
        self._finish(run, *outcome)

    async def _run_on_trio(
        self,
        run: _Run,
        invoke: Invoke,
        work: Callable[[], Coroutine[Any, Any, Any]],
        write: Callable[[Any], bytes],
    ) -> None:
        CAUSE.set(_cause(invoke))
        outcome = messages.DEADLINE, b""
        try:
            with run.scope:
                outcome = messages.OK, write(await work())
        except BaseException as error:  # whatever a user's function raises
            if _ends_all(error):
                raise
            outcome = self._failure(invoke, error)
        self._finish(run, *outcome)

    def _start_on_asyncio(
        self,
        loop: AsyncioLoop,
        run: _Run,
        invoke: Invoke,
        work: Callable[[], Coroutine[Any, Any, Any]],
        write: Callable[[Any], bytes],
    ) -> None:
        token = trio.lowlevel.current_trio_token()

        async def on_loop() -> tuple[int, bytes]:
            CAUSE.set(_cause(invoke))
            try:
                return messages.OK, write(await work())
            except BaseException as error:  # whatever a user's function raises
                if isinstance(error, asyncio.CancelledError) or is_ctrl_c(error):
                    raise
                return self._failure(invoke, error)

        def over(outcome: tuple[int, bytes] | None) -> None:
            status, body = outcome or (messages.DEADLINE, b"")
            token.run_sync_soon(self._finish, run, status, body)

        run.stop = loop.start(on_loop, over)

    async def tell(self, handler: Handler, event: object) -> None:
        """Run a listener to its end; what it raises is logged and forgotten."""
        work = functools.partial(handler.function, event)
        error: BaseException | None
        try:
            if handler.mode in ("thread", "inline"):
                error = await self._threads.run(lambda: _raised_by(work))
            elif self._asyncio_loop is not None and handler.mode == "async":
                error = await self._wait_on_asyncio(self._asyncio_loop(), work)
            else:
                error = await work()
        except BaseException as raised:  # whatever a user's function raises
            if _ends_all(raised):
                raise
            error = raised
        if isinstance(error, BaseException):
            fields = (("error", safe_text(lambda: repr(error))),)
            self._log(Log("error", "a listener raised", fields))

    @staticmethod
    async def _wait_on_asyncio(loop: AsyncioLoop, work: Callable[[], Any]) -> BaseException | None:
        token, over = trio.lowlevel.current_trio_token(), trio.Event()
        failed: list[BaseException] = []

        async def on_loop() -> None:
            try:
                await work()
            except BaseException as error:  # told to trio
                if isinstance(error, asyncio.CancelledError) or is_ctrl_c(error):
                    raise
                failed.append(error)

        loop.start(on_loop, lambda _: token.run_sync_soon(over.set))
        await over.wait()
        return failed[0] if failed else None

    @trio.lowlevel.enable_ki_protection
    def _finish(self, run: _Run, status: int, body: bytes) -> None:
        if self._runs.pop(run.call, None) is not None:
            self._returned(run.call, status, body)

    def _failure(self, invoke: Invoke, error: BaseException) -> tuple[int, bytes]:
        """What the caller is told; where no caller asks, the log is."""
        what = _UNTOLD.get(invoke.method, "a message's handler raised")
        head = invoke.request
        one_way = isinstance(head, RequestHead) and head.flags & messages.FLAG_ONE_WAY
        if one_way or invoke.method in _UNTOLD:
            fields = (("error", safe_text(lambda: repr(error))),)
            self._log(Log("error", what, fields))
        return outcome_of(error, show_traceback=self._show_tracebacks)


def _raised_by(work: Callable[[], object]) -> BaseException | None:
    """Run it; whatever it raises, as a value: some kinds would end the node as they fly."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # that is the point
        return error
    return None


def _ends_all(error: BaseException) -> bool:
    """Whether trio cancels the node, or the user pressed Ctrl-C; not the handler's own fault."""
    if isinstance(error, BaseExceptionGroup):
        return any(_ends_all(part) for part in error.exceptions)
    return isinstance(error, trio.Cancelled) or is_ctrl_c(error)


def _cause(invoke: Invoke) -> Cause | None:
    head = invoke.request
    return Cause(head, invoke.deadline) if isinstance(head, RequestHead) else None


def _write_result(value: object) -> bytes:
    return pack_plain(value, "the handler's result")


def _message(invoke: Invoke, body: object) -> Message:
    head = invoke.request
    if not isinstance(head, RequestHead):
        raise MismatchError("a message without a head")
    return Message(
        body,
        show_id(invoke.caller),
        invoke.caller_handle,
        head.correlation_id,
        head.timestamp,
        head.metadata,
    )
