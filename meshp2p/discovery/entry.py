"""One entry of the local directory as it is written to its file.

MessagePack: [1, node id, transport key, [packed address, ...], handle]. Later versions
may append elements.
"""

from __future__ import annotations

from typing import Final

from meshp2p.engine.joining import Neighbour
from meshp2p.errors import WireError
from meshp2p.ids import NAME, NODE_ID_BYTES, Address, NodeId, address_from_packed
from meshp2p.wire import codec
from meshp2p.wire.limits import MAX_ADDRESSES

MAX_ENTRY: Final = 2_048
"""Bytes: six times what today's fields can fill, for later ones."""

_FORMAT: Final = 1
_ELEMENTS: Final = 5
_TRANSPORT_KEY_BYTES: Final = 32


def pack_entry(entry: Neighbour) -> bytes:
    """The bytes of the file."""
    addresses = [address.packed() for address in entry.addresses[:MAX_ADDRESSES]]
    return codec.pack([_FORMAT, entry.id, entry.transport_key, addresses, entry.handle])


def unpack_entry_untrusted(data: bytes) -> Neighbour:
    """Read what `pack_entry` wrote, or whatever else somebody put there.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    if len(data) > MAX_ENTRY:
        raise WireError(f"an entry of more than {MAX_ENTRY} bytes")
    match codec.unpack_list_untrusted(data, _ELEMENTS)[:_ELEMENTS]:
        case [int(form), bytes(node_id), bytes(key), list(addresses), str(handle)] if (
            form == _FORMAT
        ):
            pass
        case _:
            raise WireError("not an entry of the local directory")
    if len(node_id) != NODE_ID_BYTES or len(key) != _TRANSPORT_KEY_BYTES:
        raise WireError("an id or a key of the wrong length")
    if handle and not NAME.fullmatch(handle):
        raise WireError("a handle that is no name")
    return Neighbour(NodeId(node_id), key, _addresses(addresses), handle)


def _addresses(packed: list[codec.Value]) -> tuple[Address, ...]:
    if len(packed) > MAX_ADDRESSES:
        raise WireError(f"{len(packed)} addresses, at most {MAX_ADDRESSES} allowed")
    addresses = []
    for address in packed:
        if not isinstance(address, bytes):
            raise WireError("an address that is no bytes")
        addresses.append(address_from_packed(address))
    return tuple(addresses)
