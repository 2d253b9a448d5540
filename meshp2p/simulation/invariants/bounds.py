"""How long the protocol may take to find out, by its own configuration."""

from __future__ import annotations

from math import log10
from typing import Final

from meshp2p.config import Config
from meshp2p.ids import Seconds

_ROUNDS: Final = 2
"""Passes over all members in which each is probed for certain (SWIM, section 4.3)."""
_LONGEST_PAUSE: Final = 1.5
"""Intervals between two tries to reach somebody lost, at most: they are jittered."""
_SEED_PAUSE: Final[Seconds] = 37.5
"""Between two looks at a seed, at most: half a minute, jittered by a quarter."""
_ROUND_TRIPS: Final[Seconds] = 1.0
"""Handshakes, connections and retries on a network without faults."""


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


def convergence(config: Config, members: int, *, alone: bool = False) -> Seconds:
    """Within which all views are equal once nothing disturbs them any more.

    Two digest periods and two suspicion maxima, as the design has it: a suspicion that is
    open when the faults end may last for its whole time, and so may the one that somebody
    who learns of it only then begins; then two views may differ where no probe happens to
    show it, until they are compared, and so may the views of those who hear of it from these.
    And one pause between two tries to reach somebody lost: whoever is dead to all is called no
    oftener.

    The bound of the invariant L1, in `rest.py`.

    Args:
        alone: Somebody knows nobody. It waits for a visit to a seed, its own or another's, and
            these are half a minute apart in every profile.
    """
    comparing = 2 * config.digest_interval
    suspecting = 2 * longest_suspicion(config, members)
    calling = _LONGEST_PAUSE * config.lost_retry_interval
    return comparing + suspecting + (max(calling, _SEED_PAUSE) if alone else calling)
