"""What a simulated node is made of; each of its lives has an engine made anew of the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

import attrs

from meshp2p.config import Config
from meshp2p.engine import Engine
from meshp2p.events import CapabilityInfo
from meshp2p.identity.chain import Chain, Reader
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys, Trust, secret_of
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.dice import entropy, secret

_ID_BYTES = 16


@attrs.frozen(kw_only=True)
class Origins:
    """The facts about a node that no restart changes.

    Args:
        seeds: (host, port) of nodes to join through.
        branch: Tells a second machine with the same keys from the first.
        read: How it reads credential chains; nodes of one world share a memory of them.
    """

    name: str
    config: Config
    crypto: Crypto
    keys: MeshKeys
    address: Address
    seeds: tuple[tuple[str, int], ...] = ()
    guest: bool = False
    may_promise: bool = True
    role: str = "worker"
    branch: str = ""
    read: Reader = Chain.read_untrusted

    @property
    def label(self) -> str:
        """What the world calls this machine; its handle, but for a second one."""
        return self.name + self.branch

    def identity(self, seed: int, life: int, unix: float, *, wipes: int = 0) -> NodeIdentity:
        """Its keys: node key for ever, journal id with the journal, transport key for a life."""
        journal = (seed, self.name, "journal", wipes) if wipes else (seed, self.name, "journal")
        return NodeIdentity.self_issued(
            self.crypto,
            self.keys,
            node_private=secret(seed, self.name, "node"),
            transport_private=secret(seed, self.label, "transport", life),
            journal_id=secret(*journal)[:_ID_BYTES],
            handle=self.name,
            role=self.role,
            unix=unix,
            may_promise=self.may_promise,
        )

    def engine(  # noqa: PLR0913  # all that differs from life to life
        self,
        make: Callable[..., Engine],
        identity: NodeIdentity,
        *,
        crypto: Crypto,
        seed: int,
        life: int,
        now: Seconds,
        unix: float,
        capabilities: Iterable[CapabilityInfo],
        stored: Mapping[tuple[str, bytes], bytes],
    ) -> Engine:
        """The engine of one life, with dice and entropy of its own."""
        return make(
            config=self.config,
            identity=identity,
            trust=Trust(
                crypto,
                self.keys,
                self.config.clock_tolerance,
                secret=secret_of(identity.node_private),
                read=self.read,
            ),
            crypto=crypto,
            rng=random.Random(secret(seed, self.label, "decisions", life)),
            entropy=entropy(seed, self.label, "entropy", life),
            now=now,
            unix=unix,
            addresses=(self.address,),
            capabilities=tuple(capabilities),
            seeds=self.seeds,
            guest=self.guest,
            stored=stored,
        )
