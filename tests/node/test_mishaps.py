"""Whatever a user's functions raise, or hold, ends a call at most: never the node."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from meshp2p import MemberEvent, Node, Refused, RemoteError, capability
from tests.node.conftest import Start
from tests.node.processes import Run
from tests.node.waiting import eventually, handles

HALF_A_PAIR = "half \ud800 a pair"
"""Text that has no UTF-8: what `os.fsdecode` makes of odd file names, for example."""

KINDS = ["plain", "inline", "asyncio", "trio"]


def handler(kind: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401  # a decorated function
    """The capability "work" that runs `work` in one of the four ways; one call at once."""
    if kind in ("plain", "inline"):

        @capability("work", limit=1, inline=kind == "inline")
        def plain() -> Any:  # noqa: ANN401  # whatever it gives
            return work()

        return plain

    @capability("work", limit=1, loop="trio" if kind == "trio" else None)
    async def awaited() -> Any:  # noqa: ANN401  # whatever it gives
        return work()

    return awaited


def failure(start: Start, kind: str, work: Callable[[], Any]) -> RemoteError:
    """How a call ends whose handler does that; the second one, so that none holds the slot."""
    start("bob", capabilities=[handler(kind, work)])
    alice = start("alice")
    with pytest.raises(RemoteError):
        alice.call("work", timeout=5)
    with pytest.raises(RemoteError) as raised:
        alice.call("work", timeout=5)
    assert handles(alice.members()) == {"alice", "bob"}
    return raised.value


def raising(error: BaseException) -> Callable[[], None]:
    """A function that raises it."""

    def work() -> None:
        raise error

    return work


class UnspeakableError(Exception):
    """Cannot even be described."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


