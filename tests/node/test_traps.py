"""Everything that libraries of this kind have tripped over, tried on a real node."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from meshp2p import Closed, Context, Node, UsageError, capability
from tests.node.conftest import Start
from tests.node.processes import STARTING, Run
from tests.node.waiting import eventually, handles, know_each_other, trio_was_answered


@capability("greet")
def greet(name: str) -> str:
    """Say hello."""
    return f"hello {name}"


# --- beginnings ---------------------------------------------------------------------------


def test_starting_twice_is_a_usage_error(start: Start) -> None:
    """One Node object is one life; the text says what to do instead."""
    alice = start("alice")

    with pytest.raises(UsageError, match="was started before; make a new Node to start again"):
        alice.start()
    alice.stop()
    with pytest.raises(UsageError, match="was started before"):
        alice.start()


def test_a_node_that_never_started_says_so() -> None:
    """Every verb of a node that is not running raises `Closed`, with the reason."""
    alice = Node("alice")

    for verb in (
        lambda: alice.call("greet", "x"),
        lambda: alice.send("@bob", "x"),
        alice.members,
        alice.stats,
        lambda: alice.id,
        lambda: alice.vote("?", ["yes", "no"]),
        lambda: alice.auction("greet", "x"),
    ):
        with pytest.raises(Closed, match="not started"):
            verb()
    alice.stop()


def test_every_verb_of_a_stopped_node_raises_closed(start: Start) -> None:
    """Nothing hangs and nothing raises anything else once a node has stopped."""
    alice = start("alice")
    alice.stop()

    for verb in (
        lambda: alice.call("greet", "x"),
        lambda: alice.send("@bob", "x"),
        alice.members,
        alice.stats,
        lambda: alice.announce(greet),
        lambda: alice.vote("?", ["yes", "no"]),
        lambda: alice.auction("greet", "x"),
    ):
        with pytest.raises(Closed, match="the node has stopped"):
            verb()


def test_with_starts_a_node_and_stops_it() -> None:
    """Also one that was started before; inside, it is itself."""
    with Node("alice", capabilities=[greet]) as alice:
        assert alice.call("greet", "x") == "hello x"
        with Node("bob").start() as bob:
            know_each_other(alice, bob)
    with pytest.raises(Closed):
        bob.members()
    with pytest.raises(Closed):
        alice.members()


# --- ends ---------------------------------------------------------------------------------


def test_stop_may_be_called_by_anybody_as_often_as_they_like(start: Start) -> None:
    """Eight threads stop one node twice each; all return, the node has left."""
    alice, bob = start("alice"), start("bob")
    know_each_other(alice, bob)

    def stop_twice() -> None:
        bob.stop()
        bob.stop()

    threads = [threading.Thread(target=stop_twice) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert not any(thread.is_alive() for thread in threads)
    eventually(lambda: handles(alice.members()) == {"alice"})


@pytest.mark.parametrize("kind", ["thread", "inline", "async", "trio", "message", "listener"])
def test_a_handler_may_stop_its_own_node(start: Start, kind: str) -> None:
    """It does not wait for itself; its answer still leaves, and then the node does."""
    alice, stopped = start("alice"), threading.Event()

    def stop(*_: object) -> str:
        bob.stop()
        stopped.set()
        return "bye"

    def stop_plain() -> str:
        return stop()

    def stop_inline() -> str:
        return stop()

    async def stop_async() -> str:
        return stop()

    async def stop_on_trio() -> str:
        return stop()

    handlers = {
        "thread": capability("stop")(stop_plain),
        "inline": capability("stop", inline=True)(stop_inline),
        "async": capability("stop")(stop_async),
        "trio": capability("stop", loop="trio")(stop_on_trio),
    }
    bob = start("bob", capabilities=[handlers[kind]] if kind in handlers else [])
    know_each_other(alice, bob)
    began = time.monotonic()

    if kind == "listener":
        bob.on("member.joined")(stop)
        start("carol")
    elif kind == "message":
        bob.on_message(stop)
        assert alice.call("@bob", "leave", timeout=3) == "bye"
    else:
        assert alice.call("stop", timeout=3) == "bye"

    assert stopped.wait(3)
    eventually(lambda: "bob" not in handles(alice.members()), within=3)
    assert time.monotonic() - began < 3


def test_stop_does_not_wait_for_a_handler_that_never_ends(start: Start) -> None:
    """Five seconds at most for handlers; then the node leaves all the same."""
    begun, never = threading.Event(), threading.Event()

    @capability("hang")
    def hang() -> None:
        begun.set()
        never.wait(60)

    alice, bob = start("alice"), start("bob", capabilities=[hang])
    caller = threading.Thread(target=lambda: swallow(lambda: alice.call("hang")), daemon=True)
    caller.start()
    assert begun.wait(5)

    began = time.monotonic()
    bob.stop()

    assert time.monotonic() - began < 7
    caller.join(2)
    assert not caller.is_alive()
    never.set()


def swallow(act: Callable[[], object]) -> None:
    """Run it, whatever it raises: only its end counts."""
    with contextlib.suppress(Exception):
        act()


@pytest.mark.parametrize("end", ["", "raise ValueError('mine')", "import sys; sys.exit(3)"])
def test_a_forgotten_stop_still_says_goodbye_and_ends_promptly(
    start: Start, run: Run, end: str
) -> None:
    """A script that just ends leaves the mesh properly: "left", not "failed"."""
    alice = start("alice")
    script = run(
        f"""
        import sys
        from meshp2p import Node
        node = Node("bob").start()
        print("up")
        sys.stdin.readline()
        {end}
        """
    )
    assert script.line() == "up"
    eventually(lambda: handles(alice.members()) == {"alice", "bob"})

    script.say()
    began = time.monotonic()
    status = script.wait(within=5)

    assert time.monotonic() - began < 2
    assert status == {"": 0, "r": 1, "i": 3}[end[:1]]
    errors = script.errors()
    assert ("ValueError: mine" in errors) if end.startswith("raise") else errors == ""
    eventually(lambda: handles(alice.members(state="left")) == {"bob"})


def test_a_script_with_a_running_handler_ends_promptly(start: Start, run: Run) -> None:
    """A handler that would run for a minute does not keep the interpreter."""
    alice = start("alice")
    script = run(
        """
        import sys, time
        from meshp2p import Node, capability

        @capability("hang")
        def hang() -> None:
            print("hanging", flush=True)
            time.sleep(60)

        node = Node("bob", capabilities=[hang]).start()
        print("up")
        sys.stdin.readline()
        """
    )
    assert script.line() == "up"
    eventually(lambda: alice.members("hang"))
    threading.Thread(target=lambda: swallow(lambda: alice.call("hang")), daemon=True).start()
    assert script.line() == "hanging"

    script.say()

    assert script.wait(within=5) == 0, script.errors()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_forever_ends_at_a_signal_and_leaves(
    start: Start, run: Run, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM end a serving program without a traceback, after its goodbye."""
    alice = start("alice")
    server = run(
        """
        import sys, threading, traceback
        from meshp2p import Node, capability

        @capability("serving", inline=True)
        def serving() -> bool:
            main = sys._current_frames()[threading.main_thread().ident]
            names = [frame.name for frame in traceback.extract_stack(main)]
            return "run_forever" in names and names[-1] == "wait"

        node = Node("bob", capabilities=[serving]).start()
        node.run_forever()
        print("over")
        """
    )
    eventually(lambda: handles(alice.members()) == {"alice", "bob"}, within=STARTING)
    eventually(lambda: alice.call("serving"))

    server.signal(number)

    assert server.line(within=5) == "over"
    assert server.wait() == 0
    assert server.errors() == ""
    eventually(lambda: handles(alice.members(state="left")) == {"bob"})


