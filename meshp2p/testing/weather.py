"""The part of a simulation that a test sets wrong: links, clocks, boxes, any fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias, get_args

from meshp2p.errors import UsageError
from meshp2p.simulation.faults import Fault, Guard, Nat, Schedule, Timed
from meshp2p.simulation.faults.cuts import Cut, Hold, Partition
from meshp2p.simulation.faults.fault import EVERYWHERE, paths
from meshp2p.simulation.routes import NatKind
from meshp2p.testing.agent import Agent
from meshp2p.testing.handles import Path, WallClock
from meshp2p.testing.internet import Internet

Agents: TypeAlias = Agent | Iterable[Agent]

_NATS: Final = get_args(NatKind)


class Weather:
    """What lies between agents, and what is wrong with their surroundings."""

    internet: Internet

    # --- machines ------------------------------------------------------------------------

    def clock(self, agent: Agent) -> WallClock:
        """Its wall clock, to set it wrong."""
        return WallClock(self.internet, agent.machine)

    def nat(self, agents: Agents, kind: NatKind = "port_restricted", **how: Any) -> Guard:  # noqa: ANN401  # as Nat
        """Put agents behind one box that translates addresses; they have no IPv6 then.

        Raises:
            UsageError: No such kind.
        """
        if kind not in _NATS:
            raise UsageError(f"nat(..., {kind!r}): allowed are {', '.join(_NATS)}")
        return self.inject(Nat(tuple(_names(agents)), kind, **how))

    # --- what lies between them -----------------------------------------------------------

    def link(
        self, sender: Agent | None = None, receiver: Agent | None = None, *, oneway: bool = False
    ) -> Path:
        """The links between two agents; without any, all links.

        Raises:
            UsageError: One agent alone, or the same twice.
        """
        if sender is None and receiver is None:
            return Path(self.internet, EVERYWHERE)
        if sender is None or receiver is None or sender is receiver:
            raise UsageError("link() takes two different agents, or none for all links")
        return Path(self.internet, paths([sender.name], [receiver.name], both=not oneway))

    def partition(self, *groups: Agents, oneway: bool = False) -> Guard:
        """Let agents reach each other only within groups; one in two of them is a bridge.

        Args:
            oneway: Only what the first group sends to the second is lost.

        Raises:
            UsageError: Fewer than two groups, or more of them with `oneway`.
        """
        named = [_names(group) for group in groups]
        if len(named) < 2 or not all(named):  # noqa: PLR2004  # a partition has two sides
            raise UsageError("partition() takes at least two groups of agents")
        if not oneway:
            return self.inject(Partition(tuple(tuple(group) for group in named)))
        if len(named) > 2:  # noqa: PLR2004  # one to the other
            raise UsageError("partition(oneway=True) takes two groups")
        return self.inject(Cut(paths(*named)))

    def cut(self, ones: Agents, others: Agents, *, oneway: bool = False) -> Guard:
        """Lose everything between two groups, or only from the first to the second."""
        return self.inject(Cut(paths(_names(ones), _names(others), both=not oneway)))

    def hold(self, ones: Agents, others: Agents, *, oneway: bool = False) -> Guard:
        """Keep all packets until the guard is removed; then they go on in their order."""
        return self.inject(Hold(paths(_names(ones), _names(others), both=not oneway)))

    def heal(self) -> None:
        """Mend all cuts and partitions, and all links."""
        self.internet.heal()

    def inject(self, fault: Fault) -> Guard:
        """Let anything of `meshp2p.simulation.faults` go wrong, until its guard is removed."""
        return self.internet.inject(fault)

    def schedule(self, *timed: Timed | Schedule) -> None:
        """Let faults happen at their hours, in virtual seconds since the start."""
        self.internet.schedule(*timed)


def _names(agents: Agents) -> list[str]:
    return [agents.name] if isinstance(agents, Agent) else [agent.name for agent in agents]
