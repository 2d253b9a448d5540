"""What can be watched of a run, and how it ends when a promise is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from meshp2p.ids import Seconds

Fact: TypeAlias = str | int | float | bool


@attrs.frozen
class Happening:
    """One thing that happened in a run.

    Args:
        at: Virtual seconds since the world began.
        node: Name of the node it happened at, "" for the world.
        kind: send recv drop refuse | open close | timer | view | call handler finish |
            persist sync | decide | fault heal | crash restart pause resume leave join |
            violation | log
        detail: What else there is to say, by kind: a send has `to`, `what` (datagram or
            stream), `len` and `id`; a recv `from` instead of `to`; a drop `why` as well
            (loss, cut, partition, nat, mtu, queue, crash); a view `member`, `state`,
            `event` and `reason`; faults `fault`, `id` and `text`.
    """

    at: Seconds
    node: str
    kind: str
    detail: Mapping[str, Fact]


Watcher: TypeAlias = Callable[[Happening], None]


class Violation(AssertionError):  # it is what it says, and users catch it by name
    """A promise of the protocol was broken."""

    def __init__(
        self,
        text: str,
        *,
        name: str = "",
        nodes: tuple[str, ...] = (),
        at: Seconds = 0.0,
        seed: int = 0,
    ) -> None:
        """Say which promise, whose, when, and how to see it again.

        Args:
            text: For people.
            name: Of the invariant.
            nodes: Names of those concerned.
            at: Virtual seconds since the world began.
        """
        super().__init__(text)
        self.text = text
        self.name = name
        self.nodes = nodes
        self.at = at
        self.seed = seed

    def __str__(self) -> str:
        """The invariant, who, when and the seed."""
        promise = f"{self.name}: " if self.name else ""
        whose = f" ({', '.join(self.nodes)})" if self.nodes else ""
        return f"seed {self.seed}, at {self.at:.6f} s: {promise}{self.text}{whose}"
