"""`Node`: for scripts, REPLs and notebooks. Every verb blocks."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from meshp2p.config import Config
from meshp2p.consensus import VoteResult
from meshp2p.engine import Engine
from meshp2p.errors import Closed, UsageError
from meshp2p.events import CallFinished, Member, Why
from meshp2p.gossip.wanted import StateFilter
from meshp2p.ids import Seconds
from meshp2p.node import verbs
from meshp2p.node.asynchronous import AsyncNode
from meshp2p.node.award import Award
from meshp2p.node.face import Face, takes
from meshp2p.node.host import Host
from meshp2p.node.settings import check_settings
from meshp2p.node.shell import Front
from meshp2p.node.waiting import wait_here
from meshp2p.runtime.asyncio_loop import AsyncioLoop

_STOP_WAIT: Final = 10.0


class Node(Face):
    """One agent's node in the mesh, with blocking verbs.

    `Node(...).start()` runs it in a thread of its own; `with Node(...) as node:` stops
    it at the end. `async with Node(...) as node:` gives an `AsyncNode` instead.

    Args:
        handle: What others may call it: `@handle`. Several nodes may share one.
        capabilities: Functions decorated with `@capability`, and texts for labels.
        namespace: Nodes of other namespaces do not exist for it.
        role: What it may do where the mesh has roles.
        mesh: Path of a mesh key that was copied from elsewhere; None for the mesh of
            this user on this machine.
        seeds: "host:port" of nodes to join through.
        bind: "host:port" to listen on; None for a free port.
        advertise: "host:port" where others reach it, if that is elsewhere.
        profile: "loopback", "lan" or "wan": how patient it is.
        state_dir: Where keys and journals live.
        identity: "ephemeral" keeps nothing on disk and promises nothing.
        discovery: ("local",) finds nodes of this machine; () does not look.
        config: All knobs, instead of a profile's.
        bytes_per_second: Budget of all that it sends, half for membership and half for
            calls, of which each may use what the other leaves; None for no limit.

    Raises:
        UsageError: An argument that is not allowed.
    """

    def __init__(  # noqa: PLR0913  # all optional
        self,
        handle: str | None = None,
        *,
        capabilities: Iterable[object] = (),
        namespace: str = "default",
        role: str = "worker",
        mesh: object = None,
        seeds: Sequence[str] = (),
        bind: str | None = None,
        advertise: str | None = None,
        profile: str | None = None,
        state_dir: object = None,
        identity: str | None = None,
        discovery: Sequence[str] = ("local",),
        config: Config | None = None,
        bytes_per_second: int | None = None,
    ) -> None:
        """See the class."""
        settings = check_settings(
            handle,
            capabilities=capabilities,
            namespace=namespace,
            role=role,
            mesh=mesh,
            seeds=seeds,
            bind=bind,
            advertise=advertise,
            profile=profile,
            state_dir=state_dir,
            identity=identity,
            discovery=discovery,
            config=config,
            bytes_per_second=bytes_per_second,
        )
        super().__init__(settings)
        self._host: Host | None = None
        self._loop: AsyncioLoop | None = None
        self._loop_lock = threading.Lock()
        self._async_node: AsyncNode | None = None

    # --- life ----------------------------------------------------------------

    def start(self) -> Self:
        """Join the mesh; back at once when nobody is known, else after the first list.

        Raises:
            StartError: The port, the state directory or a key cannot be used.
        """
        if self._host is not None:
            raise UsageError("this node was started before; make a new Node to start again")
        front = Front(
            call=self.call, call_async=self._call_async, asyncio_loop=self._own_asyncio_loop
        )
        host = Host(self._settings, front)
        self._host = host
        try:
            host.start()
        except BaseException:
            self._host = None
            host.stop(_STOP_WAIT)  # Ctrl-C may also have come after it had started
            raise
        return self

    def stop(self) -> None:
        """Let handlers finish (5 s at most), say goodbye, close. Idempotent."""
        if self._host is not None:
            self._host.stop(_STOP_WAIT)

    def run_forever(self) -> None:
        """Serve until Ctrl-C or SIGTERM, then leave; a second Ctrl-C waits for no handler."""
        if self._host is None:
            self.start()
        with contextlib.suppress(KeyboardInterrupt):  # the second one, of which `stop` knows
            try:
                self._serve()
            finally:
                self.stop()

    def _serve(self) -> None:
        """Until Ctrl-C, SIGTERM, or the node's end."""
        ended = threading.Event()
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
        else:
            before = None
        try:
            while not ended.wait(1.0) and self._running.shell.closed is None:
                pass
        except KeyboardInterrupt:
            pass
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def __enter__(self) -> Self:
        """Start, unless it was started."""
        return self if self._host is not None else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> AsyncNode:
        """Start under trio or asyncio; gives an `AsyncNode`."""
        if self._host is not None or self._async_node is not None:
            raise UsageError("this node was started before; make a new Node to start again")
        self._async_node = AsyncNode(self._settings)
        return await self._async_node.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        if self._async_node is not None:
            await self._async_node.__aexit__(kind, error, trace)

    @property
    def _running(self) -> Host:
        if self._host is None:
            raise Closed("the node was not started; call start() first")
        return self._host

    @property
    def _engine(self) -> Engine:
        return self._running.shell.engine

    # --- calls ---------------------------------------------------------------

    def call(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401  # the handler's answer
        """Call a member and wait for its answer.

        Args:
            target: "capability", "@handle/capability", "#id/capability", "@handle" or
                "#id" (then one value: the message), or a decorated function.
            args: Arguments for the handler.
            kwargs: Keywords for the handler, and: timeout= in seconds (30, or what is
                left of the call being handled), key= an idempotency key, returns= the
                type of the answer.

        Raises:
            UsageError: It cannot be meant.
            Unreachable: Nobody can answer, or who was asked is gone.
            DeadlineExceeded: No answer in time.
            RemoteError: The handler raised.
            Refused: It will not do that for us.
            Overloaded: It is full.
        """
        plan = verbs.plan_call(target, args, kwargs)
        host = self._running
        return plan.result(host.wait(lambda finish: host.shell.begin(plan.command, finish)))

    def send(self, target: str, message: object) -> None:
        """Send a message without waiting for an answer; it may be lost.

        Raises:
            UsageError: The target is no "@handle" or "#id".
            Unreachable: Nobody is called so.
        """
        plan = verbs.plan_call(target, (message,), {}, one_way=True)
        host = self._running
        plan.result(host.wait(lambda finish: host.shell.begin(plan.command, finish)))

    async def _call_async(self, target: object, /, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401
        """What async handlers' contexts call: on trio or on the node's asyncio loop."""
        plan = verbs.plan_call(target, args, kwargs)
        return plan.result(await wait_here(self._running.shell, self._running, plan.command))

    # --- handlers ------------------------------------------------------------

    def announce(self, capability: object) -> None:
        """Add a capability while running.

        Raises:
            UsageError: It is none, or there is no room for it in this node's record.
        """
        with self._registry.added(capability):
            self._publish()

    def withdraw(self, name: str) -> None:
        """Take a capability back while running."""
        self._registry.remove(name)
        self._publish()

    def drain(self) -> None:
        """Ask for no new calls; those that run go on, and `resume` takes the word back.

        All members see it (`Member.draining`) and choose others. Whoever names this node
        all the same hears `PeerLost`. Back at once: `stats()["handlers_running"]` says
        what still runs.
        """
        self._running.run_sync(lambda: self._running.shell.drain(draining=True))

    def resume(self) -> None:
        """Take calls again after `drain`."""
        self._running.run_sync(lambda: self._running.shell.drain(draining=False))

    def _publish(self) -> None:
        if self._host is not None:
            self._host.run_sync(self._host.shell.publish_registry)

    # --- looking -------------------------------------------------------------

    def members(  # one keyword a filter
        self,
        pattern: str = "*",
        *,
        handle: str | None = None,
        namespace: str | None = None,
        role: str | None = None,
        tags: Mapping[str, str] | None = None,
        state: StateFilter = "alive",
    ) -> list[Member]:
        """Members as this node sees them, itself included; asks no network.

        Args:
            pattern: With a capability, be it a label, that fits `x`, `x.*` or `*`.
            handle: Called so.
            namespace: In it.
            role: With it.
            tags: With such a capability that has all of these.
            state: "alive", "suspect", "dead", "left" or "all".
        """
        wanted = verbs.wanted(
            pattern, handle=handle, namespace=namespace, role=role, tags=tags, state=state
        )
        host = self._running
        found: list[Member] = host.run_sync(lambda: host.shell.engine.members(wanted))
        return found

    @takes(verbs.wait_for)
    def wait_for(self, *args: Any, **kwargs: Any) -> list[Member]:  # noqa: ANN401  # `takes` says which
        """Wait until so many members can be called; return them, this node perhaps among them.

        Args:
            capability: A name, a pattern such as "code.*", or a decorated function.
            count: How many members: alive, with a handler, not draining.
            timeout: Seconds; None for as long as a call waits.

        Raises:
            TooFewMembers: Time is over (a `DeadlineExceeded`); it says who is there.
        """
        command = verbs.wait_for(*args, **kwargs)
        host = self._running
        return verbs.read_members(host.wait(lambda finish: host.shell.begin(command, finish)))

    def why(self, member: Member | str) -> Why:
        """Why this node takes a member for alive, suspect, dead or gone; print it to read it.

        Args:
            member: One of `members()`, "@handle", or "#" and the beginning of an id.

        Raises:
            UsageError: Several members are called so.
            UnknownMember: None is.
        """
        host = self._running
        found: Why = host.run_sync(
            lambda: verbs.why(host.shell.engine, member, now=host.shell.driver.now())
        )
        return found

    def stats(self) -> dict[str, int]:
        """Counters since the start, and sizes now."""
        host = self._running
        stats: dict[str, int] = host.run_sync(host.shell.stats)
        return stats

    # --- coordination --------------------------------------------------------

    @takes(verbs.auction)
    def auction(self, /, *args: Any, **kwargs: Any) -> Award:  # noqa: ANN401  # `takes` says which
        """Let members bid for a call; back once the winner has accepted.

        Args:
            capability: What must be done; `args` and `kwargs` are its arguments.
            close_after: Seconds to wait for bids; it closes once all have answered.
            timeout: Seconds in which the work must be done.
            score: None, a `Policy`, or a function of a bid; higher is better.
            at_most: Members asked.
            budget: Highest price; 0 for any.

        Raises:
            NoBids: Nobody bid, or nobody accepted.
        """
        command = verbs.auction(*args, **kwargs)
        host = self._running
        outcome = verbs.read_award(host.wait(lambda finish: host.shell.begin(command, finish)))

        def result(timeout: Seconds | None) -> CallFinished:
            return host.wait(outcome.pending.when_finished, timeout)

        return Award.of(outcome.data, result)

    @takes(verbs.vote)
    def vote(self, *args: Any, **kwargs: Any) -> VoteResult:  # noqa: ANN401  # `takes` says which
        """Let members decide; back once enough ballots agree.

        Args:
            among: Members with a capability that fits the pattern vote.
            quorum: Least share of the members that must cast a ballot.
            threshold: Least share that must agree; None for more than half.
            faulty: Members that may cheat; None for floor((n - 1) / 3).
            timeout: Seconds to wait for ballots.

        Raises:
            Undecided: Too few ballots agree. Nothing was decided.
        """
        command = verbs.vote(*args, **kwargs)
        host = self._running
        return verbs.read_vote(host.wait(lambda finish: host.shell.begin(command, finish)))

    def _own_asyncio_loop(self) -> AsyncioLoop:
        with self._loop_lock:
            if self._loop is None:
                self._loop = AsyncioLoop.own()
                self._running.at_end.append(self._loop.close)
                if self._loop.thread_id is not None:
                    self._running.never_block(self._loop.thread_id)
            return self._loop
