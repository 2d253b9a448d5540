"""One running node in trio's thread: engine, driver, handlers, directory, and its end."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs
import trio

from meshp2p.consensus import AwardData
from meshp2p.engine import Engine
from meshp2p.errors import Closed
from meshp2p.events import CallFinished, ClockSkew, Cut, Event, Log, MemberEvent, Synced
from meshp2p.ids import NodeId, Seconds
from meshp2p.node.assembly import make_engine
from meshp2p.node.home import Home
from meshp2p.node.listeners import Listeners
from meshp2p.node.machine import MACHINE
from meshp2p.node.pending import PendingResults
from meshp2p.node.renewal import renew_if_due
from meshp2p.node.settings import Settings
from meshp2p.node.whereabouts import Whereabouts
from meshp2p.runtime import logs
from meshp2p.runtime.asyncio_loop import AsyncioLoop
from meshp2p.runtime.driver import Driver
from meshp2p.runtime.handlers import Runner
from meshp2p.runtime.network import numeric
from meshp2p.runtime.ports import NetworkPort

_DRAIN_LOOK: Final = 0.02
_LAST_WORDS: Final[Seconds] = 0.25
"""For handshakes under way when everything is cancelled: on a LAN they take a hundredth of it."""
_RENEW_LOOK: Final = 60.0

Begun: TypeAlias = int | Callable[[], None] | None
"""What was begun, for `Shell.give_up`: a command's number, what ends the wait, or nothing."""

_shells: weakref.WeakSet[Shell] = weakref.WeakSet()


@attrs.frozen(kw_only=True)
class Front:
    """What the shell needs of whoever started it.

    Args:
        call: What plain handlers' contexts call; blocks.
        call_async: What async handlers' contexts call.
        asyncio_loop: Gives the loop for `async def` handlers; None for trio.
    """

    call: Callable[..., Any]
    call_async: Callable[..., Any]
    asyncio_loop: Callable[[], AsyncioLoop] | None


