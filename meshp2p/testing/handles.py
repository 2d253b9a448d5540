"""What `sim.link(a, b)` and `sim.clock(a)` give: places where a test sets something wrong."""

from __future__ import annotations

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.faults import Bandwidth, Fault, Guard, Skew
from meshp2p.simulation.links import Conditions
from meshp2p.simulation.packets import Link
from meshp2p.testing.internet import Internet
from meshp2p.testing.machine import VirtualMachine
from meshp2p.testing.units import as_delay, as_duration, as_rate, as_share


@attrs.frozen
class Path:
    """Links between two agents, in one direction or in both; or all links."""

    _internet: Internet
    _links: tuple[Link, ...]

    def set(
        self,
        *,
        loss: float = 0.0,
        delay: object = (0.0002, 0.002),
        duplicate: float = 0.0,
        rate: object = None,
    ) -> None:
        """Treat packets like this from now on, until `calm`; what is left out is as usual.

        Args:
            loss: Share of packets lost; TCP sends its own again.
            delay: "20ms", "5-80ms", seconds, (low, high), or a distribution.
            duplicate: Share of datagrams that arrive twice.
            rate: "1mbit", or bytes per second; None for no limit.

        Raises:
            UsageError: A value that is not allowed.
        """
        conditions = Conditions(
            delay=as_delay(delay),
            loss=as_share("loss", loss),
            duplicate=as_share("duplicate", duplicate),
        )
        narrow = None if rate is None else Bandwidth(paths=self._links, rate=as_rate(rate))
        if self._links == (("*", "*"),):
            self._internet.links.usual = conditions
        else:
            for link in self._links:
                self._internet.links.set(link, conditions)
        self._replace(narrow)

    def _replace(self, narrow: Bandwidth | None) -> None:
        for guard in list(self._internet.faults.values()):
            if isinstance(guard.fault, Bandwidth) and guard.fault.paths == self._links:
                guard.remove()
        if narrow is not None:
            self.inject(narrow)

    def inject(self, fault: Fault) -> Guard:
        """Let something go wrong; see `Simulation.inject`."""
        return self._internet.inject(fault)


@attrs.frozen
class WallClock:
    """The wall clock of one agent's machine. Its monotonic clock is always right."""

    _internet: Internet
    _machine: VirtualMachine

    @property
    def unix(self) -> float:
        """What it shows: Unix seconds."""
        return self._machine.clock.unix

    def skew(self, by: Seconds = 0.0, *, drift: float = 0.0) -> Guard:
        """Set it wrong by `by` seconds, gaining `drift` more in each second, until `calm`.

        The node looks at it every ten seconds.

        Raises:
            UsageError: No numbers.
        """
        for name, value in (("by", by), ("drift", drift)):
            as_duration(name, abs(value))
        return self._internet.inject(Skew(self._machine.name, by, drift))