def test_a_second_ctrl_c_does_not_wait_for_handlers(start: Start, run: Run) -> None:
    """Whoever is impatient gets no traceback; the others still hear a goodbye."""
    alice = start("alice")
    server = run(
        """
        import sys, threading, traceback
        from meshp2p import Node, capability

        @capability("work")
        def work() -> None:
            main = threading.main_thread().ident
            print("working")
            while True:
                names = [f.name for f in traceback.extract_stack(sys._current_frames()[main])]
                if "stop" in names and names[-1] == "wait":
                    print("stopping")
                    threading.Event().wait()

        with Node("bob", capabilities=[work]) as node:
            node.run_forever()
        print("over")
        """
    )
    eventually(lambda: handles(alice.members()) == {"alice", "bob"}, within=STARTING)
    threading.Thread(target=lambda: swallow(lambda: alice.call("work")), daemon=True).start()
    assert server.line(within=5) == "working"
    server.signal(signal.SIGINT)
    assert server.line(within=5) == "stopping"

    server.signal(signal.SIGINT)

    assert server.line(within=2) == "over"
    assert server.wait() == 0
    assert server.errors() == ""
    eventually(lambda: handles(alice.members(state="left")) == {"bob"})


def test_a_node_nobody_holds_goes_on_serving(start: Start) -> None:
    """A notebook cell that forgets the variable has still started an agent."""
    alice = start("alice")
    kept = [Node("bob", capabilities=[greet]).start()]
    eventually(lambda: alice.members("greet"))
    stop = kept[0]._host.stop  # type: ignore[union-attr]  # noqa: SLF001  # the test must end it

    kept.clear()
    gc.collect()

    assert alice.call("greet", "x") == "hello x"
    stop(5.0)


