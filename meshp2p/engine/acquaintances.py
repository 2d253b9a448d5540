"""Whom a node has met, on disk: so that it finds its mesh again when no seed is left.

Kept are addresses alone. Whoever answers there must prove to be of this mesh, as a seed
must; a row that was tampered with costs one connection that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from math import inf
from typing import Final

from meshp2p.effects import Persist, Record
from meshp2p.engine.core import Core
from meshp2p.errors import WireError
from meshp2p.events import State
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NODE_ID_BYTES, Address, NodeId, Seconds, address_from_packed
from meshp2p.wire import codec, limits

PEERS: Final = "peers"
"""Journal: node id to [format, [address (6 or 18 bytes), ...]]."""

_FORMAT: Final = 1
_EVERY: Final[Seconds] = 30.0
_SOON: Final[Seconds] = 1.0
"""After the first member is met: one that crashes at once finds the others again."""
_ORDER: Final[dict[State, int]] = {"alive": 0, "suspect": 1, "dead": 2, "left": 3}
"""Who is kept rather. The departed may come back, and the last to leave met nobody else."""


class Acquaintances:
    """Up to `limits.MAX_ACQUAINTANCES` rows, written when they change, seldom.

    Attributes:
        due: When to write; `inf` if nothing changed.
        before: Whom earlier runs met, by id.
    """

    def __init__(self, core: Core, swim: Swim, stored: Mapping[tuple[str, bytes], bytes]) -> None:
        """Read what the journal holds; whatever makes no sense is swept out later."""
        self._core = core
        self._swim = swim
        self.before: dict[NodeId, tuple[Address, ...]] = {}
        self._rubbish: list[bytes] = []
        self._on_disk: dict[NodeId, bytes] = {}
        for (table, key), value in stored.items():
            if table == PEERS:
                self._read(key, value)
        self.due: Seconds = inf
        self._not_before: Seconds = -inf
        self._writing: set[int] = set()

    def __len__(self) -> int:
        """How many are on disk, or soon will be."""
        return len(self._on_disk)

    def _read(self, key: bytes, value: bytes) -> None:
        try:
            addresses = _addresses_untrusted(key, value)
        except WireError:
            self._rubbish.append(key)
            return
        if len(self.before) >= limits.MAX_ACQUAINTANCES:
            self._rubbish.append(key)
            return
        self.before[NodeId(key)] = addresses
        self._on_disk[NodeId(key)] = value

    def members_changed(self, now: Seconds) -> None:
        """Write soon, if there is anything new."""
        if self.due == inf and not self._core.guest:
            self.due = max(now + _SOON, self._not_before)

    def write(self, now: Seconds) -> None:
        """Bring the disk in line with what is known."""
        self.due, self._not_before = inf, now + _EVERY
        if self._core.guest:
            return
        wanted = self._choose()
        gone = [key for key in self._on_disk if key not in wanted]
        rows = [Record(PEERS, key, None) for key in (*self._rubbish, *gone)]
        rows += [
            Record(PEERS, key, value)
            for key, value in wanted.items()
            if self._on_disk.get(key) != value
        ]
        self._rubbish, self._on_disk = [], wanted
        if rows:
            token = self._core.next_number()
            self._writing.add(token)
            self._core.emit(Persist(token, tuple(rows)))

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> None:
        """The rows are on disk; if not, all are written again with the next."""
        if token in self._writing:
            self._writing.discard(token)
            if not ok:
                self._on_disk = {}
                self.due = now + _EVERY

    def _choose(self) -> dict[NodeId, bytes]:
        """Whom to keep: those alive first, and of these rather those that are kept already."""
        chosen: dict[NodeId, bytes] = {}
        for node_id, addresses in chain(self._known(), self.before.items()):
            if len(chosen) >= limits.MAX_ACQUAINTANCES:
                break
            chosen.setdefault(node_id, _packed(addresses))
        return chosen

    def _known(self) -> Iterator[tuple[NodeId, tuple[Address, ...]]]:
        """In the order in which they are kept; what one says is read when its turn comes."""
        own = self._core.identity.node_id
        found = [each for each in self._swim.records() if each[0] != own]
        found.sort(key=lambda each: (_ORDER[each[1]], each[0] not in self._on_disk))
        for node_id, _, record in found:
            if record.body.addresses:
                yield node_id, record.body.addresses


def _packed(addresses: tuple[Address, ...]) -> bytes:
    return codec.pack([_FORMAT, [address.packed() for address in addresses]])


def _addresses_untrusted(key: object, value: object) -> tuple[Address, ...]:
    """What a row says.

    Raises:
        WireError: And nothing else, whatever it holds.
    """
    if not isinstance(key, bytes) or not isinstance(value, bytes) or len(key) != NODE_ID_BYTES:
        raise WireError("a row that is none of ours")
    match codec.unpack_list_untrusted(value, 2):
        case [int(number), [*packed], *_] if number == _FORMAT:
            addresses = packed[: limits.MAX_ADDRESSES]
        case _:
            raise WireError("a row of another format")
    if not addresses or not all(isinstance(each, bytes) for each in addresses):
        raise WireError("a row without addresses")
    return tuple(address_from_packed(each) for each in addresses if isinstance(each, bytes))
