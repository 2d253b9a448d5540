"""Credential chains as I3 reads them: block by block, in other words than the judge's."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.errors import CredentialError, WireError
from meshp2p.identity.block import DOMAIN, TRANSPORT, Block
from meshp2p.identity.credential import Credential, parse_chain_untrusted
from meshp2p.identity.keys import SIGNATURE_BYTES, Crypto
from meshp2p.ids import Seconds

_NEVER: Final = (1, 0)


@attrs.frozen
class _Chain:
    """What one chain says of itself: since when, until when, and what is wrong with it."""

    begins: int
    ends: int
    wrong: str


@attrs.define(eq=False)
class Chains:
    """Looks at credentials; each chain is read once.

    Args:
        crypto: Tells nobody what is looked at.
    """

    _crypto: Crypto
    _read: dict[tuple[bytes, bytes], _Chain] = attrs.field(factory=dict, init=False)

    def wrong_with(self, credential: Credential, chain: bytes, root: bytes) -> str:
        """Why nobody may believe that of this chain at any time; empty if some may."""
        wrong = self._of(chain, root).wrong
        if not wrong and _says_more(credential, chain):
            wrong = "its credential is taken for one of other dates than were signed"
        return wrong

    def untimely(self, chain: bytes, root: bytes, unix: float, tolerance: Seconds) -> str:
        """Why nobody may believe it at this moment; empty if one may."""
        read = self._of(chain, root)
        if unix + tolerance < read.begins:
            return f"its credential begins in {read.begins - unix:.0f} s"
        if unix - tolerance > read.ends:
            return f"its credential ended {unix - read.ends:.0f} s ago"
        return ""

    def _of(self, chain: bytes, root: bytes) -> _Chain:
        known = self._read.get((chain, root))
        if known is None:
            known = self._read[chain, root] = self._judge(chain, root)
        return known

    def _judge(self, chain: bytes, root: bytes) -> _Chain:
        try:
            blocks = parse_chain_untrusted(chain)
        except (WireError, CredentialError) as error:
            return _Chain(*_NEVER, f"its credential is none: {error}")
        begins = max(block.not_before for block in blocks)
        ends = min(block.not_after for block in blocks)
        wrong = ""
        for above, block in zip([None, *blocks], blocks, strict=False):
            if not self._is_issued(block, root if above is None else above.subject):
                wrong = "the mesh did not issue its credential"
            elif above is not None and not _is_within(block, above):
                wrong = "its credential lasts longer than whoever issued it"
        return _Chain(begins, ends, wrong)

    def _is_issued(self, block: Block, issuer: bytes) -> bool:
        payload, signature = block.wire[:-SIGNATURE_BYTES], block.wire[-SIGNATURE_BYTES:]
        return self._crypto.verify(issuer, DOMAIN + payload, signature)


def _says_more(credential: Credential, chain: bytes) -> bool:
    """Whether a node believes other dates than those that were signed."""
    *holders, last = parse_chain_untrusted(chain)
    if last.kind != TRANSPORT:
        return (credential.not_before, credential.not_after) != (last.not_before, last.not_after)
    holder = holders[-1]
    signed = (holder.not_before, holder.not_after, last.not_before, last.not_after)
    own = (credential.not_before, credential.not_after)
    return (*own, credential.transport_not_before, credential.transport_not_after) != signed


def _is_within(block: Block, above: Block) -> bool:
    return above.not_before <= block.not_before and block.not_after <= above.not_after
