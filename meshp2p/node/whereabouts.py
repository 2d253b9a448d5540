"""Where a node can be reached: found out, shown to others of its machine, and looked at again."""

from __future__ import annotations

import contextlib
import functools
from typing import Final

import attrs
import trio

from meshp2p.discovery import local
from meshp2p.discovery.local import Directory
from meshp2p.engine import Neighbour
from meshp2p.errors import StateUnusable
from meshp2p.ids import Address, Seconds
from meshp2p.node.machine import Machine
from meshp2p.node.settings import Settings
from meshp2p.runtime.driver import Driver
from meshp2p.runtime.network import EVERYWHERE, numeric
from meshp2p.runtime.ports import NetworkPort

_LOOK: Final[Seconds] = 5.0
"""Three system calls, and nothing is sent."""
_GUEST_ASKS: Final = 4


@attrs.frozen
class Whereabouts:
    """The addresses of one node, and the directory of the machine that it shares with others.

    Args:
        directory: None if it is neither to be found there nor to find anybody.
    """

    _settings: Settings
    _machine: Machine
    _network: NetworkPort
    _directory: Directory | None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where others reach it, as far as it can tell."""
        if self._settings.advertise is None:
            return self._machine.advertised(self._network.addresses)
        host, port = self._settings.advertise
        return (Address(numeric(host), port),)

    def look_around(self, driver: Driver, nursery: trio.Nursery) -> bool:
        """Show itself and meet the others of the machine, whoever comes later too.

        Returns:
            Whether anybody is there.
        """
        if self._directory is None:
            return False
        meet = functools.partial(_meet, driver)
        if self._settings.guest:
            # One list is enough; a few are asked, since a stopped process answers nobody.
            others = self._directory.list_others()
            return bool(meet(self._machine.dice().sample(others, min(len(others), _GUEST_ASKS))))
        self._show(driver)  # before it looks: of two that start at once, one sees the other
        met = meet(self._directory.list_others())
        in_thread = functools.partial(self._machine.threads.run, limiter=trio.CapacityLimiter(1))
        is_alone = functools.partial(_is_alone, driver)
        nursery.start_soon(local.watch, self._directory, meet, is_alone, in_thread)
        return bool(met)

    def _show(self, driver: Driver) -> None:
        identity = driver.engine.identity
        if self._directory is not None:
            handle, key = self._settings.handle, identity.transport_public
            self._directory.publish(Neighbour(identity.node_id, key, self.addresses, handle))

    @trio.lowlevel.enable_ki_protection
    async def watch(self, driver: Driver) -> None:
        """Sockets bound everywhere hear others wherever the machine is; these must learn where."""
        if self._settings.advertise is not None or self._settings.guest:
            return
        while any(address.host in EVERYWHERE for address in self._network.addresses):
            await trio.sleep(_LOOK)
            if driver.engine.receive_addresses(self.addresses, now=driver.now()):
                with contextlib.suppress(StateUnusable):  # others of this machine hear it by gossip
                    self._show(driver)
            driver.perform_effects()


def _meet(driver: Driver, neighbours: list[Neighbour]) -> int:
    news = driver.engine.meet(neighbours, now=driver.now())
    driver.perform_effects()
    return news


def _is_alone(driver: Driver) -> bool:
    return driver.engine.is_alone
