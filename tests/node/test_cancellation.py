"""Whoever stops waiting stops the work: cancellation crosses the network."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import pytest
import trio

from meshp2p import AsyncContext, Closed, Context, Node, capability
from tests.node.conftest import Start
from tests.node.processes import STARTING, Run
from tests.node.tap import free_port
from tests.node.waiting import eventually, handles, know_each_other, trio_sees


class Sleeper:
    """Handlers that wait until they are cancelled, and what they noticed."""

    def __init__(self) -> None:
        """Nothing has begun."""
        self.began = threading.Event()
        self.ended = threading.Event()

        @capability("sleep.plain")
        def plain(ctx: Context) -> None:
            self.began.set()
            while not ctx.cancelled:
                self.ended.wait(0.005)
            self.ended.set()

        @capability("sleep.async")
        async def on_asyncio() -> None:
            self.began.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.ended.set()
                raise

        @capability("sleep.trio", loop="trio")
        async def on_trio() -> None:
            self.began.set()
            try:
                await trio.sleep(60)
            finally:
                self.ended.set()

        self.capabilities = [plain, on_asyncio, on_trio]

    def is_over(self) -> bool:
        """Whether the handler has noticed."""
        return self.ended.wait(5)


KINDS = ["sleep.plain", "sleep.async", "sleep.trio"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trio_scope_that_is_cancelled_cancels_the_handler(start: Start, kind: str) -> None:
    """Leaving the cancel scope on one machine ends the handler on the other."""
    sleeper = Sleeper()
    start("bob", capabilities=sleeper.capabilities)

    async def main() -> None:
        async with Node("alice") as alice, trio.open_nursery() as nursery:
            nursery.start_soon(alice.call, kind)
            with trio.fail_after(5):
                await trio.to_thread.run_sync(sleeper.began.wait, 5)
            nursery.cancel_scope.cancel()
        assert sleeper.is_over()

    trio.run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_an_asyncio_task_that_is_cancelled_cancels_the_handler(start: Start, kind: str) -> None:
    """`task.cancel()` is enough; the task ends as cancelled."""
    sleeper = Sleeper()
    start("bob", capabilities=sleeper.capabilities)

    async def main() -> None:
        async with Node("alice") as alice:
            task = asyncio.create_task(alice.call(kind))
            assert await asyncio.to_thread(sleeper.began.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(sleeper.is_over)

    asyncio.run(main())


def test_a_timeout_of_the_library_is_a_cancellation(start: Start) -> None:
    """`trio.move_on_after` and `asyncio.timeout` around a call reach the handler."""
    first, second = Sleeper(), Sleeper()
    start("bob", capabilities=first.capabilities)

    async def with_trio() -> None:
        async with Node("alice") as alice:
            with trio.move_on_after(0.2) as scope:
                await alice.call("sleep.plain")
            assert scope.cancelled_caught
            assert await trio.to_thread.run_sync(first.is_over)

    trio.run(with_trio)
    start("carol", capabilities=second.capabilities)

    async def with_asyncio() -> None:
        async with Node("dave") as dave:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await dave.call("@carol/sleep.plain")
            assert await asyncio.to_thread(second.is_over)

    asyncio.run(with_asyncio())


def test_cancellation_follows_the_chain_of_calls(start: Start) -> None:
    """Bob calls carol for alice; when alice gives up, carol's handler ends too."""
    sleeper = Sleeper()

    @capability("relay", loop="trio")
    async def relay(ctx: AsyncContext) -> object:
        return await ctx.call("sleep.trio")

    bob = start("bob", capabilities=[relay])
    carol = start("carol", capabilities=sleeper.capabilities)
    know_each_other(bob, carol)

    async def main() -> None:
        async with Node("alice") as alice:
            await trio_sees(alice, 3)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.call, "relay")
                await trio.to_thread.run_sync(sleeper.began.wait, 5)
                nursery.cancel_scope.cancel()
            assert await trio.to_thread.run_sync(sleeper.is_over)

    trio.run(main)


def test_ctrl_c_interrupts_a_blocking_call_and_its_handler(start: Start, run: Run) -> None:
    """Ctrl-C in a script raises at once in the caller, and the callee stops."""
    sleeper = Sleeper()
    start("bob", capabilities=sleeper.capabilities)
    alice = run(
        """
        from meshp2p import Node
        with Node("alice") as node:
            print("calling")
            try:
                node.call("sleep.plain", timeout=60)
            except KeyboardInterrupt:
                print("interrupted")
            print(len(node.members()), node.stats()["calls_open"])
        """
    )
    assert alice.line() == "calling"
    assert sleeper.began.wait(5)

    alice.signal(signal.SIGINT)

    assert alice.line(within=2) == "interrupted"
    assert alice.line() == "2 0"
    assert alice.wait() == 0, alice.errors()
    assert sleeper.is_over()


