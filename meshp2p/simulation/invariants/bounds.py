"""How long the protocol may take to find out, by its own configuration."""

from __future__ import annotations

from math import log10
from typing import Final

from meshp2p.config import Config
from meshp2p.ids import Seconds

_ROUNDS: Final = 2
"""Passes over all members in which each is probed for certain (SWIM, section 4.3)."""
_ROUND_TRIPS: Final[Seconds] = 1.0
"""Handshakes, connections and retries on a network without faults."""
_SYNCS: Final = 4
"""Full syncs in a row: the first ones may meet somebody who is just as ignorant."""
_TRIES: Final = 3
"""Times that each lost member is tried: a first try may find it about to be buried."""


def longest_suspicion(config: Config, members: int) -> Seconds:
    """With no confirmation at all."""
    shortest = shortest_suspicion(config, members)
    return shortest * config.suspicion_max_multiplier


def shortest_suspicion(config: Config, members: int) -> Seconds:
    """With as many confirmations as count."""
    spread = max(1.0, log10(max(1, members)))
    return config.suspicion_min_multiplier * spread * config.probe_interval


def detection(config: Config, members: int, *, slowness: int = 1) -> Seconds:
    """Within which one who is silent is dead for a member that runs: 2 n T and a suspicion.

    The bound of the invariant L2, in `detection.py`.

    Args:
        slowness: A node that is unwell waits so many times as long.
    """
    probing = _ROUNDS * members * config.probe_interval * slowness
    asking = (config.ack_timeout + config.indirect_timeout) * slowness
    return probing + asking + longest_suspicion(config, members) + _ROUND_TRIPS


def convergence(config: Config, members: int) -> Seconds:
    """Within which all views are equal once nothing disturbs them any more.

    Two suspicions may have to end, each of the lost has to be tried, one at a time in
    each interval (at most 1.5 times as long), and views are compared and synced.

    The bound of the invariant L1, in `rest.py`.
    """
    lost = _TRIES * members * 1.5 * config.lost_retry_interval
    syncs = _SYNCS * (config.sync_patience + config.sync_interval) * 3
    return 2 * detection(config, members) + lost + syncs
