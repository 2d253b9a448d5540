"""Credentials: a chain of signed blocks, each no wider than the one that issued it.

Made offline, checked offline. How a chain travels, and what one proves; `block` says
what a single block may claim, `trust` whom to believe.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from meshp2p.errors import CredentialError, UsageError, WireError
from meshp2p.identity.block import (
    CHILD,
    ISSUER,
    LAST_MOMENT,
    MESH_ID_BYTES,
    NODE,
    TRANSPORT,
    Block,
    Patterns,
    allows,
    parse_block_untrusted,
)
from meshp2p.ids import NodeId
from meshp2p.wire import codec, limits

__all__ = [
    "CHILD",
    "ISSUER",
    "LAST_MOMENT",
    "MESH_ID_BYTES",
    "NODE",
    "TRANSPORT",
    "Block",
    "Credential",
    "pack_chain",
    "parse_chain_untrusted",
    "without_transport",
]


@attrs.frozen(kw_only=True)
class Credential:
    """What a verified chain proves about its holder.

    Args:
        node_id: Of `node_key`, which is the node's, or the child's if there is one.
        kind: `NODE`: a member. `CHILD`: somebody for whom a member vouches, a guest, of whom
            one credential makes as many as its holder likes; it is never counted.
        transport_key: X25519 key that it uses in handshakes; None without such a block.
        namespaces: Patterns, as are `roles`, `handles` and `announces`.
        not_before: Unix seconds; the narrowest of the chain, the transport block apart.
        not_after: Likewise.
        transport_not_before: Unix seconds; 0 without a transport block.
        transport_not_after: Likewise.
        mesh_id: The mesh that it was issued for, 16 bytes.
    """

    node_id: NodeId
    kind: int
    node_key: bytes
    transport_key: bytes | None
    name: str
    namespaces: Patterns
    roles: Patterns
    handles: Patterns
    announces: Patterns
    not_before: int
    not_after: int
    transport_not_before: int
    transport_not_after: int
    mesh_id: bytes

    def allows_handle(self, handle: str) -> bool:
        """Whether the holder may be called `@handle`."""
        return allows(self.handles, handle)

    def allows_capability(self, capability: str) -> bool:
        """Whether the holder may announce the capability."""
        return allows(self.announces, capability)

    def allows_namespace(self, namespace: str) -> bool:
        """Whether the holder belongs into the namespace."""
        return allows(self.namespaces, namespace)

    def allows_role(self, role: str) -> bool:
        """Whether the holder may act in the role."""
        return allows(self.roles, role)

    def check_valid_at(self, unix: float, tolerance: float) -> None:
        """Accept the credential as of this moment.

        Args:
            unix: Wall clock of whoever judges, in Unix seconds.
            tolerance: Seconds by which its clock and the issuer's may differ.

        Raises:
            CredentialError: Too early or too late; the text says by how many seconds.
        """
        _check_window("credential", self.not_before, self.not_after, unix, tolerance)
        if self.transport_key is not None:
            start, end = self.transport_not_before, self.transport_not_after
            _check_window("transport key", start, end, unix, tolerance)


def pack_chain(blocks: Sequence[bytes]) -> bytes:
    """Join blocks, outermost issuer first, into a chain as it travels.

    Raises:
        UsageError: It would be too long for a handshake.
    """
    chain = codec.pack(list(blocks))
    if len(chain) > limits.MAX_CHAIN or len(blocks) > limits.MAX_BLOCKS:
        raise UsageError(
            f"a credential chain of {len(blocks)} blocks and {len(chain)} bytes; at most "
            f"{limits.MAX_BLOCKS} and {limits.MAX_CHAIN} are allowed: use fewer or shorter names"
        )
    return chain


def parse_chain_untrusted(chain: bytes) -> list[Block]:
    """Read what `pack_chain` wrote; nothing is verified yet.

    Raises:
        WireError: It is not a chain, or not in its one encoding.
        CredentialError: A block claims what this version does not know.
    """
    if len(chain) > limits.MAX_CHAIN:
        raise WireError(f"a chain of {len(chain)} bytes, at most {limits.MAX_CHAIN} allowed")
    wires = codec.unpack_list_untrusted(chain, at_least=1)
    if len(wires) > limits.MAX_BLOCKS:
        raise WireError(f"a chain of {len(wires)} blocks, at most {limits.MAX_BLOCKS} allowed")
    # The framing is not signed. With one encoding only, nobody can give a chain new
    # faces that pass the cache of verified chains by, at 70 us each.
    if codec.pack(wires) != chain:
        raise WireError("a chain that is not in its one encoding")
    return [parse_block_untrusted(wire) for wire in wires]


def without_transport(chain: bytes) -> bytes:
    """The chain without its transport block: what a certificate keeps for years.

    Raises:
        WireError: It is not a chain.
        CredentialError: It is one of a later version.
    """
    blocks = parse_chain_untrusted(chain)
    return codec.pack([block.wire for block in blocks if block.kind != TRANSPORT])


def _check_window(what: str, start: int, end: int, unix: float, tolerance: float) -> None:
    if unix + tolerance < start:
        raise CredentialError(
            f"{what} not valid before {_date(start)}, {start - unix:.0f} s from now by this "
            f"node's clock ({tolerance:.0f} s are forgiven): one of the two clocks is wrong"
        )
    if unix - tolerance > end:
        raise CredentialError(
            f"{what} expired at {_date(end)}, {unix - end:.0f} s ago by this node's clock "
            f"({tolerance:.0f} s are forgiven): renew it, or mend the clock that is wrong"
        )


def _date(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