# --- fork ---------------------------------------------------------------------------------

FORK = """
    import os, sys, time
    from meshp2p import Closed, Node, capability

    @capability("greet")
    def greet(name: str) -> str:
        return f"hello {name}"

    node = Node("bob", capabilities=[greet]).start()
    print("up", flush=True)
    sys.stdin.readline()
    child = os.fork()
    if child == 0:
        try:
            node.call("greet", "x", timeout=5)
        except Closed as error:
            print("child:", error, flush=True)
        node.stop()
        with Node("carol", capabilities=[greet]) as own:
            print("child:", own.call("@carol/greet", "own"), flush=True)
        sys.exit(0)
    print("status", os.waitpid(child, 0)[1], flush=True)
    print("parent:", node.call("greet", "x"), flush=True)
    sys.stdin.readline()
"""


def test_a_fork_has_no_node_and_its_parent_keeps_it(start: Start, run: Run) -> None:
    """In the child every call raises at once and a new node works; the parent serves on."""
    alice = start("alice")
    parent = run(FORK)
    assert parent.line() == "up"
    eventually(lambda: alice.members("greet"))
    assert alice.call("@bob/greet", "before") == "hello before"
    failed: list[object] = []
    alice.on("member.failed")(failed.append)
    alice.on("member.left")(failed.append)

    parent.say()

    assert "fork" in parent.line()
    assert parent.line() == "child: hello own"
    assert parent.line() == "status 0"
    assert parent.line() == "parent: hello x"
    assert alice.call("@bob/greet", "after") == "hello after"
    assert [event.member.handle for event in failed] == ["carol"]  # type: ignore[attr-defined]
    parent.say()
    assert parent.wait() == 0, parent.errors()


def test_a_child_that_outlives_its_parent_does_not_hold_the_parents_place(
    start: Start, run: Run
) -> None:
    """Killed with a forked child alive, a node is dead: port, slot and entry are free."""
    parent = run(
        """
        import os, sys, time
        from meshp2p import Node
        node = Node("bob", bind=sys.argv[1]).start()
        if os.fork() == 0:
            os.close(0), os.close(1), os.close(2)
            time.sleep(20)
            os._exit(0)
        print(node.id, node.addresses[0], flush=True)
        sys.stdin.readline()
        """,
        "127.0.0.1:0",
    )
    node_id, address = parent.line().split()
    alice = start("alice")
    eventually(lambda: handles(alice.members()) == {"alice", "bob"})

    parent.signal(signal.SIGKILL)
    parent.wait()

    eventually(lambda: handles(alice.members()) == {"alice"}, within=10)
    again = start("bob", bind=address)
    assert again.id == node_id


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_works_beside_a_node(start: Start, method: str) -> None:
    """A pool made while a node runs neither hangs nor disturbs it."""
    alice = start("alice", capabilities=[greet])

    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]

    assert alice.call("greet", "x") == "hello x"


# --- trio and asyncio ---------------------------------------------------------------------


def test_asyncio_run_twice(start: Start) -> None:
    """Each run has a node of its own; nothing is left of the first loop."""
    start("bob", capabilities=[greet])

    async def main() -> object:
        async with Node("alice") as alice:
            return await alice.call("greet", "x")

    assert [asyncio.run(main()) for _ in range(2)] == ["hello x"] * 2


