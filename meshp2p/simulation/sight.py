"""What can be asked of a simulated node about the others."""

from __future__ import annotations

from abc import ABC, abstractmethod

from meshp2p.engine import Engine
from meshp2p.events import Member, MemberEvent, State
from meshp2p.ids import NodeId
from meshp2p.simulation.handlers import Ran


class Sight(ABC):
    """A node as an observer of its mesh, and as something observed."""

    events: list[MemberEvent]

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """Its engine."""

    @property
    @abstractmethod
    def id(self) -> NodeId:
        """Its node id."""

    @property
    @abstractmethod
    def ran(self) -> list[Ran]:
        """Every handler of its agent that began."""

    @property
    def members(self) -> list[Member]:
        """Everybody it knows, the dead included."""
        return self.engine.members()

    @property
    def handles(self) -> set[str]:
        """Handles of whoever it believes alive, its own included."""
        return {member.handle for member in self.members if member.state == "alive"}

    def sees(self, other: Sight) -> State | None:
        """In which state it believes the other to be; None if it knows no such member."""
        member = self.engine.member(other.id)
        return None if member is None else member.state

    def heard(self, event: str) -> list[str]:
        """Handles of those of whom it was told this event, in order."""
        return [each.member.handle for each in self.events if each.name == event]

    def times_run(self, method: str) -> int:
        """How often a handler of its agent began."""
        return sum(each.method == method for each in self.ran)
