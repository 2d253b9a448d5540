"""Whom a mesh believes: its keys, and the judge of credential chains."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import attrs

from meshp2p.errors import CredentialError, UsageError
from meshp2p.identity.block import CHILD, MESH_ID_BYTES, NODE, TRANSPORT, Block
from meshp2p.identity.credential import Credential, parse_chain_untrusted
from meshp2p.identity.keys import KEY_BYTES, Crypto, hkdf, node_id_of
from meshp2p.ids import Seconds, check_name
from meshp2p.wire import limits

CLOCK_TOLERANCE: Final = 300.0
"""Seconds by which an issuer's clock and ours may differ (Kerberos, RFC 4120, forgives as much)."""


@attrs.frozen(kw_only=True)
class MeshKeys:
    """What a node holds of its mesh and namespace.

    Args:
        root_public: Ed25519 key at the top of every chain.
        mesh_id: 16 bytes; public; in every credential.
        namespace: The one that `group_id` and `psk` belong to.
        group_id: 16 bytes; public among members; in every signed record.
        psk: 32 bytes; mixed into every handshake. Without it a stranger gets no answer.
        root_private: Only where this machine may issue credentials.
        shared: Every holder of the mesh key can issue any role: roles are labels.
    """

    root_public: bytes
    mesh_id: bytes
    namespace: str
    group_id: bytes
    psk: bytes = attrs.field(repr=False)
    root_private: bytes | None = attrs.field(default=None, repr=False)
    shared: bool = False

    @classmethod
    def from_easy_key(cls, easy_key: bytes, namespace: str, crypto: Crypto) -> MeshKeys:
        """Derive everything from one secret of 32 bytes that all members hold.

        Neither the mesh id nor the namespace's keys depend on the root, so a mesh that
        outgrows its shared key can change the root and keep the rest.

        Raises:
            UsageError: The key is not 32 bytes, or the namespace is no name.
        """
        if len(easy_key) != KEY_BYTES:
            raise UsageError(f"a mesh key of {len(easy_key)} bytes; it has {KEY_BYTES}")
        check_name("namespace", namespace)
        mesh_secret = hkdf(easy_key, b"meshp2p/1 secret")
        root_private = hkdf(easy_key, b"meshp2p/1 root")
        namespace_secret = hkdf(mesh_secret, b"ns" + namespace.encode())
        return cls(
            root_public=crypto.signing_public(root_private),
            mesh_id=hkdf(mesh_secret, b"id", MESH_ID_BYTES),
            namespace=namespace,
            group_id=hkdf(namespace_secret, b"group", MESH_ID_BYTES),
            psk=hkdf(namespace_secret, b"psk"),
            root_private=root_private,
            shared=True,
        )


def verify_chain(
    crypto: Crypto,
    chain: bytes,
    *,
    root_public: bytes,
    mesh_id: bytes | None = None,
    at: float,
    tolerance: Seconds = CLOCK_TOLERANCE,
    need_transport: bool = False,
) -> Credential:
    """What the chain proves to somebody who trusts this root, as of `at`.

    Args:
        crypto: Mathematics.
        chain: As it was received.
        root_public: Ed25519 key at the top.
        mesh_id: None for whatever mesh the root has issued for.
        at: Unix seconds.
        tolerance: How far the clock of an issuer and the one behind `at` may differ.
        need_transport: Whether a chain without transport block is refused.

    Raises:
        WireError: It is not a chain.
        CredentialError: It does not hold; the text says where and why.
    """
    blocks = parse_chain_untrusted(chain)
    credential = _claims(blocks, root_public, mesh_id)
    for issuer_public, block in _signed_by(blocks, root_public):
        block.check_signature(crypto, issuer_public)
    credential.check_valid_at(at, tolerance)
    if need_transport and credential.transport_key is None:
        raise CredentialError("no transport key in the chain")
    return credential


