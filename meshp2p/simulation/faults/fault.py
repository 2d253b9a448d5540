"""What a fault is: a value that says what goes wrong, and a guard that undoes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self, TypeAlias

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.packets import Link

if TYPE_CHECKING:
    from meshp2p.simulation.world import World

Stop: TypeAlias = Callable[[], None]
ANYONE: Final = "*"
"""In a path: whoever sends, or whoever receives."""
EVERYWHERE: Final[tuple[Link, ...]] = ((ANYONE, ANYONE),)


class Fault(Protocol):
    """Something that goes wrong for a while; its repr is code that makes it again.

    Args:
        kind: For people and counters.
    """

    kind: ClassVar[str]

    def start(self, world: World) -> Stop:
        """Let it go wrong; what is returned ends that, and is called once."""
        ...


@attrs.frozen
class Timed:
    """A fault with its hour.

    Args:
        at: Seconds after the world's start.
        until: Likewise; infinity for one that only `calm` ends.
    """

    at: Seconds
    fault: Fault
    until: Seconds = inf

    def __repr__(self) -> str:
        """As code; `inf` is `math.inf`."""
        return f"Timed({self.at!r}, {self.fault!r}, {self.until!r})"


@attrs.frozen
class Schedule:
    """All faults of a run."""

    faults: tuple[Timed, ...] = ()

    def __repr__(self) -> str:
        """As code, one fault a line."""
        lines = "".join(f"    {each!r},\n" for each in self.faults)
        return f"Schedule((\n{lines}))" if lines else "Schedule()"

    @property
    def ends(self) -> Seconds:
        """When the last of those that end has ended, in seconds after the world's start."""
        moments = [each.until if each.until < inf else each.at for each in self.faults]
        return max(moments, default=0.0)


@attrs.define(eq=False)
class Guard:
    """A fault at work; as a context manager it ends with the block.

    Args:
        number: Of the fault in its world, from 1.
    """

    number: int
    fault: Fault
    _world: World
    stop: Stop | None

    def remove(self) -> None:
        """End it; a second time does nothing."""
        stop, self.stop = self.stop, None
        if stop is not None:
            self._world.forget_fault(self.number)
            stop()
            self._world.tell("heal", "", fault=self.fault.kind, id=self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def paths(ones: Iterable[str], others: Iterable[str], *, both: bool = False) -> tuple[Link, ...]:
    """From each of `ones` to each of `others`, and back if `both`."""
    others = tuple(others)
    there = tuple((one, other) for one in ones for other in others if one != other)
    return there + tuple((b, a) for a, b in there) if both else there


def lies_on(link: Link, ways: Iterable[Link]) -> bool:
    """Whether a link is one of these paths."""
    sender, receiver = link
    return any(a in (ANYONE, sender) and b in (ANYONE, receiver) for a, b in ways)
