"""One agent of the demo: a process that obeys JSON lines and ends when they do.

    {"n": 1, "do": "calls", ...}     a command, on stdin
    {"n": 1, "answer": {...}}        its end, on stdout; or {"n": 1, "error": "..."}
    {"event": "start", ...}          what happened meanwhile

The first line says which role of the plan it has. When stdin ends, so does the agent, even
if whoever started it was killed: the kernel closes the pipe. The command line names the
directory of the run.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from meshp2p.cli.demo.plan import AUCTIONED, QUESTION, WORK, clock, next_prime
from meshp2p.cli.demo.stage import Stage
from meshp2p.consensus import Bid, Offer, VoteCall
from meshp2p.errors import MeshError
from meshp2p.node import AsyncNode, Node
from meshp2p.runtime.capability import capability

_LOOK_EVERY: Final = 0.02
_GOODBYE: Final = 2.0
"""Seconds to leave the mesh in; then the process ends without."""

SKILLS: Final[dict[str, Callable[[Any], Any]]] = {
    "text.reverse": lambda text: text[::-1],
    "text.upper": lambda text: text.upper(),
    "text.words": lambda text: len(text.split()),
    "math.sum": sum,
    "math.square": lambda number: number * number,
}


def tell(**line: Any) -> None:  # noqa: ANN401  # whatever JSON can hold
    """Write one line, at once and whole: it must be out before the process is killed."""
    os.write(sys.stdout.fileno(), json.dumps(line).encode() + b"\n")


@attrs.frozen(kw_only=True)
class Part:
    """What the first line says."""

    handle: str
    skill: str
    price: int | None
    ballot: str
    namespace: str
    everyone: list[str]
    works: bool
    idempotent: bool
    task_seconds: float


class Agent:
    """One agent's capabilities, and the commands that it obeys."""

    def __init__(self, part: Part) -> None:
        """Nothing runs yet."""
        self._part = part
        self._node: AsyncNode | None = None

    def node(self) -> Node:
        """The node with all that this agent can do."""
        part, capabilities = self._part, [self._skill()]
        if part.works:
            capabilities.append(self._work())
        if part.price is not None:
            capabilities.append(self._auctioned())
        node = Node(part.handle, capabilities=capabilities, namespace=part.namespace)

        @node.on_bid(AUCTIONED)
        def bid(_offer: Offer) -> Bid:
            return Bid(price=part.price or 0)

        @node.on_vote()
        def vote(_call: VoteCall) -> str:
            return part.ballot

        return node

    def _skill(self) -> Callable[..., Any]:
        apply = SKILLS[self._part.skill]

        @capability(self._part.skill, idempotent=True, inline=True)
        def skill(value: Any) -> Any:  # noqa: ANN401  # each skill has its own
            return apply(value)

        return skill

    def _work(self) -> Callable[..., Any]:
        part = self._part

        @capability(WORK, idempotent=part.idempotent)
        async def work(task: int, number: int) -> dict[str, Any]:
            tell(event="start", task=task, at=clock())
            await trio.sleep(part.task_seconds)
            prime = next_prime(number)
            tell(event="end", task=task)
            return {"prime": prime, "by": part.handle}

        return work

    def _auctioned(self) -> Callable[..., Any]:
        part = self._part

        @capability(AUCTIONED)
        async def sort_words(words: list[str]) -> dict[str, Any]:
            return {"words": sorted(words), "by": part.handle}

        return sort_words

    # --- commands --------------------------------------------------------------

    async def watch(self, node: AsyncNode) -> None:
        """Tell once everyone is in the list of members."""
        self._node = node
        missing = set(self._part.everyone)
        while missing:
            seen = {member.handle for member in await node.members()}
            if missing & seen:
                missing -= seen
                tell(event="sees", count=len(self._part.everyone) - len(missing))
            await trio.sleep(_LOOK_EVERY)

    async def obey(self, command: dict[str, Any]) -> None:
        """Do what a line says, and tell how it ended."""
        number, name = command.pop("n"), command.pop("do")
        commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "calls": self._calls,
            "auction": self._auction,
            "vote": self._vote,
            "work": self._make_work,
        }
        try:
            answer = await commands[name](**command)
        except MeshError as error:
            tell(n=number, error=f"{type(error).__name__}: {error}")
        else:
            tell(n=number, answer=answer)

    @property
    def _running(self) -> AsyncNode:
        if self._node is None:
            raise RuntimeError("a command before the node ran")
        return self._node

    async def _calls(self, target: str, sample: object, answer: object, times: int) -> Any:  # noqa: ANN401  # JSON
        """Call somebody again and again; each answer is checked."""
        node, seconds, right = self._running, [], 0
        for _ in range(times):
            begun = time.perf_counter()
            got = await node.call(target, sample)
            seconds.append(time.perf_counter() - begun)
            right += got == answer
        return {"seconds": seconds, "right": right}

    async def _auction(self, words: list[str], timeout: float) -> dict[str, Any]:
        begun = time.perf_counter()
        award = await self._running.auction(AUCTIONED, words, timeout=timeout)
        took = time.perf_counter() - begun
        result = await award.result(timeout)
        bids = sorted(bid.terms.price for bid in award.bids)
        return {"ms": took * 1e3, "winner": award.winner, "result": result, "bids": bids}

    async def _vote(self, options: list[str], path: str, timeout: float) -> dict[str, Any]:
        begun = time.perf_counter()
        result = await self._running.vote(QUESTION, options, timeout=timeout)
        took = time.perf_counter() - begun
        await trio.Path(path).write_bytes(result.certificate.to_bytes())
        ballots = {ballot.handle: ballot.option for ballot in result.ballots}
        return {"ms": took * 1e3, "choice": result.choice, "ballots": ballots}

    async def _make_work(self, numbers: list[int], timeout: float) -> dict[str, Any]:
        """Call for all of it at once; tell what came back for each, or why nothing did."""
        answers: list[dict[str, Any]] = [{} for _ in numbers]

        async def call(task: int, number: int) -> None:
            try:
                answers[task] = await self._running.call(WORK, task, number, timeout=timeout)
            except MeshError as error:
                answers[task] = {"error": f"{type(error).__name__}: {error}"}
            tell(event="answer", task=task)

        async with trio.open_nursery() as nursery:
            for task, number in enumerate(numbers):
                nursery.start_soon(call, task, number)
        return {"answers": answers}


async def _play(part: Part, stage: Stage) -> None:
    agent = Agent(part)
    async with agent.node() as node, trio.open_nursery() as nursery:
        token = trio.lowlevel.current_trio_token()

        def read() -> None:
            try:
                for line in sys.stdin.buffer:
                    token.run_sync_soon(nursery.start_soon, agent.obey, json.loads(line))
                token.run_sync_soon(nursery.cancel_scope.cancel)
            except trio.RunFinishedError:
                return
            time.sleep(_GOODBYE)
            stage.leave()
            os._exit(1)  # whatever hangs, nobody is there to see it

        threading.Thread(target=read, daemon=True).start()
        await agent.watch(node)
        await trio.sleep_forever()


def main() -> None:
    """Read the part, play it."""
    try:
        stage = Stage.enter(Path(sys.argv[1]))
    except FileNotFoundError:
        return  # the demo was killed, and others have cleared up
    try:
        first = sys.stdin.buffer.readline()
        if first:
            trio.run(_play, Part(**json.loads(first)), stage)
    finally:
        stage.leave()


if __name__ == "__main__":
    main()