def test_one_node_object_cannot_be_entered_twice() -> None:
    """The second `async with` of one object is a usage error."""

    async def main() -> None:
        node = Node("alice")
        async with node:
            pass
        with pytest.raises(UsageError, match="was started before"):
            async with node:
                pass

    asyncio.run(main())
    trio.run(main)


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_exceptions_in_the_block_come_out_as_they_are(library: str) -> None:
    """No exception group, no other type: what was raised inside is raised outside."""

    class MineError(Exception):
        pass

    async def main() -> None:
        async with Node("alice"):
            raise MineError

    with pytest.raises(MineError):
        trio.run(main) if library == "trio" else asyncio.run(main())


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_errors_of_the_start_come_out_as_they_are(library: str, home: Path) -> None:
    """Also those are no groups."""
    (home / "state").write_text("in the way")

    async def main() -> None:
        async with Node("alice"):
            pass

    with pytest.raises(Exception, match="cannot create") as raised:
        trio.run(main) if library == "trio" else asyncio.run(main())
    assert type(raised.value).__name__ == "StateUnusable"


def test_cancelling_the_whole_trio_scope_leaves_the_mesh(start: Start) -> None:
    """A cancelled block ends promptly, and the others hear a goodbye."""
    alice = start("alice")

    async def main() -> float:
        with trio.CancelScope() as scope:
            async with Node("bob") as bob:
                await trio_was_answered(bob)
                began = trio.current_time()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        return trio.current_time() - began

    assert trio.run(main) < 1
    eventually(lambda: handles(alice.members(state="left")) == {"bob"})


def test_cancelling_the_asyncio_task_leaves_the_mesh(start: Start) -> None:
    """The same for a task that is cancelled inside its `async with`."""
    alice = start("alice")

    async def serve(up: asyncio.Event) -> None:
        async with Node("bob"):
            up.set()
            await asyncio.sleep(60)

    async def main() -> None:
        up = asyncio.Event()
        task = asyncio.create_task(serve(up))
        await up.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    eventually(lambda: handles(alice.members(state="left")) == {"bob"})


def test_two_nodes_in_one_async_block(start: Start) -> None:
    """Contexts nest, in one loop, under trio and under asyncio."""
    start("carol", capabilities=[greet])

    async def main() -> None:
        async with Node("alice") as alice, Node("bob") as bob:
            assert await alice.call("greet", "x") == "hello x"
            assert await bob.call("greet", "y") == "hello y"

    trio.run(main)
    asyncio.run(main())


def test_asyncio_inside_a_trio_thread_and_the_reverse(start: Start) -> None:
    """A library that runs its own loop in a thread may have its own node there."""
    start("carol", capabilities=[greet])

    async def inner() -> object:
        async with Node() as node:
            return await node.call("greet", "inner")

    async def outer_trio() -> None:
        async with Node("alice") as alice:
            assert await trio.to_thread.run_sync(lambda: asyncio.run(inner())) == "hello inner"
            assert await alice.call("greet", "outer") == "hello outer"

    async def outer_asyncio() -> None:
        async with Node("alice") as alice:
            assert await asyncio.to_thread(lambda: trio.run(inner)) == "hello inner"
            assert await alice.call("greet", "outer") == "hello outer"

    trio.run(outer_trio)
    asyncio.run(outer_asyncio())


def test_a_node_may_be_entered_and_left_in_different_asyncio_tasks() -> None:
    """As pytest fixtures and web frameworks do; a cancel scope in a task could not."""

    async def main() -> None:
        node = Node("alice", capabilities=[greet])
        entered = await asyncio.create_task(node.__aenter__())
        assert await entered.call("greet", "x") == "hello x"
        await asyncio.create_task(node.__aexit__(None, None, None))
        with pytest.raises(Closed):
            await entered.call("greet", "x")

    asyncio.run(main())


def test_a_blocked_asyncio_loop_does_not_make_its_node_look_dead(start: Start) -> None:
    """The node has a thread of its own: it answers probes while the user's loop sleeps."""
    alice = start("alice")
    events: list[object] = []
    for name in ("member.suspected", "member.failed"):
        alice.on(name)(events.append)

    async def main() -> None:
        async with Node("bob", capabilities=[greet]):
            eventually(lambda: alice.members("greet"))
            for n in range(15):
                assert alice.call("greet", str(n), timeout=5) == f"hello {n}"
                time.sleep(0.1)  # noqa: ASYNC251  # a badly written agent

    asyncio.run(main())
    assert events == []


