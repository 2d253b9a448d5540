"""Agents that the tests of `meshp2p.testing` start."""

from __future__ import annotations

import trio

from meshp2p import Context, Node, VoteCall, capability


def make_agent(name: str) -> Node:
    """An agent that greets, counts, passes calls on, takes its time, and votes yes."""
    counted = 0

    @capability("greet", idempotent=True)
    def greet(whom: str) -> str:
        return f"{name} greets {whom}"

    @capability("count")
    def count() -> int:
        nonlocal counted
        counted += 1
        return counted

    @capability("pass.on")
    def pass_on(to: str, ctx: Context) -> str:
        return str(ctx.call(f"@{to}/greet", name))

    @capability("ponder")
    async def ponder(seconds: float) -> float:
        began = trio.current_time()
        await trio.sleep(seconds)
        return trio.current_time() - began

    node = Node(name, capabilities=[greet, count, pass_on, ponder])

    @node.on_vote("*")
    def vote(call: VoteCall) -> str:
        return call.options[0]

    return node
