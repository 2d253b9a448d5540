"""`Simulation`: what a test gets as `sim`. Agents, what befalls them, and time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import trio

from meshp2p.errors import UsageError
from meshp2p.ids import NodeId, Seconds, check_name
from meshp2p.node import Node
from meshp2p.simulation.dice import secret
from meshp2p.simulation.faults import Guard, Stall
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.witness import START
from meshp2p.testing.agent import NAMES, Agent, MakeNode, maker
from meshp2p.testing.internet import Internet
from meshp2p.testing.machine import VirtualMachine
from meshp2p.testing.scheduling import Loop
from meshp2p.testing.storm import Storm, draw_storm
from meshp2p.testing.units import as_duration
from meshp2p.testing.weather import Weather

Lose: TypeAlias = Literal["nothing", "unsynced", "all"]
_LEFT: Final = {"nothing": "kept", "unsynced": "unsynced_lost", "all": "wiped"}
_LOOK_EVERY: Final[Seconds] = 0.05
_INTRODUCTION: Final[Seconds] = 10.0
"""How long `start` waits at most until everybody knows the new ones."""


class Simulation(Weather):
    """One run: agents on machines of their own, the network between them, virtual time.

    Args:
        seed: Decides everything that is left to chance.
    """

    def __init__(self, internet: Internet, loop: Loop, nursery: trio.Nursery) -> None:
        """Made for each run of a test."""
        self.internet = internet
        self.seed = internet.seed
        self.agents: dict[str, Agent] = {}
        self._loop = loop
        self._nursery = nursery
        self._storms = 0

    # --- agents ----------------------------------------------------------------------

    async def start(self, how_many: int, make: object) -> list[Agent]:
        """Start agents called alice, bob, carol..., and let all get to know each other.

        Args:
            make: Returns a `Node`; may take the agent's name. Called again after each crash.

        Raises:
            UsageError: No number of agents, or `make` does not return a Node.
            StartError: A node cannot start.
        """
        if type(how_many) is not int or how_many < 1:
            raise UsageError(f"start({how_many!r}, ...): allowed are whole numbers from 1")
        agents = []
        for _ in range(how_many):
            name = self._next_name()
            agents.append(await self._begin(name, maker(make, name)))
        await self._introduce(agents)
        return agents

    async def node(
        self,
        name: str,
        make: object = None,
        **settings: Any,  # noqa: ANN401  # as `Node` takes them
    ) -> Agent:
        """Start one agent: `Node(name, **settings)`, on a machine called `name`.

        Args:
            make: Returns its node instead; called again after each crash, so that nothing
                of an earlier life is remembered.

        Raises:
            UsageError: A setting that is not allowed, or a name that is taken.
            StartError: The node cannot start.
        """
        if name in self.agents:
            raise UsageError(f"there is an agent called {name!r} already")
        check_name("agent", name)
        if make is not None and settings:
            raise UsageError("node() takes what makes a node, or the node's settings, not both")
        own = (lambda: Node(name, **settings)) if make is None else maker(make, name)
        agent = await self._begin(name, own)
        await self._introduce([agent])
        return agent

    async def _begin(self, name: str, make: MakeNode) -> Agent:
        machine = VirtualMachine(self.internet, name, len(self.agents) + 1)
        machine.loop = self._loop
        agent = self.agents[name] = Agent(machine, make, self._nursery)
        self.internet.tell("join", name, life=1)
        await agent.begin_life()
        return agent

    async def _introduce(self, newcomers: list[Agent]) -> None:
        with trio.move_on_after(_INTRODUCTION):
            while not all(  # noqa: ASYNC110  # nobody tells when a view changes
                self._is_known(agent) for agent in newcomers if agent.is_running
            ):
                await trio.sleep(_LOOK_EVERY)

    def _is_known(self, agent: Agent) -> bool:
        own = agent.engine.identity
        return all(
            (member := other.engine.member(own.node_id)) is not None and member.state == "alive"
            for other in self._running
            if other.engine.identity.keys.group_id == own.keys.group_id
        )

    def _next_name(self) -> str:
        for name in NAMES:
            if name not in self.agents:
                return name
        return f"agent-{len(self.agents) + 1}"

    def __getitem__(self, name: str) -> Agent:
        """The agent of that name."""
        return self.agents[name]

    @property
    def _running(self) -> list[Agent]:
        return [agent for agent in self.agents.values() if agent.is_running]

    # --- what befalls agents -----------------------------------------------------------

    async def crash(self, agent: Agent, *, lose: Lose = "unsynced", silent: bool = False) -> None:
        """End its process without a word; `finally` blocks run, but reach nobody.

        Args:
            lose: What its disk loses: "nothing", what was not yet "unsynced", or "all".
            silent: The machine goes too: others hear nothing at all.

        Raises:
            UsageError: Another value of `lose`.
            Closed: It does not run.
        """
        if lose not in _LEFT:
            raise UsageError(f"lose={lose!r}: allowed are {', '.join(_LEFT)}")
        left: Any = _LEFT[lose]
        agent.machine.running  # noqa: B018  # raises what is said above
        agent.machine.crash(silent=silent, disk=left)
        await trio.lowlevel.checkpoint()

    async def restart(self, agent: Agent) -> None:
        """Start it again with the disk as it was left; back when its node serves.

        Raises:
            UsageError: It runs.
        """
        self.internet.coverage["restart"] += 1
        self.internet.tell("restart", agent.name, life=agent.machine.life + 1)
        await agent.begin_life()

    async def leave(self, agent: Agent) -> None:
        """Stop it in order: it says goodbye."""
        self.internet.tell("leave", agent.name)
        await agent.stop()

    def pause(self, agent: Agent, seconds: Seconds | None = None, *, asleep: bool = False) -> Guard:
        """Let its process stand still, as SIGSTOP or a frozen machine would.

        Not one step of its tasks runs; sockets fill, deadlines pass.

        Args:
            seconds: For so long; None until `resume`, or until the guard is removed.
            asleep: The machine sleeps, like a laptop with its lid closed: its monotonic
                clock stands still as well, so that deadlines on it do not pass.

        Raises:
            Closed: It does not run.
        """
        machine = agent.machine
        until = None if seconds is None else as_duration("seconds", seconds)
        machine.running  # noqa: B018  # raises what is said above
        guard = self.inject(Stall(agent.name, asleep))
        if until is not None:
            self.internet.after(until, guard.remove)
        return guard

    def resume(self, agent: Agent) -> None:
        """Let it go on: the pause that came last ends."""
        for guard in self._stalls(agent.name)[-1:]:
            guard.remove()

    def resume_all(self) -> None:
        """Let all go on that stand still."""
        for name in self.agents:
            for guard in self._stalls(name):
                guard.remove()

    def _stalls(self, name: str) -> list[Guard]:
        return [
            guard
            for guard in self.internet.faults.values()
            if isinstance(guard.fault, Stall) and guard.fault.node == name
        ]

    def swarm(self, seconds: Seconds = 20.0, *, kinds: Iterable[str] | None = None) -> Storm:
        """Let the seed choose what befalls the running agents; see `Storm`.

            async with sim.swarm(30):
                ...  # what is tested, in the midst of it
            ...  # and what must hold in the calm afterwards

        Args:
            seconds: How long faults go on; then all is mended, whatever crashed runs again,
                and all agree on who is there.
            kinds: Of faults to choose from; all of `storm.KINDS` if None.

        Raises:
            UsageError: Fewer than two agents run, or there is no such kind.
        """
        names = tuple(agent.name for agent in self._running)
        self._storms += 1
        seed = secret(self.seed, "storm", self._storms)
        schedule = draw_storm(seed, names, self.now, as_duration("seconds", seconds), kinds)
        return Storm(self, names, schedule, self.now + seconds)

    # --- time ----------------------------------------------------------------------------

    @property
    def now(self) -> Seconds:
        """Virtual seconds since the start."""
        return self.internet.now - START

    async def run_for(self, seconds: Seconds) -> None:
        """Let so much virtual time pass."""
        await trio.sleep(as_duration("seconds", seconds))

    async def run_until(
        self, done: Callable[[], bool], timeout: Seconds = 60.0, *, every: Seconds = _LOOK_EVERY
    ) -> Seconds:
        """Let time pass until something holds; return how long it took.

        Raises:
            Violation: It did not within `timeout` virtual seconds.
        """
        began, until = self.now, self.now + as_duration("timeout", timeout)
        while not done():
            if self.now >= until:
                self._violate("run_until", f"it did not happen within {timeout:g} s")
            await trio.sleep(min(every, max(until - self.now, 1e-6)))
        return self.now - began

    async def quiet(self, timeout: Seconds = 60.0) -> Seconds:
        """Let time pass until all agree on who is there; return how long it took.

        Raises:
            Violation: They do not; it tells who sees whom.
        """
        try:
            return await self.run_until(self.is_quiet, timeout)
        except Violation:
            text = f"not all agree on who is there after {timeout:g} s: {self._views()}"
            self._violate("agreement", text)
            raise

    async def calm(self, timeout: Seconds = 60.0) -> Seconds:
        """Take away every fault, then let time pass until all agree on who is there.

        What crashed stays crashed.

        Raises:
            Violation: They do not agree in time; it tells who sees whom.
        """
        self.internet.remove_faults()
        self.resume_all()
        return await self.quiet(timeout)

    def is_quiet(self) -> bool:
        """Whether each agent sees exactly those of its mesh that run, and all alive."""
        return all(self._sees(agent) == self._expected(agent) for agent in self._running)

    def _sees(self, agent: Agent) -> dict[NodeId, str]:
        return {
            member.id: member.state
            for member in agent.engine.members()
            if member.state in ("alive", "suspect")
        }

    def _expected(self, agent: Agent) -> dict[NodeId, str]:
        group = agent.engine.identity.keys.group_id
        return {
            other.engine.identity.node_id: "alive"
            for other in self._running
            if other.engine.identity.keys.group_id == group
        }

    def _views(self) -> str:
        names = {agent.engine.identity.node_id: agent.name for agent in self._running}
        return "; ".join(
            f"{agent.name} sees "
            + ", ".join(
                f"{names.get(node, '?')} {state}"
                for node, state in sorted(
                    self._sees(agent).items(), key=lambda each: names.get(each[0], "?")
                )
            )
            for agent in self._running
        )

    # --- looking ----------------------------------------------------------------------------

    def check(self, invariant: Callable[[], object]) -> None:
        """Call this before time moves, each time; what it raises, or False, ends the run."""

        def look() -> None:
            if invariant() is False:
                name = getattr(invariant, "__name__", "check")
                self._violate(name, "does not hold")

        self.internet.before_move.append(look)

    @cached_property
    def random(self) -> random.Random:
        """For the test's own chance: it follows the seed, too."""
        return random.Random(secret(self.seed, "test"))

    @property
    def coverage(self) -> Counter[str]:
        """How often each kind of fault really did something."""
        return self.internet.coverage

    @property
    def trace(self) -> str:
        """A hash of all that arrived anywhere so far, byte by byte."""
        return self.internet.trace

    def _violate(self, name: str, text: str) -> None:
        self.internet.violate(name, text)
