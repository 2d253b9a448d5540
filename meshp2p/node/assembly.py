"""How a node's engine is made of its settings, its machine, and what it has on disk."""

from __future__ import annotations

from meshp2p.engine import Engine
from meshp2p.identity.trust import Trust, secret_of
from meshp2p.ids import Address, Seconds
from meshp2p.node.home import Home
from meshp2p.node.machine import Machine
from meshp2p.node.settings import Settings


def make_engine(
    settings: Settings,
    machine: Machine,
    home: Home,
    addresses: tuple[Address, ...],
    *,
    now: Seconds,
    unix: float,
) -> Engine:
    """An engine that knows nobody yet, and announces what is registered by now.

    Args:
        addresses: Where the node listens.
        now: Monotonic seconds.
        unix: Wall clock, Unix seconds, at the same moment.
    """
    config, identity, registry = settings.config, home.identity, settings.registry
    secret = secret_of(identity.node_private)
    engine = Engine(
        config=config,
        identity=identity,
        trust=Trust(machine.crypto, identity.keys, config.clock_tolerance, secret=secret),
        crypto=machine.crypto,
        rng=machine.dice(),
        entropy=machine.entropy,
        now=now,
        unix=unix,
        addresses=addresses,
        capabilities=registry.infos(),
        seeds=settings.seeds,
        guest=settings.guest,
        stored=home.stored,
    )
    engine.listen(listens=registry.on_message is not None)
    return engine
