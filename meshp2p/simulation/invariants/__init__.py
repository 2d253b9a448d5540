"""The protocol's promises as small named classes that watch a world while it runs.

    world = World(seed=7)
    watched = watch_all(world)
    ...                     # trouble, then calm
    look_at_rest(watched)

A broken promise raises `Violation` out of the very step that breaks it; it names the
invariant, the members, the moment, the seed, and the command that shows it again.
Watch before the first node starts: what happened before is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from meshp2p.simulation.invariants import bounds
from meshp2p.simulation.invariants.awards import BestBid, NextBest
from meshp2p.simulation.invariants.choice import Takers
from meshp2p.simulation.invariants.detection import (
    Amnesty,
    NoHastyDeath,
    Refutes,
    SilenceIsNoticed,
)
from meshp2p.simulation.invariants.giving_up import GivesUp
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.laws import (
    Bounded,
    OncePerNonce,
    ProbesEnd,
    TimePasses,
    WellFormedEvents,
    WholeBatches,
)
from meshp2p.simulation.invariants.lookout import Lookout
from meshp2p.simulation.invariants.outsiders import GuestsOnlyLook, NamespacesApart
from meshp2p.simulation.invariants.owners import Awarded, OneRunPerToken, Owed
from meshp2p.simulation.invariants.packets import GoodDatagrams, Reflects
from meshp2p.simulation.invariants.rest import CallsWork, ViewsAgree
from meshp2p.simulation.invariants.retries import TriesOn
from meshp2p.simulation.invariants.statements import (
    EpochsRise,
    OneWinner,
    SignsOnce,
    WrittenFirst,
)
from meshp2p.simulation.invariants.transcripts import Signed
from meshp2p.simulation.invariants.versions import (
    NobodyRises,
    OneBody,
    OneSuspicion,
    OwnersSpeak,
    OwnName,
    VersionsRise,
)
from meshp2p.simulation.invariants.votes import OneOutcome, Recounts, Verifies
from meshp2p.simulation.invariants.work import (
    AtMostOnce,
    CurrentResult,
    DeadlinesGoDown,
    EndsOnce,
    HonestDoubt,
    OncePerKey,
)
from meshp2p.simulation.world import World

_ALL: Final[tuple[type[Invariant], ...]] = (
    OncePerNonce,
    VersionsRise,
    NobodyRises,
    OwnersSpeak,
    OneBody,
    NoHastyDeath,
    Refutes,
    OwnName,
    OneSuspicion,
    Amnesty,
    GoodDatagrams,
    Reflects,
    Bounded,
    ProbesEnd,
    WellFormedEvents,
    WholeBatches,
    TimePasses,
    SilenceIsNoticed,
    SignsOnce,
    WrittenFirst,
    OneWinner,
    EpochsRise,
    BestBid,
    Signed,
    NextBest,
    CurrentResult,
    OneRunPerToken,
    Awarded,
    Owed,
    OneOutcome,
    Recounts,
    Verifies,
    AtMostOnce,
    OncePerKey,
    HonestDoubt,
    DeadlinesGoDown,
    GivesUp,
    TriesOn,
    EndsOnce,
    GuestsOnlyLook,
    NamespacesApart,
    Takers,
    ViewsAgree,
    CallsWork,
)

INVARIANTS: Final[Mapping[str, type[Invariant]]] = MappingProxyType(
    {kind.name: kind for kind in _ALL}
)
"""By the name that a violation shows."""


def watch(world: World, *names: str, scenario: str = "swarm") -> list[Invariant]:
    """Watch for these promises alone, by name."""
    lookout = Lookout(world, scenario)
    return [INVARIANTS[name](lookout) for name in names]


def watch_all(world: World, *, scenario: str = "swarm") -> list[Invariant]:
    """Watch for all promises from now on.

    Args:
        scenario: Named in the command that replays a violation.
    """
    return watch(world, *INVARIANTS, scenario=scenario)


def look_at_rest(invariants: Iterable[Invariant]) -> None:
    """Let each look at everything: no fault is left, and nothing is under way.

    Raises:
        Violation: Not everything came right.
    """
    for invariant in invariants:
        invariant.at_rest()


__all__ = [
    "INVARIANTS",
    "Invariant",
    "Lookout",
    "bounds",
    "look_at_rest",
    "watch",
    "watch_all",
]