class Shell:
    """A node from opening its state to leaving its mesh."""

    def __init__(self, settings: Settings, front: Front) -> None:
        """Nothing is opened before `run`."""
        self.settings = settings
        self.registry = settings.registry
        self._front = front
        self._machine = MACHINE.get()
        self._waiters: dict[int, Callable[[CallFinished], None]] = {}
        self._results = PendingResults()
        self._listeners = Listeners(self.registry, self._announce)
        self._joined = trio.Event()
        self._stop = trio.Event()
        self._drain = True
        self._home: Home | None = None
        self._network: NetworkPort | None = None
        self._whereabouts: Whereabouts | None = None
        self._driver: Driver | None = None
        self._runner: Runner | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self.closed: str | None = None
        self.over = trio.Event()
        """Set once all is closed; for tasks of the same loop."""
        self.synced_with: NodeId | None = None
        """Who sent the first list of members."""
        _shells.add(self)

    # --- life ----------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open, join, serve until `request_stop`, leave, close.

        Raises:
            StartError: It could not be opened; nothing is left behind.
        """
        self._token = trio.lowlevel.current_trio_token()
        try:
            runner = self._open()
            driver = self.driver
            async with trio.open_nursery() as nursery:
                runner.nursery = nursery
                await nursery.start(driver.run)
                nursery.start_soon(self._listeners.run, runner.tell)
                nursery.start_soon(self._renew_identity)
                try:
                    await self._join(nursery)
                    task_status.started()
                    await self._stop.wait()
                finally:  # also of whoever is interrupted while joining: others know it by now
                    await self._leave()
                nursery.cancel_scope.cancel()
        finally:
            self._close("the node has stopped")

    def _open(self) -> Runner:
        """Open one after the other what `_close` closes; only then is there an engine."""
        settings, machine = self.settings, self._machine
        now, unix = machine.monotonic.now(), machine.wall()
        self._home = home = machine.open_home(settings, unix=unix, on_written=self._persisted)
        self._network = network = machine.bind(
            [numeric(host) for host in settings.hosts],
            settings.port,
            fallback=settings.port_is_a_wish,
        )
        self._whereabouts = Whereabouts(settings, machine, network, home.directory)
        addresses = self._whereabouts.addresses
        engine = make_engine(settings, machine, home, addresses, now=now, unix=unix)
        self._runner = runner = self._make_runner(home)
        self._driver = Driver(
            engine,
            network=network,
            journal=home.journal,
            runner=runner,
            resolve=machine.resolve,
            announce=self._announce,
            wall=machine.wall,
            clock=machine.monotonic,
        )
        return runner

    def _make_runner(self, home: Home) -> Runner:
        front, machine = self._front, self._machine
        return Runner(
            self.registry,
            returned=self._handler_returned,
            log=self._announce,
            asyncio_loop=front.asyncio_loop,
            call=machine.blocking(front.call, front.call_async),
            call_async=front.call_async,
            show_tracebacks=home.identity.keys.shared,
            slots=self.settings.config.handler_slots,
            threads=machine.threads,
        )

    async def _join(self, nursery: trio.Nursery) -> None:
        """Show ourselves, look around; wait for the first list only if somebody is there."""
        whereabouts = self._whereabouts
        if whereabouts is None:
            return
        met = whereabouts.look_around(self.driver, nursery)
        nursery.start_soon(whereabouts.watch, self.driver)
        if met or self.engine.has_seeds:
            with trio.move_on_after(self.settings.config.join_wait):
                await self._joined.wait()

    async def _leave(self) -> None:
        """Let handlers finish, say goodbye; quickly if we are being cancelled."""
        engine, driver = self.engine, self.driver
        cancelled = trio.current_effective_deadline() == -float("inf")
        engine.close(now=driver.now())
        if self._drain and not cancelled:
            with trio.move_on_after(self.settings.config.drain_timeout):
                while engine.open_jobs and self._drain:  # noqa: ASYNC110  # an engine has no Event to wait for
                    await trio.sleep(_DRAIN_LOOK)
        linger = engine.leave(now=driver.now())
        driver.perform_effects()
        if cancelled:
            await driver.meet(_LAST_WORDS)
        elif not self.engine.is_alone:
            await trio.sleep(linger)
        engine.stop(now=driver.now())
        driver.perform_effects()
        if not cancelled:
            await driver.said_farewell()

    def _close(self, reason: str) -> None:
        self.closed = reason
        waiters, self._waiters = self._waiters, {}
        for number, finish in waiters.items():
            finish(CallFinished(number, error=Closed(reason)))
        self._results.close(Closed(reason))
        if self._driver is not None:
            self._driver.close()
        elif self._network is not None:
            self._network.close()
        if self._home is not None:
            self._home.close()
            self._home = None
        self.over.set()

    def request_stop(self, *, drain: bool = True) -> None:
        """From trio's thread: leave now.

        Args:
            drain: Whether to let handlers finish first; asked for again, it counts anew.
        """
        self._drain = drain
        self._stop.set()
        self._joined.set()  # whoever still joins waits for nobody any more

    def soon(self, act: Callable[..., object], *args: object) -> None:
        """Do something in trio's thread, from any thread.

        Raises:
            Closed: The node has stopped, or is a copy that a fork made.
        """
        if self.closed is not None or self._token is None:
            raise Closed(self.closed or "the node was never started")
        try:
            self._token.run_sync_soon(act, *args)
        except trio.RunFinishedError:
            raise Closed("the node has stopped") from None

    @property
    def token(self) -> trio.lowlevel.TrioToken | None:
        """Of the trio loop that the node runs in."""
        return self._token

    @property
    def driver(self) -> Driver:
        """The running driver.

        Raises:
            Closed: There is none.
        """
        if self._driver is None or self.closed is not None:
            raise Closed(self.closed or "the node was never started")
        return self._driver

    @property
    def engine(self) -> Engine:
        """The running engine; raises like `driver`."""
        return self.driver.engine

    # --- commands --------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    def begin(
        self, start: Callable[[Engine, Seconds], int], finish: Callable[[CallFinished], None]
    ) -> int:
        """Give the engine a command; `finish` is called once with its end.

        Raises:
            MeshError: The command cannot be meant, or the node has stopped.
        """
        driver = self._driver
        if driver is None or self.closed is not None:
            driver = self.driver  # which says why there is none
        number = start(driver.engine, driver.now())
        self._waiters[number] = finish
        driver.after_command()
        return number

    @trio.lowlevel.enable_ki_protection
    def cancel(self, number: int) -> None:
        """Nobody waits for this command any more."""
        if self._waiters.pop(number, None) is not None and self.closed is None:
            self.engine.cancel(number, now=self.driver.now())
            self.driver.after_command()

    def give_up(self, begun: Begun) -> None:
        """Nobody waits for the end of this any more."""
        if isinstance(begun, int):
            self.cancel(begun)
        elif begun is not None:
            begun()

    def stats(self) -> dict[str, int]:
        """The engine's counters, and how well this process keeps up with it."""
        runner, driver = self._runner, self.driver
        return {
            **driver.engine.stats(),
            "inline_slow": runner.inline_slow if runner else 0,
            "inline_slowest_us": int(runner.slowest_inline * 1e6) if runner else 0,
            "clock_lag_us": int(driver.lag * 1e6),
            "datagrams_unsent": driver.datagrams_unsent,
            "results_awaited": self._results.awaited,
        }

    @trio.lowlevel.enable_ki_protection
    def publish_registry(self) -> None:
        """Announce what the registry holds now."""
        self.engine.listen(listens=self.registry.on_message is not None)
        self.engine.set_capabilities(self.registry.infos(), now=self.driver.now())
        self.driver.after_command()

    @trio.lowlevel.enable_ki_protection
    def drain(self, *, draining: bool) -> None:
        """Take no new calls, or take calls again."""
        self.engine.drain(draining=draining, now=self.driver.now())
        self.driver.after_command()

    # --- what the driver tells ---------------------------------------------------

    def _persisted(self, token: int, ok: bool) -> None:  # noqa: FBT001  # the journal's callback
        if self._driver is not None and self.closed is None:
            self._driver.persisted(token, ok)

    def _handler_returned(self, call: int, status: int, body: bytes) -> None:
        if self._driver is not None and self.closed is None:
            self._driver.handler_returned(call, status, body)

    def _announce(self, event: Event) -> None:
        if type(event) is CallFinished:
            self._finished(event)
        elif isinstance(event, MemberEvent):
            logs.report(event, self._name())
            self._listeners.hear(event)
        elif isinstance(event, Cut | ClockSkew):
            self._listeners.hear(event)
        elif isinstance(event, Log):
            logs.report(event, self._name())
        elif isinstance(event, Synced):
            self.synced_with = event.peer
            self._joined.set()

    def _finished(self, event: CallFinished) -> None:
        result, award = None, event.value
        if isinstance(award, AwardData):
            # Kept before the waiter hears of it, for its result may come at once.
            result = self._results.expect(award.number)
            event = attrs.evolve(event, value=(award, result))
        finish = self._waiters.pop(event.number, None)
        if finish is not None:
            finish(event)
        elif result is None:
            self._results.settle(event)

    def _name(self) -> str:
        return self.settings.handle or "meshp2p"

    @trio.lowlevel.enable_ki_protection
    async def _renew_identity(self) -> None:
        while not self.settings.guest:
            await trio.sleep(_RENEW_LOOK)
            now, machine = self.driver.now(), self._machine
            trouble = renew_if_due(self.engine, machine.crypto, unix=machine.wall(), now=now)
            if trouble is not None:
                self._announce(trouble)
            self.driver.perform_effects()

    def abandon(self) -> None:
        """In a child made by fork: its sockets and locks are the parent's."""
        self.closed = "this process is a fork of the one that started the node; make a new node"
        home, self._home = self._home, None
        if home is not None:
            home.abandon()
        if self._driver is not None:
            self._driver.abandon()


def _after_fork() -> None:
    for shell in list(_shells):
        shell.abandon()


os.register_at_fork(after_in_child=_after_fork)
