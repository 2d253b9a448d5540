"""Swarm testing of agents: the seed chooses what goes wrong, for a while; then calm.

Source: as `simulation.swarm`: runs that leave out most kinds of faults find more than runs
that have a little of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import attrs
import trio

from meshp2p.errors import UsageError
from meshp2p.ids import Seconds
from meshp2p.simulation.drawing import draw_schedule
from meshp2p.simulation.faults import Schedule
from meshp2p.simulation.menu import MENU

if TYPE_CHECKING:
    from meshp2p.testing.simulation import Simulation

_OF_ENGINES: Final = frozenset(
    {"accuse", "drain", "equivocate", "flood", "forge", "perjure", "replay", "spoof", "stale"}
)
"""What only engines without sockets can be made to suffer."""
KINDS: Final = tuple(kind for kind in MENU if kind not in _OF_ENGINES)
"""Faults that may befall real nodes."""
_FEWEST: Final = 2
_CALM_WITHIN: Final[Seconds] = 120.0
_LATE: Final[Seconds] = 2.0
"""Then TCP has sent again what was lost: ends of old connections, among other things."""


def draw_storm(
    seed: bytes,
    names: tuple[str, ...],
    now: Seconds,
    seconds: Seconds,
    kinds: Iterable[str] | None,
) -> Schedule:
    """Draw what befalls these agents; see `Simulation.swarm`.

    Raises:
        UsageError: Fewer than two agents, or a kind that does not exist.
    """
    if len(names) < _FEWEST:
        raise UsageError("swarm() takes two running agents or more: most faults lie between two")
    chosen = KINDS if kinds is None else tuple(kinds)
    for kind in chosen:
        if kind not in KINDS:
            raise UsageError(f"swarm(kinds=[{kind!r}]): allowed are {', '.join(KINDS)}")
    end = now + seconds
    menu = {kind: MENU[kind] for kind in KINDS if kind in chosen}
    drawn = draw_schedule(Random(seed), names, now, end, menu)
    # Whatever nobody would undo ends with the storm: agents are tested further afterwards.
    return Schedule(tuple(attrs.evolve(each, until=min(each.until, end)) for each in drawn.faults))


@attrs.define(eq=False)
class Storm:
    """The hard phase of a test, around what is tested; leaving it waits for the calm.

    What the block raises is told with the faults that were drawn, as code.

    Args:
        schedule: What happens, in virtual seconds since the start.
        ends: When all of it is over, likewise.
    """

    _sim: Simulation
    _names: tuple[str, ...]
    schedule: Schedule
    ends: Seconds

    async def __aenter__(self) -> Self:
        """Let it begin."""
        await trio.lowlevel.checkpoint()
        self._sim.internet.is_calm = False  # there may have been a calm before
        self._sim.schedule(self.schedule)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for its end, then for the calm.

        Raises:
            Violation: The agents do not agree on who is there two minutes later.
        """
        try:
            if error is None:
                await self._pass()
        except Exception as raised:
            self._tell(raised)
            raise
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        error.add_note(f"in this storm:\n{self.schedule!r}")

    async def _pass(self) -> None:
        sim = self._sim
        await sim.run_for(max(0.0, self.ends - sim.now))
        sim.internet.remove_faults()
        sim.resume_all()
        for name in self._names:
            agent = sim[name]
            if agent.is_leaving:
                await sim.run_until(lambda agent=agent: not agent.is_running)  # type: ignore[misc]  # mypy cannot infer it
            if not agent.is_up:
                await sim.restart(agent)
        await sim.run_until(lambda: all(sim[name].is_running for name in self._names))
        await sim.run_for(_LATE)
        await sim.calm(_CALM_WITHIN)