# --- what handlers raise --------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError("no")]),
        GeneratorExit(),
        pytest.fail.Exception("a test inside a handler"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_handler_raises_is_an_error_of_its_call(
    start: Start, kind: str, error: BaseException
) -> None:
    """No kind of exception ends the node, or keeps the handler's slot."""
    assert failure(start, kind, raising(error)).type == type(error).__name__


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_without_words_is_told_by_its_type(start: Start, kind: str) -> None:
    """Its text raises; the caller still learns what it was."""
    assert failure(start, kind, raising(UnspeakableError())).type == "UnspeakableError"


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_cannot_travel_is_told_as_far_as_it_can(start: Start, kind: str) -> None:
    """Half a surrogate pair in an exception's text arrives as its escape."""
    told = failure(start, kind, raising(ValueError(HALF_A_PAIR)))

    assert told.message == r"half \ud800 a pair"
    assert r"half \ud800 a pair" in (told.remote_traceback or "")


def test_a_reason_that_cannot_travel_is_told_as_far_as_it_can(start: Start) -> None:
    """The same for `Refused`, which travels as a refusal."""
    start("bob", capabilities=[handler("plain", raising(Refused(HALF_A_PAIR)))])
    alice = start("alice")

    with pytest.raises(Refused, match=r"half \\ud800 a pair"):
        alice.call("work", timeout=5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_cannot_travel_is_the_handlers_error(start: Start, kind: str) -> None:
    """Text without UTF-8, alone or deep inside, is named as what is wrong."""
    told = failure(start, kind, lambda: {"names": [HALF_A_PAIR]})

    assert "the handler's result cannot be encoded" in told.message


def test_a_trio_handler_that_fails_while_it_is_cancelled_ends_only_its_call(start: Start) -> None:
    """Its cancellation comes in one group with what its tasks raised meanwhile."""
    failed: list[str] = []

    async def fall_over() -> None:
        try:
            await trio.sleep_forever()
        finally:
            failed.append("clean-up")
            raise ValueError("clean-up failed")

    @capability("work", loop="trio", limit=1)
    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fall_over)
            nursery.start_soon(trio.sleep_forever)

    bob, alice = start("bob", capabilities=[work]), start("alice")

    with pytest.raises(Exception, match="within"):
        alice.call("work", timeout=0.1)
    eventually(lambda: failed)

    assert handles(bob.members()) == {"alice", "bob"}
    assert handles(alice.members()) == {"alice", "bob"}


def test_without_threads_a_call_fails_and_the_node_stays(run: Run) -> None:
    """A process at its limit of threads says so to callers, and serves once it has some."""
    program = run(
        """
        import threading
        from meshp2p import Node, RemoteError, capability

        @capability("plain")
        def plain():
            return "done"

        @capability("awaited")
        async def awaited():
            return "done"

        with Node("bob", capabilities=[plain, awaited]) as bob:
            before = threading.stack_size(1 << 47)  # no such stack fits in memory
            for name in ("plain", "awaited"):
                try:
                    bob.call(name, timeout=5)
                except RemoteError as error:
                    print(error.type)
            threading.stack_size(before)
            print(bob.call("plain", timeout=5), bob.call("awaited", timeout=5))
        """
    )

    assert program.line() == "RuntimeError"
    assert program.line() == "RuntimeError"
    assert program.line() == "done done"
    assert program.wait() == 0, program.errors()


# --- what arguments do ----------------------------------------------------------------------


@dataclasses.dataclass
class Order:
    """Refuses in its own way."""

    amount: int

    def __post_init__(self) -> None:
        assert self.amount > 0, "amount must be positive"
        if self.amount > 1_000:
            raise KeyboardInterrupt


@pytest.mark.parametrize("inline", [False, True])
def test_arguments_that_a_class_refuses_are_the_callers_error(
    start: Start, *, inline: bool
) -> None:
    """Whatever a validator raises, the caller sees it, and the next call is served."""

    @capability("order", inline=inline)
    def take(order: Order) -> int:
        return order.amount

    start("bob", capabilities=[take])
    alice = start("alice")

    with pytest.raises(RemoteError, match="AssertionError: amount must be positive"):
        alice.call("order", {"amount": -1}, timeout=5)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        alice.call("order", {"amount": 1_001}, timeout=5)
    assert alice.call("order", {"amount": 3}, timeout=5) == 3


# --- listeners and logs ---------------------------------------------------------------------


@pytest.mark.parametrize("error", [UnspeakableError(), KeyboardInterrupt(), ValueError("\ud800")])
@pytest.mark.parametrize("kind", ["plain", "awaited"])
def test_whatever_a_listener_raises_the_next_event_is_told(
    start: Start, kind: str, error: BaseException
) -> None:
    """A listener fails for itself alone."""
    alice = start("alice")
    heard: list[str] = []

    def listen(event: MemberEvent) -> None:
        heard.append(event.member.handle)
        raise error

    async def await_it(event: MemberEvent) -> None:
        listen(event)

    alice.on("member.joined")(listen if kind == "plain" else await_it)

    start("bob")
    eventually(lambda: heard == ["bob"])
    start("carol")
    eventually(lambda: heard == ["bob", "carol"])


@pytest.fixture
def breaking_log() -> Iterator[list[str]]:
    """The application's logging handler raises on every line of the library."""
    lines: list[str] = []

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())
            raise RuntimeError("the log is full")

    logger, broken = logging.getLogger("meshp2p"), Broken()
    level = logger.level
    logger.addHandler(broken)
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.setLevel(level)
    logger.removeHandler(broken)


def test_a_log_that_breaks_does_not_break_the_node(
    start: Start, breaking_log: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """What the application's logging raises goes to standard error, as logging's own does."""
    alice, bob = start("alice"), start("bob", capabilities=[handler("plain", lambda: "done")])
    eventually(lambda: breaking_log)

    assert alice.call("work", timeout=5) == "done"
    assert handles(bob.members()) == {"alice", "bob"}
    assert "the log is full" in capfd.readouterr().err


def test_ctrl_c_in_the_users_own_loop_is_still_ctrl_c() -> None:
    """A handler on the main thread that Ctrl-C hits ends the program, as without a node."""

    @capability("work")
    async def work() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        async with Node("alice", capabilities=[work]) as alice:
            await alice.call("work", timeout=5)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
