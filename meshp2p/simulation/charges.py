"""What an engine's work costs in CPU time, so that virtual time is not free of it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from meshp2p.identity.keys import Aead, Crypto
from meshp2p.ids import Seconds


@attrs.frozen(kw_only=True)
class Charges:
    """Seconds that a node is busy with each piece of work.

    Args:
        verify: A signature checked.
        sign: A signature made.
        exchange: A key exchange, or the public key of a private one.
        datagram: A datagram received or sent: unsealed, decoded, the system call.
        sync: A full list of members packed or merged.

    Source: measured once and rounded; `benchmarks/simulation.py` measures the same pieces.
    """

    verify: Seconds = 70e-6
    sign: Seconds = 25e-6
    exchange: Seconds = 25e-6
    datagram: Seconds = 20e-6
    sync: Seconds = 2e-4


class Metered:
    """A `Crypto` whose costly calls are charged to somebody."""

    def __init__(self, crypto: Crypto, charges: Charges, charge: Callable[[Seconds], None]) -> None:
        """Do as `crypto` does, and `charge` for it."""
        self._crypto = crypto
        self._charges = charges
        self._charge = charge

    def sign(self, private: bytes, data: bytes) -> bytes:
        """See `Crypto.sign`."""
        self._charge(self._charges.sign)
        return self._crypto.sign(private, data)

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """See `Crypto.verify`."""
        self._charge(self._charges.verify)
        return self._crypto.verify(public, data, signature)

    def signing_public(self, private: bytes) -> bytes:
        """See `Crypto.signing_public`."""
        return self._crypto.signing_public(private)

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """See `Crypto.exchange`."""
        self._charge(self._charges.exchange)
        return self._crypto.exchange(private, public)

    def exchange_public(self, private: bytes) -> bytes:
        """See `Crypto.exchange_public`."""
        self._charge(self._charges.exchange)
        return self._crypto.exchange_public(private)

    def derive(self, chain: bytes, secret: bytes, outputs: int) -> tuple[bytes, ...]:
        """See `Crypto.derive`."""
        return self._crypto.derive(chain, secret, outputs)

    def aead(self, key: bytes) -> Aead:
        """See `Crypto.aead`."""
        return self._crypto.aead(key)
