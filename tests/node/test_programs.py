"""The programs of the README: two terminals, no configuration, under every library."""

from __future__ import annotations

import pytest

from tests.node.processes import Run

SERVER = """
    from meshp2p import Node, capability

    @capability("greet")
    def greet(name: str) -> str:
        return f"hello {name}"

    with Node("bob", capabilities=[greet]) as node:
        print("serving", flush=True)
        node.run_forever()
"""

CALLERS = {
    "plain": """
        from meshp2p import Node

        with Node("alice") as node:
            print(node.call("greet", "world"))
    """,
    "trio": """
        import trio
        from meshp2p import Node

        async def main():
            async with Node("alice") as node:
                print(await node.call("greet", "world"))

        trio.run(main)
    """,
    "asyncio": """
        import asyncio
        from meshp2p import Node

        async def main():
            async with Node("alice") as node:
                print(await node.call("greet", "world"))

        asyncio.run(main())
    """,
}

ASYNC_SERVERS = {
    "trio": """
        import trio
        from meshp2p import Node, capability

        @capability("greet")
        async def greet(name: str) -> str:
            await trio.sleep(0)
            return f"hello {name}"

        async def main():
            async with Node("bob", capabilities=[greet]) as node:
                print("serving", flush=True)
                await node.run_forever()

        trio.run(main)
    """,
    "asyncio": """
        import asyncio
        from meshp2p import Node, capability

        @capability("greet")
        async def greet(name: str) -> str:
            await asyncio.sleep(0)
            return f"hello {name}"

        async def main():
            async with Node("bob", capabilities=[greet]) as node:
                print("serving", flush=True)
                await node.run_forever()

        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("library", CALLERS)
def test_two_terminals_and_no_configuration(run: Run, library: str) -> None:
    """A server and a caller that know nothing of each other; both end without a word."""
    server = run(SERVER)
    assert server.line() == "serving"

    caller = run(CALLERS[library])

    assert caller.line() == "hello world"
    assert caller.wait(within=5) == 0, caller.errors()
    assert caller.errors() == ""
    assert server.process.poll() is None


@pytest.mark.parametrize("library", ASYNC_SERVERS)
def test_a_server_may_be_async(run: Run, library: str) -> None:
    """The same with `async def` handlers, on the library that the program chose."""
    server = run(ASYNC_SERVERS[library])
    assert server.line() == "serving"

    caller = run(CALLERS["plain"])

    assert caller.line() == "hello world"
    assert caller.wait(within=5) == 0, caller.errors()


def test_the_order_of_starting_does_not_matter(run: Run) -> None:
    """A caller that comes first waits a second for somebody who can."""
    caller = run(
        """
        import sys
        from meshp2p import Node

        with Node("alice") as node:
            print("up", flush=True)
            sys.stdin.readline()
            print(node.call("greet", "world", timeout=10))
        """
    )
    assert caller.line() == "up"
    server = run(SERVER)
    assert server.line() == "serving"

    caller.say()

    assert caller.line() == "hello world"
    assert caller.wait() == 0, caller.errors()
