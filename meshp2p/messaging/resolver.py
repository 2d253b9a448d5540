"""Whom a call goes to: targets as users write them, and the choice among many."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Sequence

import attrs

from meshp2p.errors import UsageError
from meshp2p.ids import NodeId, check_name, parse_id
from meshp2p.wire.messages import ON_MESSAGE

_SAMPLE = 4
"""Members compared for each call: two choices already take most of the gain (Mitzenmacher,
"The power of two choices in randomized load balancing", 2001)."""


@attrs.frozen
class Target:
    """Where a call may go.

    Args:
        text: As the user wrote it, for error texts.
        method: Capability, or `ON_MESSAGE`.
        handle: Only members with this handle, if not empty.
        id: Only this member, if not None.
    """

    text: str
    method: str
    handle: str = ""
    id: NodeId | None = None


def parse_target(text: object) -> Target:
    """Read "capability", "@handle/capability", "#id/capability", "@handle" or "#id".

    Raises:
        UsageError: It is none of these.
    """
    if isinstance(text, str) and text:
        return _parse_text(text)
    raise UsageError(
        f"target={text!r}: allowed are 'capability', '@handle', '@handle/capability', "
        "'#id' and '#id/capability'"
    )


@functools.lru_cache(maxsize=256)
def _parse_text(text: str) -> Target:
    if text[0] not in "@#":
        return Target(text, check_name("target", text))
    who, _, capability = text[1:].partition("/")
    method = check_name("target", capability) if "/" in text else ON_MESSAGE
    if text[0] == "#":
        return Target(text, method, id=parse_id(who))
    return Target(text, method, handle=check_name("target", who))


class Resolver:
    """Chooses members for targets from a local index; asks no network."""

    def __init__(
        self,
        *,
        rng: random.Random,
        able: Callable[[str], Sequence[NodeId]],
        named: Callable[[str], Sequence[NodeId]],
        present: Callable[[NodeId], bool],
        suspect: Callable[[NodeId], bool],
        in_flight: Callable[[NodeId], int],
    ) -> None:
        """Look members up with the given functions, each O(1).

        Args:
            able: Alive or suspect members whose capability has a handler.
            named: Alive or suspect members with a handle.
            present: Whether an id is alive or suspect.
            suspect: Whether it is suspect: picked only when nobody else is left.
            in_flight: Calls of ours that it has not answered.
        """
        self._rng = rng
        self._able = able
        self._named = named
        self._present = present
        self._suspect = suspect
        self._in_flight = in_flight

    def choose(self, target: Target, *, avoid: Collection[NodeId] = ()) -> NodeId | None:
        """A member for the target, none of `avoid`; None if there is none."""
        if target.id is not None:
            usable = self._present(target.id) and target.id not in avoid
            return target.id if usable else None
        if not target.handle:
            holders = self._able(target.method)
            if len(holders) == 1 and not avoid:
                return holders[0]
            return self._least_busy(holders, avoid)
        named = self._named(target.handle)
        if target.method != ON_MESSAGE:
            able = set(self._able(target.method))
            named = [node for node in named if node in able]
        return self._least_busy(named, avoid)

    def _least_busy(self, candidates: Sequence[NodeId], avoid: Collection[NodeId]) -> NodeId | None:
        if avoid:
            candidates = [node for node in candidates if node not in avoid]
        if not candidates:
            return None
        if len(candidates) == 1:
            return candidates[0]
        sample = self._rng.sample(candidates, min(_SAMPLE, len(candidates)))
        if all(self._suspect(node) for node in sample):
            sample = [node for node in candidates if not self._suspect(node)] or sample
        return min(sample, key=lambda node: (self._suspect(node), self._in_flight(node)))