class Trust:
    """The judge of one mesh. Remembers what it has verified, so that it costs signatures once.

    Chains by their bytes; and the blocks above the last by bytes and issuer, since the chains
    of one issuer begin alike, and so do those of one node that renews its transport key.
    Neither rules nor time are remembered: each chain must narrow from block to block by
    itself, and each call judges the moment anew.
    """

    def __init__(
        self,
        crypto: Crypto,
        keys: MeshKeys,
        tolerance: Seconds = CLOCK_TOLERANCE,
        *,
        remember: int = limits.MAX_PROVED_CHAINS,
        remember_blocks: int = limits.MAX_PROVED_BLOCKS,
    ) -> None:
        """Trust the root of `keys`, for its mesh.

        Clocks are forgiven `tolerance` seconds; `remember` chains at most are kept, and
        `remember_blocks` of the blocks that others may share.
        """
        self.signatures_checked = 0
        """Signature checks so far, 70 us each; callers budget with it."""
        self._crypto = crypto
        self._keys = keys
        self._tolerance = tolerance
        self._remember = remember
        self._proved: OrderedDict[bytes, Credential] = OrderedDict()
        self._remember_blocks = remember_blocks
        self._signed: OrderedDict[bytes, None] = OrderedDict()

    def verify_chain_untrusted(
        self, chain: bytes, unix: float, *, transport_key: bytes | None = None
    ) -> Credential:
        """What the chain proves, as of `unix` (wall clock, Unix seconds).

        `transport_key` is the X25519 key that the holder has just proved to own in a
        handshake. The chain must end in it: otherwise anyone could present a chain
        that was seen elsewhere.

        Raises:
            WireError: It is not a chain.
            CredentialError: It does not hold; the text says where and why.
        """
        name = _name_of(chain)
        credential = self._proved.get(name)
        if credential is None:
            credential = self._prove_and_remember(name, chain)
        else:
            self._proved.move_to_end(name)
        credential.check_valid_at(unix, self._tolerance)
        if transport_key is not None and credential.transport_key != transport_key:
            raise CredentialError("the chain does not end in the transport key in use")
        return credential

    def is_cached(self, chain: bytes) -> bool:
        """Whether verifying the chain costs no signature check."""
        return _name_of(chain) in self._proved

    def _prove_and_remember(self, name: bytes, chain: bytes) -> Credential:
        blocks = parse_chain_untrusted(chain)
        credential = _claims(blocks, self._keys.root_public, self._keys.mesh_id)
        *issuers, (last_issuer, last) = _signed_by(blocks, self._keys.root_public)
        for issuer_public, block in issuers:
            self._check_once(issuer_public, block)
        self._check_signature(last_issuer, last)
        self._proved[name] = credential
        if len(self._proved) > self._remember:
            self._proved.popitem(last=False)
        return credential

    def _check_once(self, issuer_public: bytes, block: Block) -> None:
        """Accept a block that others may share; one that fails leaves nothing behind."""
        name = _name_of(issuer_public + block.wire)  # a key has 32 bytes: no two read alike
        if name in self._signed:
            self._signed.move_to_end(name)
            return
        self._check_signature(issuer_public, block)
        self._signed[name] = None
        if len(self._signed) > self._remember_blocks:
            self._signed.popitem(last=False)

    def _check_signature(self, issuer_public: bytes, block: Block) -> None:
        self.signatures_checked += 1
        block.check_signature(self._crypto, issuer_public)


def _name_of(wire: bytes) -> bytes:
    return hashlib.sha256(wire).digest()


def _claims(blocks: Sequence[Block], root_public: bytes, mesh_id: bytes | None) -> Credential:
    """What the blocks prove if their signatures hold: the rules first, they are cheap."""
    root = Block.of_root(root_public, blocks[0].mesh_id if mesh_id is None else mesh_id)
    issuers = [root, *blocks[:-1]]
    for issuer, block in zip(issuers, blocks, strict=True):
        issuer.check_may_issue(block)
    last = blocks[-1]
    holder = issuers[-1] if last.kind == TRANSPORT else last
    if holder.kind not in (NODE, CHILD):
        raise CredentialError("the chain ends before it names a node")
    return _conclude(holder, last if last.kind == TRANSPORT else None)


def _signed_by(blocks: Sequence[Block], root_public: bytes) -> list[tuple[bytes, Block]]:
    """Each block, outermost first, with the key that must have signed it."""
    return list(zip([root_public, *(block.subject for block in blocks)], blocks, strict=False))


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
