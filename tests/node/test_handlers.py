"""Where a handler runs, what it knows of its call, and what it may do."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from meshp2p import (
    AsyncContext,
    Context,
    Message,
    NoBids,
    Node,
    Refused,
    RemoteError,
    Undecided,
    UsageError,
    capability,
)
from tests.node.conftest import Start
from tests.node.waiting import eventually, know_each_other


def running_loop() -> str:
    """The async library that runs this code."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "trio" if trio.lowlevel.in_trio_run() else "none"
    return "asyncio"


@capability("plain")
def plain() -> list[str]:
    """In a worker thread."""
    return [running_loop(), threading.current_thread().name]


@capability("inline", inline=True)
def inline() -> list[str]:
    """On the node's own loop."""
    return [running_loop(), threading.current_thread().name]


@capability("async")
async def on_loop() -> list[str]:
    """On whichever loop the node was entered from."""
    return [running_loop(), threading.current_thread().name]


@capability("trio", loop="trio")
async def on_trio() -> list[str]:
    """On trio, always."""
    await trio.lowlevel.checkpoint()
    return [running_loop(), threading.current_thread().name]


EVERYWHERE = [plain, inline, on_loop, on_trio]


def test_after_start_each_kind_of_handler_has_its_place(start: Start) -> None:
    """Plain: a worker thread. Inline: the node's. Async: one lasting asyncio loop, or trio."""
    alice, _bob = start("alice"), start("bob", capabilities=EVERYWHERE)

    plain_loop, worker = alice.call("plain")
    assert (plain_loop, worker == "meshp2p") == ("none", False)
    assert alice.call("inline") == ["trio", "meshp2p"]
    assert alice.call("async") == ["asyncio", "meshp2p-asyncio"]
    assert alice.call("trio") == ["trio", "meshp2p"]


def test_what_an_async_handler_keeps_is_usable_in_its_next_call(start: Start) -> None:
    """The loop lasts as long as the node, so a kept lock or client is not of a dead loop."""
    lock = asyncio.Lock()

    @capability("locked")
    async def locked() -> int:
        async with lock:
            await asyncio.sleep(0.001)
        return id(asyncio.get_running_loop())

    alice, _bob = start("alice"), start("bob", capabilities=[locked])

    assert alice.call("locked") == alice.call("locked") == alice.call("locked")


def test_under_asyncio_async_handlers_run_on_the_users_loop() -> None:
    """The user's own loop and thread; `loop="trio"` still means trio."""

    async def main() -> None:
        async with Node("alice", capabilities=EVERYWHERE) as alice:
            me = threading.current_thread().name
            assert await alice.call("async") == ["asyncio", me]
            assert await alice.call("trio") == ["trio", "meshp2p"]
            assert (await alice.call("plain"))[0] == "none"
            assert await alice.call("inline") == ["trio", "meshp2p"]

    asyncio.run(main())


def test_under_trio_everything_async_runs_in_the_users_loop() -> None:
    """The node lives in the caller's trio loop: no other thread but for plain functions."""

    async def main() -> None:
        async with Node("alice", capabilities=EVERYWHERE) as alice:
            me = threading.current_thread().name
            assert await alice.call("async") == ["trio", me]
            assert await alice.call("trio") == ["trio", me]
            assert await alice.call("inline") == ["trio", me]
            assert (await alice.call("plain"))[0] == "none"

    trio.run(main)


def test_a_context_tells_who_calls_and_how_long_there_is(start: Start) -> None:
    """Caller, handle, time left, hops, path, key and trace, all from the call itself."""

    @capability("facts")
    def facts(ctx: Context) -> list[object]:
        return [ctx.caller, ctx.caller_handle, ctx.remaining, ctx.hops, list(ctx.path), ctx.key]

    alice, _bob = start("alice"), start("bob", capabilities=[facts])

    caller, handle, remaining, hops, path, key = alice.call("facts", timeout=7, key="order-1")

    assert (caller, handle, hops, path, key) == (alice.id, "alice", 1, [alice.id], "order-1")
    assert 6 < remaining <= 7


def test_the_context_is_not_an_argument_of_the_caller(start: Start) -> None:
    """A caller cannot pose as somebody else by sending a context of its own."""

    @capability("facts")
    def facts(ctx: Context) -> str:
        return ctx.caller

    alice, _bob = start("alice"), start("bob", capabilities=[facts])

    with pytest.raises(RemoteError, match="ctx is given by the node"):
        alice.call("facts", ctx={"caller": "carol"})


def test_a_traceparent_is_what_w3c_says(start: Start) -> None:
    """Version, 32 digits of trace, 16 of span, flags; ready for an HTTP header."""

    @capability("trace")
    def trace(ctx: Context) -> list[str]:
        return [ctx.trace, ctx.traceparent]

    alice, _bob = start("alice"), start("bob", capabilities=[trace])

    trace_id, header = alice.call("trace")

    version, middle, span, flags = header.split("-")
    assert (version, middle, len(span), flags) == ("00", trace_id, 16, "01")
    assert int(trace_id, 16) != 0
    assert int(span, 16) != 0