def test_ctrl_c_while_a_node_joins_leaves_nothing_behind(run: Run, home: Path) -> None:
    """Nobody holds a node whose start was interrupted, so it must not go on alone."""
    alice = run(
        f"""
        import sys, threading
        from meshp2p import Node
        from meshp2p.config import Config

        patient = Config(join_wait=4.0)
        node = Node("alice", seeds=["127.0.0.1:{free_port()}"], config=patient)
        try:
            node.start()
        except KeyboardInterrupt:
            print([thread.name for thread in threading.enumerate() if "meshp2p" in thread.name])
        sys.stdin.readline()
        with node:
            print(len(node.members()))
        """
    )
    eventually(lambda: entries(home))  # it has begun to join; its seed keeps it for four seconds

    alice.signal(signal.SIGINT)

    assert alice.line(within=2) == "[]"
    assert entries(home) == []
    alice.say()
    assert alice.line() == "1"
    assert alice.wait() == 0, alice.errors()


def entries(home: Path) -> list[Path]:
    """What nodes of this machine say where they are."""
    return [path for path in (home / "run").rglob("*") if path.is_file()]


LOOPS = {
    "trio": "trio.run(main)",
    "asyncio": "asyncio.run(main())",
}


@pytest.mark.parametrize("library", LOOPS)
def test_ctrl_c_in_an_async_program_ends_the_call_and_leaves(
    start: Start, run: Run, library: str
) -> None:
    """The program ends as its library has it; the callee stops, the others hear a goodbye."""
    sleeper = Sleeper()
    bob = start("bob", capabilities=sleeper.capabilities)
    alice = run(
        f"""
        import asyncio, trio
        from meshp2p import Node

        async def main():
            async with Node("alice") as node:
                await node.call("sleep.plain", timeout=60)

        try:
            {LOOPS[library]}
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert sleeper.began.wait(STARTING)

    alice.signal(signal.SIGINT)

    assert alice.line(within=3) == "interrupted"
    assert alice.wait() == 0, alice.errors()
    assert alice.errors() == ""
    assert sleeper.is_over()
    eventually(lambda: handles(bob.members(state="left")) == {"alice"})


def test_a_caller_that_dies_cancels_its_calls(start: Start, run: Run) -> None:
    """Nobody works for a process that was killed."""
    sleeper = Sleeper()
    start("bob", capabilities=sleeper.capabilities)
    alice = run(
        """
        from meshp2p import Node
        Node("alice").start().call("sleep.trio", timeout=60)
        """
    )
    assert sleeper.began.wait(STARTING)

    alice.signal(signal.SIGKILL)

    assert sleeper.is_over()


def test_stop_ends_the_calls_of_other_threads(start: Start) -> None:
    """Whoever waits for an answer when the node stops gets `Closed`, not silence."""
    sleeper = Sleeper()
    alice, _bob = start("alice"), start("bob", capabilities=sleeper.capabilities)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            alice.call("sleep.trio", timeout=60)
        except Closed as error:
            raised.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    assert sleeper.began.wait(5)

    alice.stop()

    waiting.join(5)
    assert [str(error) for error in raised] == ["the node has stopped"]
    assert sleeper.is_over()
    with pytest.raises(Closed):
        alice.call("sleep.plain")


def test_a_cancelled_answer_that_comes_late_disturbs_nobody(start: Start) -> None:
    """Calls after a cancelled one get their own answers."""

    @capability("late")
    def late(number: int, ctx: Context) -> int:
        while number == 0 and not ctx.cancelled:
            threading.Event().wait(0.005)
        return number

    start("bob", capabilities=[late])

    async def main() -> None:
        async with Node("alice") as alice:
            for number in range(1, 20):
                with trio.move_on_after(0.005):
                    await alice.call("late", 0)
                assert await alice.call("late", number) == number

    trio.run(main)


def test_cancelled_calls_leave_nothing_behind(start: Start) -> None:
    """No open call at the caller, no running handler at the callee."""
    sleeper = Sleeper()
    bob = start("bob", capabilities=sleeper.capabilities)

    async def main() -> None:
        async with Node("alice") as alice:
            for _ in range(20):
                with trio.move_on_after(0.01):
                    await alice.call("sleep.trio")
            assert (await alice.stats())["calls_open"] == 0

    trio.run(main)
    eventually(lambda: bob.stats()["handlers_running"] == 0)
