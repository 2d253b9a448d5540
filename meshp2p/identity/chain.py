"""A credential chain as it reads: what it would prove if its signatures hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from meshp2p.errors import CredentialError
from meshp2p.identity.block import CHILD, NODE, TRANSPORT, Block
from meshp2p.identity.credential import Credential, parse_chain_untrusted
from meshp2p.identity.keys import node_id_of


@attrs.frozen
class Chain:
    """Blocks, outermost issuer first, and what they prove, if they were issued as they should.

    That depends on the bytes alone, so nodes of one process may share what one has read.
    """

    blocks: tuple[Block, ...]
    credential: Credential

    @classmethod
    def read_untrusted(cls, wire: bytes) -> Chain:
        """Read what `pack_chain` wrote; nothing is verified yet.

        Raises:
            WireError: It is not a chain, or not in its one encoding.
            CredentialError: A block claims what this version does not know, or none names a node.
        """
        blocks = parse_chain_untrusted(wire)
        *issuers, last = blocks
        holder = issuers[-1] if issuers and last.kind == TRANSPORT else last
        if holder.kind not in (NODE, CHILD):
            raise CredentialError("the chain ends before it names a node")
        credential = _conclude(holder, last if last.kind == TRANSPORT else None)
        return cls(tuple(blocks), credential)

    def check_rules(self, root: Block) -> None:
        """Accept each block as one that the one above it, or the root, may issue.

        Raises:
            CredentialError: One is not; the text says why.
        """
        issuer = root
        for block in self.blocks:
            issuer.check_may_issue(block)
            issuer = block

    def signed_by(self, root_public: bytes) -> list[tuple[bytes, Block]]:
        """Each block with the key that must have signed it."""
        keys = [root_public, *(block.subject for block in self.blocks)]
        return list(zip(keys, self.blocks, strict=False))


Reader: TypeAlias = Callable[[bytes], Chain]
"""`Chain.read_untrusted`, or the same with a memory."""


def _conclude(holder: Block, transport: Block | None) -> Credential:
    return Credential(
        node_id=node_id_of(holder.subject),
        kind=holder.kind,
        node_key=holder.subject,
        transport_key=transport.subject if transport else None,
        name=holder.name,
        namespaces=holder.namespaces,
        roles=holder.roles,
        handles=holder.handles,
        announces=holder.announces,
        not_before=holder.not_before,
        not_after=holder.not_after,
        transport_not_before=transport.not_before if transport else 0,
        transport_not_after=transport.not_after if transport else 0,
        mesh_id=holder.mesh_id,
    )