def test_stop_inside_the_block(start: Start) -> None:
    """`await node.stop()` leaves at once; the end of the block has nothing left to do."""
    alice = start("alice")

    async def main() -> None:
        async with Node("bob") as bob:
            await bob.stop()
            eventually(lambda: handles(alice.members(state="left")) == {"bob"})
            with pytest.raises(Closed):
                await bob.call("greet", "x")
            await bob.stop()

    trio.run(main)
    asyncio.run(main())


def test_concurrent_calls_in_one_loop(start: Start) -> None:
    """A hundred tasks call at once, under both libraries."""
    start("bob", capabilities=[greet])
    expected = [f"hello {n}" for n in range(100)]

    async def with_asyncio() -> list[object]:
        async with Node("alice") as alice:
            return list(await asyncio.gather(*(alice.call("greet", str(n)) for n in range(100))))

    async def with_trio() -> list[object]:
        answers: dict[int, object] = {}

        async def one(number: int) -> None:
            answers[number] = await alice.call("greet", str(number))

        async with Node("alice") as alice, trio.open_nursery() as nursery:
            for n in range(100):
                nursery.start_soon(one, n)
        return [answers[n] for n in range(100)]

    assert asyncio.run(with_asyncio()) == expected
    assert trio.run(with_trio) == expected


def test_plain_handlers_of_async_nodes_may_call() -> None:
    """Their context blocks the worker thread, not the loop, under both libraries."""

    @capability("relay")
    def relay(ctx: Context) -> object:
        return [ctx.call("greet", "relay"), ctx.hops]

    async def main() -> object:
        async with Node("alice", capabilities=[relay, greet]) as alice:
            return await alice.call("relay")

    assert trio.run(main) == ["hello relay", 1]
    assert asyncio.run(main()) == ["hello relay", 1]


# --- notebooks ----------------------------------------------------------------------------


def test_cells_of_a_notebook_with_a_running_loop(start: Start, run: Run) -> None:
    """Blocking verbs and awaited ones both work in IPython, where a loop runs already."""
    start("bob", capabilities=[greet])
    cells = run(
        """
        from IPython.core.interactiveshell import InteractiveShell
        import asyncio

        shell = InteractiveShell.instance()

        async def cells():
            for cell in [
                "from meshp2p import Node",
                "node = Node('alice').start()",
                "print(node.call('greet', 'cell'))",
                "async with Node('carol') as carol:\\n"
                "    print(await carol.call('greet', 'await'))",
                "print(sorted(member.handle for member in node.members()))",
                "node.stop()",
            ]:
                result = await shell.run_cell_async(cell, transformed_cell=cell)
                result.raise_error()

        asyncio.run(cells())
        """,
        interpreter=("-u", "-c"),
    )
    assert cells.line() == "hello cell"
    assert cells.line() == "hello await"
    assert cells.line() in ("['alice', 'bob', 'carol']", "['alice', 'bob']")
    assert cells.wait() == 0, cells.errors()


def test_the_command_line_of_ipython(start: Start, run: Run) -> None:
    """`ipython -c` with a node that is never stopped ends promptly and leaves."""
    alice = start("alice", capabilities=[greet])
    session = run(
        "from meshp2p import Node; node = Node('bob').start(); "
        "print(node.call('greet', 'ipython'))",
        interpreter=("-m", "IPython", "--no-banner", "--colors=NoColor", "-c"),
    )

    assert session.line() == "hello ipython"
    assert session.wait() == 0, session.errors()
    eventually(lambda: handles(alice.members(state="left")) == {"bob"})


def test_nothing_is_left_behind() -> None:
    """Ten lives later this process has as many threads and open files as before."""
    with Node("alice", capabilities=[greet]) as alice:
        alice.call("greet", "warm up")
    gc.collect()
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(10):
        with Node("alice", capabilities=[greet]) as alice:
            alice.call("greet", "x")

    gc.collect()
    eventually(lambda: threading.active_count() <= threads + 2)
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 2


def test_the_library_imports_quickly(run: Run) -> None:
    """No half second before a script can begin, and no library that it does not need."""
    script = run(
        """
        import sys, time
        began = time.perf_counter()
        import meshp2p
        print(time.perf_counter() - began, "zeroconf" in sys.modules, "IPython" in sys.modules)
        """
    )

    seconds, *loaded = script.line().split()

    assert float(seconds) < 1.5
    assert loaded == ["False", "False"]
    assert sys.version_info >= (3, 11)
