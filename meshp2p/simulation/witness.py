"""Everything about a run that somebody may want to see; nothing of it changes the run."""

from __future__ import annotations

import hashlib
import struct
from abc import ABC
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from meshp2p.effects import Effect, Record
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.happening import Fact, Happening, Violation, Watcher

if TYPE_CHECKING:
    from meshp2p.simulation.handlers import Ran
    from meshp2p.simulation.nodes import Node

START: Final[Seconds] = 1_000.0
"""Monotonic time at which every world begins."""


_NOTED: Final = struct.Struct("<dI")

UNIX: Final = 1_750_000_000.0
"""Wall clock at monotonic time 0."""


class Witness(ABC):
    """The part of a world that others look at.

    Args:
        seed: Named whenever a promise is broken.
    """

    now: Seconds

    def __init__(self, seed: int) -> None:
        """Nobody watches."""
        self.seed = seed
        self.watchers: list[Watcher] = []
        """Told of all that happens; while it is empty, nothing is even put into words."""
        self.coverage: Counter[str] = Counter()
        """How often each kind of fault really did something."""
        self.on_transition: list[Callable[[Node], None]] = []
        """Called after every single input of one engine: its effects are taken, time stands."""
        self.on_effects: list[Callable[[Node, Sequence[Effect]], None]] = []
        """Called with all effects that an engine asks for at once, before they are performed."""
        self.after_each: list[Callable[[], None]] = []
        """Called after every step; raise `Violation` to stop."""
        self.on_running: list[Callable[[Node, Ran], None]] = []
        """Called whenever a handler begins."""
        self.on_persist: list[Callable[[Node, Sequence[Record]], None]] = []
        """Called whenever an engine asks for records to be written."""
        self.on_signature: list[Callable[[bytes, bytes], None]] = []
        """Called with public key and data whenever somebody checks a valid signature."""
        self.on_datagram: list[Callable[[Node, Address, bytes], None]] = []
        """Called with every datagram that a node sends."""
        self.on_arrival: list[Callable[[Node, Address, bytes], None]] = []
        """Called with every datagram that a node is about to read, and where that came from."""
        self._trace = hashlib.blake2b(digest_size=16)

    @property
    def elapsed(self) -> Seconds:
        """Virtual seconds since the world began."""
        return self.now - START

    def tell(self, kind: str, node: str = "", /, **detail: Fact) -> None:
        """Tell whoever watches; in frequent places ask for `watchers` before."""
        if self.watchers:
            happening = Happening(self.elapsed, node, kind, detail)
            for watcher in list(self.watchers):
                watcher(happening)

    def tell_received(self, node: Node, sender: str, what: str, size: int, number: int) -> None:
        """A `recv`; apart because "from" cannot be a keyword."""
        detail: dict[str, Fact] = {"from": sender, "what": what, "len": size, "id": number}
        self.tell("recv", node.name, **detail)

    def note(self, node: Node, what: str, data: bytes) -> None:
        """Add one thing that happened to the trace's hash."""
        head = _NOTED.pack(self.now, len(data))  # numbers in words would cost as much as the hash
        self._trace.update(head + f"{node.name} {what} ".encode() + data)

    @property
    def trace(self) -> str:
        """A hash of all that happened so far, bytes on the wire included."""
        return self._trace.hexdigest()

    def require(
        self,
        holds: bool,  # noqa: FBT001  # like assert
        promise: str,
        *,
        name: str = "",
        nodes: tuple[str, ...] = (),
    ) -> None:
        """Stop the run if a promise is broken.

        Raises:
            Violation: It is.
        """
        if not holds:
            self.violate(name, promise, nodes)

    def violate(self, name: str, text: str, nodes: tuple[str, ...] = ()) -> None:
        """Stop the run: the invariant of that name does not hold.

        Raises:
            Violation: Always.
        """
        self.tell("violation", "", name=name, text=text, nodes=", ".join(nodes))
        raise Violation(text, name=name, nodes=nodes, at=self.elapsed, seed=self.seed)
