"""Who this node is: its keys, its chain, and what it calls itself."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.errors import UsageError
from meshp2p.identity.block import NODE, TRANSPORT, TRANSPORT_LIFE, Block
from meshp2p.identity.credential import pack_chain, parse_chain_untrusted
from meshp2p.identity.keys import Crypto, node_id_of
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import NodeId, Seconds, check_name

NODE_LIFE: Final = 30 * 24 * 3_600
"""Seconds. How long a credential that a node gave itself is valid; renewed at half of it."""

_ANYTHING: Final = ("*",)


@attrs.frozen(kw_only=True)
class NodeIdentity:
    """A node's own keys and what proves them. Secrets never show in its `repr`.

    Args:
        node_private: Ed25519 seed; signs records, bids, ballots.
        transport_private: X25519 key of handshakes; a new one at each start, because a
            key that signs must not be used to agree on secrets (Noise, section 14).
        chain: Credential chain as it travels, transport block included.
        journal_id: 16 bytes, made together with the journal: the same node key beside
            another journal has forgotten what it promised.
        may_promise: False for a node that keeps nothing on disk: it may not vote, bid
            or own tasks, since after a restart it could promise the opposite.
        renew_at: Unix seconds; `renewed` is due then.
        renew_before: Unix seconds; a clock that shows less was ahead when the chain was
            made, so that others take it for one of the future, and `renewed` mends that.
    """

    node_private: bytes = attrs.field(repr=False)
    node_public: bytes
    node_id: NodeId
    transport_private: bytes = attrs.field(repr=False)
    transport_public: bytes
    chain: bytes = attrs.field(repr=False)
    journal_id: bytes
    handle: str
    role: str
    keys: MeshKeys
    may_promise: bool = True
    renew_at: int = 0
    renew_before: int = 0

    @classmethod
    def self_issued(  # noqa: PLR0913  # the facts about a node that nothing else can tell
        cls,
        crypto: Crypto,
        keys: MeshKeys,
        *,
        node_private: bytes,
        transport_private: bytes,
        journal_id: bytes,
        handle: str,
        role: str,
        unix: float,
        lifetime: Seconds = NODE_LIFE,
        may_promise: bool = True,
    ) -> NodeIdentity:
        """The identity of a node that holds the mesh's root key: it signs for itself.

        The facts are as for the class; `unix` is the wall clock in Unix seconds, and
        `lifetime` the node block's in seconds; the transport block's is a day at most.

        Raises:
            UsageError: The root key is not here, or handle or role is no name.
        """
        if handle:
            check_name("handle", handle)
        check_name("role", role)
        node_public = crypto.signing_public(node_private)
        identity = cls(
            node_private=node_private,
            node_public=node_public,
            node_id=node_id_of(node_public),
            transport_private=transport_private,
            transport_public=crypto.exchange_public(transport_private),
            chain=b"",
            journal_id=journal_id,
            handle=handle,
            role=role,
            keys=keys,
            may_promise=may_promise,
        )
        node_block = identity._issue_to_itself(crypto, int(unix), int(lifetime))
        return identity._with_transport_block(crypto, [node_block], int(unix))

    def renewed(self, crypto: Crypto, unix: float) -> NodeIdentity:
        """The same node and keys with a fresh transport block.

        Where the root key is here, the node's own block is renewed too once half of
        its life is over, or if it has not begun. Elsewhere an issuer has to do that in time.

        Raises:
            UsageError: The credential has expired; a fresh block could not narrow it.
        """
        *issuers, node_block = [
            block for block in parse_chain_untrusted(self.chain) if block.kind != TRANSPORT
        ]
        wires = [block.wire for block in issuers]
        life = node_block.not_after - node_block.not_before
        middle = node_block.not_before + life // 2
        if self.keys.root_private is not None and not node_block.not_before <= unix < middle:
            wires = [self._issue_to_itself(crypto, int(unix), life)]
        else:
            wires.append(node_block.wire)
        return self._with_transport_block(crypto, wires, int(unix))

    def needs_renewal(self, unix: float) -> bool:
        """Whether `renewed` should be called by now: `unix` is the wall clock."""
        return unix >= self.renew_at or unix < self.renew_before

    def _issue_to_itself(self, crypto: Crypto, unix: int, lifetime: int) -> bytes:
        if self.keys.root_private is None:
            raise UsageError("this machine does not hold the mesh's root key: ask for an invite")
        return Block.issue(
            crypto,
            self.keys.root_private,
            kind=NODE,
            mesh_id=self.keys.mesh_id,
            subject=self.node_public,
            name=self.handle,
            namespaces=(self.keys.namespace,),
            roles=(self.role,),
            not_before=unix,
            not_after=unix + lifetime,
            depth=1,  # it may mint children, they none
            handles=_ANYTHING,
            announces=_ANYTHING,
        )

    def _with_transport_block(self, crypto: Crypto, wires: list[bytes], unix: int) -> NodeIdentity:
        parent = parse_chain_untrusted(pack_chain(wires))[-1]
        # A clock that was set back must not make the block begin before its issuer's.
        start = max(unix, parent.not_before)
        end = min(start + TRANSPORT_LIFE, parent.not_after)
        if start > end:
            raise UsageError("this node's credential has expired: ask its issuer for another")
        block = Block.issue(
            crypto,
            self.node_private,
            kind=TRANSPORT,
            mesh_id=self.keys.mesh_id,
            subject=self.transport_public,
            not_before=start,
            not_after=end,
        )
        can_begin_earlier = self.keys.root_private is not None or start > parent.not_before
        return attrs.evolve(
            self,
            chain=pack_chain([*wires, block]),
            renew_at=start + (end - start) // 2,
            renew_before=start if can_begin_earlier else 0,
        )