@pytest.mark.parametrize("way", ["plain", "async", "trio", "node"])
def test_calls_made_by_a_handler_continue_the_call(start: Start, way: str) -> None:
    """Deadline, trace, hops and path go on, through the context and through `node.call`."""

    @capability("end")
    def end(ctx: Context) -> list[object]:
        return [ctx.remaining, ctx.trace, ctx.hops, list(ctx.path)]

    @capability("relay.plain")
    def relay(ctx: Context) -> list[object]:
        return [ctx.trace, ctx.call("end")]

    @capability("relay.async")
    async def relay_async(ctx: AsyncContext) -> list[object]:
        return [ctx.trace, await ctx.call("end")]

    @capability("relay.trio", loop="trio")
    async def relay_trio(ctx: AsyncContext) -> list[object]:
        return [ctx.trace, await ctx.call("end")]

    @capability("relay.node")
    def relay_node(ctx: Context) -> list[object]:
        return [ctx.trace, bob.call("end")]

    alice = start("alice")
    bob = start("bob", capabilities=[relay, relay_async, relay_trio, relay_node])
    carol = start("carol", capabilities=[end])
    know_each_other(alice, bob, carol)

    trace, (remaining, end_trace, hops, path) = alice.call(f"relay.{way}", timeout=3)

    assert 2 < remaining <= 3
    assert (end_trace, hops, path) == (trace, 2, [alice.id, bob.id])


def test_a_handler_cannot_ask_for_more_time_than_its_own_call_has(start: Start) -> None:
    """`timeout=` of a call made within a call only ever shortens."""

    @capability("end")
    def end(ctx: Context) -> float:
        return ctx.remaining

    @capability("relay")
    def relay(ctx: Context) -> object:
        return ctx.call("end", timeout=60)

    alice = start("alice")
    know_each_other(alice, start("bob", capabilities=[relay]), start("carol", capabilities=[end]))

    assert alice.call("relay", timeout=2) <= 2


def test_a_loop_of_calls_ends_at_the_hop_limit(start: Start) -> None:
    """Two agents that delegate to each other stop after 16 hops, with a sentence."""
    hops: list[int] = []

    @capability("ping")
    def ping(ctx: Context) -> object:
        hops.append(ctx.hops)
        return ctx.call("@bob/pong")

    @capability("pong")
    def pong(ctx: Context) -> object:
        hops.append(ctx.hops)
        return ctx.call("@alice/ping")

    alice, bob = start("alice", capabilities=[ping]), start("bob", capabilities=[pong])
    know_each_other(alice, bob)

    with pytest.raises(Refused, match="17 hops; at most 16 are allowed"):
        alice.call("@bob/pong", timeout=10)
    assert hops == list(range(1, 17))


def test_a_blocking_call_in_an_inline_handler_says_what_to_do(start: Start) -> None:
    """It would wait for itself for ever; instead the caller reads how to mend it."""

    @capability("greet")
    def greet() -> str:
        return "hello"

    @capability("stuck", inline=True)
    def stuck() -> object:
        return bob.call("greet")

    @capability("stuck.context", inline=True)
    def stuck_context(ctx: Context) -> object:
        return ctx.call("greet")

    @capability("stuck.async", loop="trio")
    async def stuck_async() -> object:
        return bob.call("greet")

    handlers = [greet, stuck, stuck_context, stuck_async]
    alice, bob = start("alice"), start("bob", capabilities=handlers)

    with pytest.raises(
        RemoteError, match=r"wait for itself: in an async handler use `await ctx.call"
    ):
        alice.call("stuck", timeout=5)
    with pytest.raises(RemoteError, match="inline handlers cannot wait for calls"):
        alice.call("stuck.context", timeout=5)
    with pytest.raises(
        RemoteError, match=r"wait for itself: in an async handler use `await ctx.call"
    ):
        alice.call("stuck.async", timeout=5)


def test_a_blocking_call_on_the_loop_of_async_handlers_says_what_to_do(start: Start) -> None:
    """It would hold up every async handler, and could wait for one of them for ever."""

    @capability("greet")
    async def greet() -> str:
        return "hello"

    @capability("stuck")
    async def stuck() -> object:
        return bob.call("greet")

    alice, bob = start("alice"), start("bob", capabilities=[greet, stuck])

    with pytest.raises(RemoteError, match="AsyncContext"):
        alice.call("stuck", timeout=5)


