"""`Guest`: looks at a mesh and calls its members without becoming one."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import attrs

from meshp2p.engine import Engine
from meshp2p.errors import UnknownMember, UsageError
from meshp2p.events import Member
from meshp2p.gossip.wanted import StateFilter
from meshp2p.ids import Seconds, show_id
from meshp2p.node import verbs
from meshp2p.node.host import Host
from meshp2p.node.settings import check_settings
from meshp2p.node.shell import Front
from meshp2p.runtime.asyncio_loop import AsyncioLoop

_STOP_WAIT: Final = 2.0


class Guest:
    """A short visit to a mesh, with blocking verbs.

    It has a key in memory and a credential for five minutes. Nobody gossips about it,
    probes it, counts it, or elects it. It takes the list of members from one of them,
    found in the local directory or by a seed, and calls members directly.

    Args:
        namespace: As for `Node`, like all that follow.
        mesh: Path of a mesh key; None for the mesh of this user on this machine.
        seeds: "host:port" of nodes to look at, besides those of this machine.
        state_dir: Where the mesh's key lives.

    Raises:
        UsageError: An argument that is not allowed.
    """

    def __init__(
        self,
        *,
        namespace: str = "default",
        mesh: object = None,
        seeds: Sequence[str] = (),
        state_dir: object = None,
    ) -> None:
        """See the class."""
        settings = check_settings(
            namespace=namespace, mesh=mesh, seeds=seeds, state_dir=state_dir, guest=True
        )
        settings = attrs.evolve(settings, port=0)  # the usual one is for nodes that stay
        front = Front(call=self.call, call_async=_never, asyncio_loop=AsyncioLoop.own)
        self._host = Host(settings, front)

    def __enter__(self) -> Self:
        """Look for somebody; back after the first list of members, or after a second.

        Raises:
            StartError: The mesh's key cannot be read, or there is no socket to be had.
        """
        self._host.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Go."""
        self._host.stop(_STOP_WAIT)

    @property
    def view(self) -> str:
        """Whose list of members this is: a name; "" if nobody was there."""
        shell = self._host.shell
        peer = self._host.run_sync(lambda: shell.synced_with)
        if peer is None:
            return ""
        member = self._host.run_sync(lambda: shell.engine.member(peer))
        return member.name if member is not None else show_id(peer)[:8]

    @property
    def is_key_shared(self) -> bool:
        """Whether every holder of the mesh's key may claim any role."""
        return self._host.shell.engine.identity.keys.shared

    def members(self, pattern: str = "*", *, state: StateFilter = "all") -> list[Member]:
        """Members as whoever was asked sees them; this guest is not among them.

        Raises:
            UsageError: No such pattern.
        """
        wanted, shell = verbs.wanted(pattern, state=state), self._host.shell
        found: list[Member] = self._host.run_sync(lambda: shell.engine.members(wanted))
        return found

    def why(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """Why the member whose view this is takes others for what they are.

        A guest probes nobody and hears no accusation: it has nothing to say of its own.

        Args:
            name: "@handle", a handle, or the beginning of an id.

        Returns:
            For each member called so: the reasons as text, and as plain data.

        Raises:
            MeshError: Nobody could be asked, or it is of an older version.
        """
        host = self._host
        peer = host.run_sync(lambda: host.shell.synced_with)
        if peer is None:
            raise UnknownMember(name, 0)

        def ask(engine: Engine, now: Seconds) -> int:
            return engine.explaining.ask(peer, name, now=now)

        finished = host.wait(lambda finish: host.shell.begin(ask, finish))
        if finished.error is not None:
            raise finished.error
        return [(text, facts) for text, facts in verbs.read_result(finished.value, Any)]

    def call(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401  # the handler's answer
        """As `Node.call`."""
        plan, host = verbs.plan_call(target, args, kwargs), self._host
        return plan.result(host.wait(lambda finish: host.shell.begin(plan.command, finish)))


async def _never(*_: object, **__: object) -> None:
    """A guest has no handlers, so nobody calls from one."""
    raise UsageError("a guest has no handlers")
