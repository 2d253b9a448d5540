"""Whom a mesh believes: its keys, and the judge of credential chains."""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from meshp2p.errors import CredentialError, UsageError
from meshp2p.identity.block import MESH_ID_BYTES, Block
from meshp2p.identity.chain import Chain, Reader
from meshp2p.identity.credential import Credential
from meshp2p.identity.keys import KEY_BYTES, Crypto, hkdf
from meshp2p.ids import Seconds, check_name
from meshp2p.wire import limits

CLOCK_TOLERANCE: Final = 300.0
"""Seconds by which an issuer's clock and ours may differ (Kerberos, RFC 4120, forgives as much)."""

_AT_FIRST, _AGAIN = 16, 256
"""Credentials kept as they were read, some 600 bytes each: few of those that are only proved,
as in a join, and more of those that are asked for again, as in handshakes."""
_SECRET_NAME: Final = 15
"""Bytes that nobody can tell who lacks the secret, so that nobody can look for two alike; in
memory half of what 32 take, which anybody can tell."""


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
    read = Chain.read_untrusted(chain)
    credential = read.credential
    mesh_id = read.blocks[0].mesh_id if mesh_id is None else mesh_id
    read.check_rules(Block.of_root(root_public, mesh_id))
    for issuer_public, block in read.signed_by(root_public):
        block.check_signature(crypto, issuer_public)
    credential.check_valid_at(at, tolerance)
    if need_transport and credential.transport_key is None:
        raise CredentialError("no transport key in the chain")
    return credential


def secret_of(node_private: bytes) -> bytes:
    """What a node's judge may keep its memory short with; see `Trust`."""
    return hkdf(node_private, b"meshp2p/1 proved")


def proved_by(chain: bytes) -> Credential:
    """What a chain proves that was verified before: it is only read again.

    Raises:
        WireError: It is not a chain, so it was not verified.
        CredentialError: Likewise.
    """
    return Chain.read_untrusted(chain).credential


class Trust:
    """The judge of one mesh. Remembers what it has verified, so that it costs signatures once.

    Chains by their bytes; and the blocks above the last by bytes and issuer, since the chains
    of one issuer begin alike, and so do those of one node that renews its transport key.
    Neither rules nor time are remembered: each chain must narrow from block to block by
    itself, and each call judges the moment anew. What a chain proves is remembered of those
    that were lately asked for, and else read again: a tenth of a signature check.
    """

    def __init__(
        self,
        crypto: Crypto,
        keys: MeshKeys,
        tolerance: Seconds = CLOCK_TOLERANCE,
        *,
        remember: int = limits.MAX_PROVED_CHAINS,
        remember_blocks: int = limits.MAX_PROVED_BLOCKS,
        secret: bytes = b"",
        read: Reader = Chain.read_untrusted,
    ) -> None:
        """Trust the root of `keys`, for its mesh.

        Clocks are forgiven `tolerance` seconds; `remember` chains at most are kept, and
        `remember_blocks` of the blocks that others may share. With a `secret` of this node
        alone, of at most 64 bytes, what is kept of each takes less memory. Where many nodes
        of one process meet the same chains, they may `read` with one memory.
        """
        self.signatures_checked = 0
        """Signature checks so far, 70 us each; callers budget with it."""
        self._crypto = crypto
        self._keys = keys
        self._tolerance = tolerance
        self._root = Block.of_root(keys.root_public, keys.mesh_id)
        self._secret = secret
        self._read = read
        self._proved = _Names(remember)
        self._signed = _Names(remember_blocks)
        self._lately: dict[bytes, Credential] = {}
        self._named = (b"", b"")
        self._remember = remember

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
        name = self._name_of_chain(chain)
        if self._proved.use(name):
            credential = self._lately.get(name) or self._read(chain).credential
            self._keep(name, credential, _AGAIN)
        else:
            credential = self._prove(chain)
            self._proved.add(name)
            self._keep(name, credential, _AT_FIRST)
        credential.check_valid_at(unix, self._tolerance)
        if transport_key is not None and credential.transport_key != transport_key:
            raise CredentialError("the chain does not end in the transport key in use")
        return credential

    def is_cached(self, chain: bytes) -> bool:
        """Whether verifying the chain costs no signature check."""
        return self._name_of_chain(chain) in self._proved

    def _keep(self, name: bytes, credential: Credential, at_most: int) -> None:
        if name not in self._lately:
            self._lately[name] = credential
            if len(self._lately) > min(at_most, self._remember):
                del self._lately[next(iter(self._lately))]

    def _prove(self, chain: bytes) -> Credential:
        read = self._read(chain)
        read.check_rules(self._root)  # before the signatures: that is cheap
        *issuers, (last_issuer, last) = read.signed_by(self._keys.root_public)
        for issuer_public, block in issuers:
            self._check_once(issuer_public, block)
        self._check_signature(last_issuer, last)
        return read.credential

    def _check_once(self, issuer_public: bytes, block: Block) -> None:
        """Accept a block that others may share; one that fails leaves nothing behind."""
        name = self._name_of(issuer_public + block.wire)  # a key has 32 bytes: no two read alike
        if not self._signed.use(name):
            self._check_signature(issuer_public, block)
            self._signed.add(name)

    def _name_of_chain(self, chain: bytes) -> bytes:
        """Most are asked for twice in a row: whether they are cached, then what they prove."""
        if self._named[0] is not chain:
            self._named = (chain, self._name_of(chain))
        return self._named[1]

    def _name_of(self, wire: bytes) -> bytes:
        """What stands for these bytes: others who can choose them must not find two alike."""
        if self._secret:
            return hashlib.blake2b(wire, digest_size=_SECRET_NAME, key=self._secret).digest()
        return hashlib.sha256(wire).digest()

    def _check_signature(self, issuer_public: bytes, block: Block) -> None:
        self.signatures_checked += 1
        block.check_signature(self._crypto, issuer_public)


class _Names:
    """So many names, of which the longest unused goes first.

    A plain dict: an ordered one takes twice as much, and some 10,000 are in it.
    """

    def __init__(self, most: int) -> None:
        """None of at most so many."""
        self._most = most
        self._names: dict[bytes, None] = {}

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def use(self, name: bytes) -> bool:
        """Whether it is there; if so it is the last to go."""
        if name not in self._names:
            return False
        kept = next(reversed(self._names))
        if kept != name:
            del self._names[name]
            self._names[name] = None
        return True

    def add(self, name: bytes) -> None:
        """Add one that is not there."""
        self._names[name] = None
        if len(self._names) > self._most:
            del self._names[next(iter(self._names))]