def test_a_slow_inline_handler_is_reported(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """More than 5 ms on the node's own loop is logged with the name of the capability."""

    @capability("heavy", inline=True)
    def heavy() -> None:
        ends = time.perf_counter() + 0.02
        while time.perf_counter() < ends:
            pass

    alice, bob = start("alice"), start("bob", capabilities=[heavy])
    with caplog.at_level(logging.WARNING, logger="meshp2p"):
        alice.call("heavy")

    [line] = [line for line in caplog.messages if "inline" in line]
    assert "bob: an inline handler held up the node (capability=heavy, seconds=0.0" in line
    assert bob.stats()["inline_slow"] == 1


def test_an_exception_in_a_listener_hurts_nobody(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the next listener and the next event come all the same."""
    alice = start("alice")
    heard: list[str] = []

    @alice.on("member.joined")
    def break_down(_event: object) -> None:
        raise ValueError("no")

    @alice.on("member.joined")
    def listen(event: object) -> None:
        heard.append(event.member.handle)  # type: ignore[attr-defined]  # a MemberEvent

    with caplog.at_level(logging.ERROR, logger="meshp2p"):
        start("bob")
        eventually(lambda: heard == ["bob"])
        start("carol")
        eventually(lambda: heard == ["bob", "carol"])
    assert any("a listener raised" in line for line in caplog.messages)


def test_a_message_handler_may_be_async_and_take_a_context(start: Start) -> None:
    """`on_message` is a handler like others."""
    alice, bob = start("alice"), start("bob")

    @bob.on_message
    async def answer(message: Message, ctx: AsyncContext) -> object:
        await asyncio.sleep(0)
        return [message.body, ctx.caller_handle]

    assert alice.call("@bob", "hi") == ["hi", "alice"]


def test_generators_are_refused_when_they_are_declared() -> None:
    """Streams of answers come later; until then the decorator says so."""

    async def tokens(text: str) -> AsyncIterator[str]:
        yield text

    def lines(text: str) -> Iterator[str]:
        yield text

    for function in (tokens, lines):
        with pytest.raises(UsageError, match="is a generator; a handler returns one answer"):
            capability("explain")(function)


@pytest.mark.parametrize(
    "keyword",
    ["timeout", "key", "pick", "priority", "retries", "returns", "close_after", "score", "sealed"],
)
def test_reserved_keywords_cannot_be_parameters(keyword: str) -> None:
    """What `call` itself takes, now or later, a handler cannot have."""
    names: dict[str, object] = {}
    exec(f"def handler({keyword}): ...", names)  # noqa: S102  # a function with that parameter

    with pytest.raises(UsageError, match=f"has a parameter '{keyword}', which is a keyword"):
        capability("work")(names["handler"])  # type: ignore[type-var]  # a function


def test_the_wrong_kind_of_context_is_told_when_it_is_declared() -> None:
    """An async function cannot use a blocking context, nor the reverse."""

    async def sleepy(ctx: Context) -> None: ...

    def awake(ctx: AsyncContext) -> None: ...

    with pytest.raises(UsageError, match="ctx must be annotated AsyncContext"):
        capability("work")(sleepy)
    with pytest.raises(UsageError, match="ctx must be annotated Context"):
        capability("work")(awake)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "has space"}, "capability='has space'"),
        ({"name": "x", "limit": -1}, "limit=-1: allowed are 0"),
        ({"name": "x", "limit": True}, "limit=True"),
        ({"name": "x", "version": 1.2}, "version=1.2: allowed is a text"),
        ({"name": "x", "tags": {"a": 1}}, "tags={'a': 1}: allowed are texts"),
        ({"name": "x", "tags": "gpu"}, "tags='gpu': allowed are texts"),
        ({"name": "x", "loop": "curio"}, "loop='curio': allowed are None and 'trio'"),
    ],
)
def test_a_capability_that_cannot_be_meant_is_refused(
    arguments: dict[str, object], text: str
) -> None:
    """Each argument of `@capability` is checked, with its value and what is allowed."""
    with pytest.raises(UsageError) as raised:
        capability(**arguments)  # type: ignore[arg-type]  # that is the point

    assert text in str(raised.value)


def test_inline_is_for_plain_functions() -> None:
    """An async function cannot run without a loop of its own."""

    async def work() -> None: ...

    with pytest.raises(UsageError, match="is async; inline=True is for plain functions"):
        capability("work", inline=True)(work)


def test_what_no_caller_is_told_is_in_the_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """A bid, a ballot or a message whose handler raises looks like silence from outside."""
    alice, bob = start("alice"), start("bob", capabilities=[plain])

    @bob.on_bid()
    def bid(_offer: object) -> None:
        raise ValueError("no bid today")

    @bob.on_vote()
    def vote(_call: object) -> None:
        raise ValueError("no ballot today")

    @bob.on_message
    def receive(_message: object) -> None:
        raise ValueError("no mail today")

    know_each_other(alice, bob)
    with caplog.at_level(logging.ERROR, logger="meshp2p"):
        alice.send("@bob", "hello")
        with pytest.raises(NoBids):
            alice.auction("plain")
        with pytest.raises(Undecided):
            alice.vote("lunch?", ["pizza", "sushi"], timeout=1.0)
        for what in ("no bid today", "no ballot today", "no mail today"):
            eventually(lambda what=what: any(what in line for line in caplog.messages))  # type: ignore[misc]


def test_messages_that_nobody_took_are_counted(start: Start) -> None:
    """Whoever sends does not wait, so the callee's figures are the only trace."""
    alice, bob = start("alice"), start("bob")
    know_each_other(alice, bob)
    alice.send("@bob", "hello")
    eventually(lambda: bob.stats().get("message_dropped") == 1)
