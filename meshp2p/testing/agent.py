"""One agent of a simulation: its node's verbs, through all its lives."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from meshp2p.errors import Closed, UsageError
from meshp2p.node import Node
from meshp2p.node.asynchronous import AsyncNode
from meshp2p.node.machine import MACHINE
from meshp2p.node.settings import Settings, check_settings
from meshp2p.node.shell import Shell
from meshp2p.runtime.exceptions import single
from meshp2p.testing.machine import VirtualMachine
from meshp2p.testing.process import Process

if TYPE_CHECKING:
    from meshp2p.engine import Engine

MakeNode: TypeAlias = Callable[[], Node]
NAMES: Final = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")


class Agent(AsyncNode):
    """A node with all verbs of `AsyncNode`, on a machine of its own.

    After a crash its verbs raise `Closed`; after a restart they work again, with whatever
    the new life's node knows.

    Args:
        make: Makes the node; called for each life, so that it remembers nothing of the
            one before.
    """

    def __init__(self, machine: VirtualMachine, make: MakeNode, nursery: trio.Nursery) -> None:
        """Not started."""
        self.machine = machine
        self._make = make
        self._nursery = nursery
        self._leaves = False
        super().__init__(check_settings())  # until its first life
        machine.start_again = lambda: nursery.start_soon(self._begin_again)
        machine.leave = self._leave

    def __repr__(self) -> str:
        return f"<agent {self.name}, life {self.machine.life}>"

    @property
    def name(self) -> str:
        """Of its machine, and how faults name it."""
        return self.machine.name

    @property
    def is_running(self) -> bool:
        """Whether it has a process, be it paused."""
        process, shell = self.machine.process, self._shell
        if process is None or shell is None:
            return False
        return process.is_alive and shell.closed is None

    @property
    def _running(self) -> Shell:
        """As `AsyncNode._running`; a process that crashed does nothing more, at once."""
        process = self.machine.process
        if process is not None and not process.is_alive:
            raise Closed(f"{self.name} has crashed or stopped; `await sim.restart(...)` starts it")
        return super()._running

    @property
    def engine(self) -> Engine:
        """Of its present life, for looking; `Closed` without one."""
        return self._running.engine

    @property
    def is_up(self) -> bool:
        """Whether it runs, or is about to."""
        shell = self._shell
        return self.machine.is_running and (shell is None or shell.closed is None)

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to stop, and is at it."""
        return self._leaves and self.is_running

    async def _begin_again(self) -> None:
        """After a fault; others may have been quicker, or have crashed it meanwhile."""
        if not self.is_up:
            with contextlib.suppress(Closed):
                await self.begin_life()

    async def begin_life(self) -> None:
        """Boot its machine and start its node, with all that it needs made anew.

        Raises:
            UsageError: It runs.
            StartError: The node cannot start.
            Closed: It crashed before it served.
        """
        if self.is_running:
            raise UsageError(f"{self.name} runs already")
        settings = _settings_of(self._make())
        super().__init__(settings)
        self._leaves = False
        process = self.machine.boot()
        try:
            await self._nursery.start(self._live, process, AsyncNode(settings))
        except BaseException as error:  # noqa: BLE001  # unwrapped and raised again
            if not process.is_alive and isinstance(error, RuntimeError):  # trio: it did not start
                raise Closed(f"{self.name} crashed while it started") from None
            raise single(error) from None

    def _leave(self) -> None:
        if self.is_running:
            self._leaves = True
            self._running.request_stop()

    async def _live(
        self,
        process: Process,
        node: AsyncNode,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        MACHINE.set(process)
        process.begin()
        try:
            with process.scope:
                async with node:
                    self._shell = node._shell  # noqa: SLF001  # it is the same node, in all lives
                    task_status.started()
                    await node.run_forever()
        except BaseException as error:  # a crash cancels, and what unwinds may raise groups
            if process.is_alive or isinstance(error, KeyboardInterrupt):
                raise
            # What the dead still utter is nobody's business.
        finally:
            process.end()


def _settings_of(node: object) -> Settings:
    if not isinstance(node, Node):
        raise UsageError(f"{node!r} is no Node: what makes an agent must return meshp2p.Node(...)")
    return node._settings  # noqa: SLF001  # each life has a node of its own with these


def maker(make: object, name: str) -> MakeNode:
    """What makes the node of that name.

    Raises:
        UsageError: `make` is neither `make()` nor `make(name)`.
    """
    if not callable(make):
        raise UsageError(
            f"{make!r}: allowed is a function that returns a Node, of its name or none"
        )
    try:
        wanted = [
            parameter
            for parameter in inspect.signature(make).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except ValueError:
        wanted = []
    if len(wanted) > 1:
        raise UsageError(f"{make!r} takes {len(wanted)} arguments; allowed are none, and the name")
    function: Any = make
    return (lambda: function(name)) if wanted else function
