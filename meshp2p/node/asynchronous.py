"""`AsyncNode`: the same verbs as `Node`, awaited under trio or asyncio.

Under trio the node lives in the caller's loop. Under asyncio it has a thread of its
own, so that a blocked loop does not make a healthy agent look dead; its async handlers
run on the caller's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import trio

from meshp2p.consensus import VoteResult
from meshp2p.engine import Engine
from meshp2p.errors import Closed
from meshp2p.events import CallFinished, Member, Why
from meshp2p.gossip.wanted import StateFilter
from meshp2p.ids import Seconds
from meshp2p.node import verbs
from meshp2p.node.award import AsyncAward
from meshp2p.node.face import Face, takes
from meshp2p.node.host import Host
from meshp2p.node.settings import Settings
from meshp2p.node.shell import Front, Shell
from meshp2p.node.waiting import Parked, on_asyncio, wait_here, wait_start, within
from meshp2p.runtime.asyncio_loop import AsyncioLoop
from meshp2p.runtime.exceptions import single

_STOP_WAIT: Final = 10.0
_LOOK: Final = 0.2


class AsyncNode(Face):
    """One agent's node in the mesh, with awaited verbs. `async with Node(...)` gives it."""

    def __init__(self, settings: Settings) -> None:
        """Made by `Node`."""
        super().__init__(settings)
        self._host: Host | None = None
        self._shell: Shell | None = None
        self._nursery_manager: Any = None

    # --- life ----------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Join the mesh."""
        if on_asyncio():
            await self._start_under_asyncio()
        else:
            await self._start_under_trio()
        return self

    async def _start_under_asyncio(self) -> None:
        loop = AsyncioLoop(asyncio.get_running_loop(), None)
        front = Front(call=self._call_blocking, call_async=self.call, asyncio_loop=lambda: loop)
        host = Host(self._settings, front)
        starting = asyncio.ensure_future(asyncio.to_thread(host.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(lambda _: host.stop(0.0))
            raise
        self._host, self._shell = host, host.shell

    async def _start_under_trio(self) -> None:
        front = Front(call=self._call_blocking, call_async=self.call, asyncio_loop=None)
        shell = Shell(self._settings, front)
        manager = trio.open_nursery()
        nursery = await manager.__aenter__()
        self._nursery_manager = manager
        self._shell = shell
        try:
            await nursery.start(shell.run)
        except BaseException as error:  # noqa: BLE001  # unwrapped and raised again
            nursery.cancel_scope.cancel()
            self._nursery_manager = None
            await _close_nursery(manager, error)
            raise single(error) from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the mesh."""
        if self._host is not None:
            await asyncio.shield(asyncio.to_thread(self._host.stop, _STOP_WAIT))
            return
        if self._shell is not None:
            self._shell.request_stop(drain=error is None)
        manager, self._nursery_manager = self._nursery_manager, None
        if manager is not None:
            await _close_nursery(manager, error)

    async def stop(self) -> None:
        """Leave now; the end of the `async with` does the same."""
        shell = self._running
        if self._host is not None:
            await asyncio.to_thread(self._host.stop, _STOP_WAIT)
        elif shell.closed is None:
            shell.request_stop()
            await shell.over.wait()

    async def run_forever(self) -> None:
        """Serve until cancelled or stopped."""
        shell = self._running
        if self._host is None:
            await shell.over.wait()
        while shell.closed is None:  # noqa: ASYNC110  # the node lives in another thread
            await asyncio.sleep(_LOOK)

    @property
    def _running(self) -> Shell:
        if self._shell is None:
            raise Closed("the node was not started; use `async with`")
        return self._shell

    @property
    def _engine(self) -> Engine:
        return self._running.engine

    # --- calls ---------------------------------------------------------------

    async def call(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401  # the handler's answer
        """As `Node.call`; cancelling it tells the callee."""
        plan = verbs.plan_call(target, args, kwargs)
        shell, host = self._running, self._host
        if host is not None:
            return plan.result(await wait_here(shell, host, plan.command))
        parked = Parked(shell)
        parked.begun = shell.begin(plan.command, parked.finish)
        return plan.result(await parked.wait())

    async def send(self, target: str, message: object) -> None:
        """As `Node.send`."""
        plan = verbs.plan_call(target, (message,), {}, one_way=True)
        plan.result(await wait_here(self._running, self._host, plan.command))

    def _call_blocking(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401
        """What plain handlers' contexts call, in their worker threads."""
        if self._host is not None:
            host, plan = self._host, verbs.plan_call(target, args, kwargs)
            return plan.result(host.wait(lambda finish: host.shell.begin(plan.command, finish)))
        token = self._running.token
        return trio.from_thread.run(lambda: self.call(target, *args, **kwargs), trio_token=token)

    # --- handlers ------------------------------------------------------------

    async def announce(self, capability: object) -> None:
        """As `Node.announce`."""
        with self._registry.added(capability):
            await self._do(self._running.publish_registry)

    async def withdraw(self, name: str) -> None:
        """As `Node.withdraw`."""
        self._registry.remove(name)
        await self._do(self._running.publish_registry)

    async def drain(self) -> None:
        """As `Node.drain`."""
        shell = self._running
        await self._do(lambda: shell.drain(draining=True))

    async def resume(self) -> None:
        """As `Node.resume`."""
        shell = self._running
        await self._do(lambda: shell.drain(draining=False))

    def _publish(self) -> None:
        if self._host is not None:
            self._host.shell.soon(self._host.shell.publish_registry)
        else:
            self._running.publish_registry()

    async def _do(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401  # what `act` returns
        if self._host is not None:
            return await self._host.run_sync_asyncio(act)
        await trio.lowlevel.checkpoint()
        return act()

    # --- looking -------------------------------------------------------------

    async def members(  # one keyword a filter
        self,
        pattern: str = "*",
        *,
        handle: str | None = None,
        namespace: str | None = None,
        role: str | None = None,
        tags: Mapping[str, str] | None = None,
        state: StateFilter = "alive",
    ) -> list[Member]:
        """As `Node.members`."""
        wanted = verbs.wanted(
            pattern, handle=handle, namespace=namespace, role=role, tags=tags, state=state
        )
        shell = self._running
        found: list[Member] = await self._do(lambda: shell.engine.members(wanted))
        return found

    @takes(verbs.wait_for)
    async def wait_for(self, *args: Any, **kwargs: Any) -> list[Member]:  # noqa: ANN401  # `takes` says which
        """As `Node.wait_for`."""
        command = verbs.wait_for(*args, **kwargs)
        return verbs.read_members(await wait_here(self._running, self._host, command))

    async def why(self, member: Member | str) -> Why:
        """As `Node.why`."""
        shell = self._running
        found: Why = await self._do(lambda: verbs.why(shell.engine, member, now=shell.driver.now()))
        return found

    async def stats(self) -> dict[str, int]:
        """As `Node.stats`."""
        stats: dict[str, int] = await self._do(self._running.stats)
        return stats

    # --- coordination --------------------------------------------------------

    @takes(verbs.auction)
    async def auction(self, /, *args: Any, **kwargs: Any) -> AsyncAward:  # noqa: ANN401  # `takes` says which
        """As `Node.auction`."""
        command = verbs.auction(*args, **kwargs)
        shell, host = self._running, self._host
        award = verbs.read_award(await wait_here(shell, host, command))

        async def result(timeout: Seconds | None) -> CallFinished:  # the user's
            waiting = wait_start(shell, host, award.pending.when_finished)
            return await within(waiting, timeout)

        return AsyncAward.of(award.data, result)

    @takes(verbs.vote)
    async def vote(self, *args: Any, **kwargs: Any) -> VoteResult:  # noqa: ANN401  # `takes` says which
        """As `Node.vote`."""
        command = verbs.vote(*args, **kwargs)
        return verbs.read_vote(await wait_here(self._running, self._host, command))


async def _close_nursery(manager: Any, error: BaseException | None) -> None:  # noqa: ANN401  # trio's own
    """Wait for the node's tasks; what the user's block raised is left to it.

    Raises:
        BaseException: The node's own failure, out of the groups that trio wraps it in.
    """
    kind = None if error is None else type(error)
    trace = None if error is None else error.__traceback__
    try:
        await manager.__aexit__(kind, error, trace)
    except BaseException as raised:  # noqa: BLE001  # unwrapped and raised again
        cause = single(raised)
        if cause is not error and not (
            isinstance(cause, trio.Cancelled) and isinstance(error, trio.Cancelled)
        ):
            raise cause from None
