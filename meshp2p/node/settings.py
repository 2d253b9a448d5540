"""What a user asks of a node, checked before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, get_args

import attrs

from meshp2p.config import Config, Profile, for_profile
from meshp2p.discovery.seeds import is_loopback_host, parse_bind, parse_seed
from meshp2p.errors import UsageError
from meshp2p.ids import check_name
from meshp2p.runtime.network import DEFAULT_PORT, EVERYWHERE, LOOPBACK
from meshp2p.runtime.registry import Registry

PROFILES: Final[tuple[str, ...]] = get_args(Profile)
DISCOVERIES: Final = ("local",)
IDENTITIES: Final = ("slot", "ephemeral")
_LEAST_BUDGET: Final = 4_096
"""Bytes a second: with less, probes and acks of a busy mesh would take all of it."""
ROLES: Final = ("orchestrator", "worker", "monitor", "integrator", "governor", "critic")


@attrs.frozen(kw_only=True)
class Settings:
    """One node's arguments, all of them valid."""

    handle: str
    namespace: str
    role: str
    mesh: Path | None
    seeds: tuple[tuple[str, int], ...]
    hosts: tuple[str, ...]
    port: int
    port_is_a_wish: bool
    advertise: tuple[str, int] | None
    config: Config
    state_dir: Path | None
    ephemeral: bool
    guest: bool
    local: bool
    registry: Registry


def check_settings(  # noqa: PLR0913  # the constructor's arguments
    handle: object = None,
    *,
    capabilities: Iterable[object] = (),
    namespace: object = "default",
    role: object = "worker",
    mesh: object = None,
    seeds: object = (),
    bind: object = None,
    advertise: object = None,
    profile: object = None,
    state_dir: object = None,
    identity: object = None,
    discovery: object = ("local",),
    config: Config | None = None,
    bytes_per_second: int | None = None,
    guest: bool = False,
) -> Settings:
    """Check a node's arguments.

    Raises:
        UsageError: Names the argument, the value, and what is allowed.
    """
    registry = Registry()
    if isinstance(capabilities, str) or not isinstance(capabilities, Iterable):
        raise UsageError(f"capabilities={capabilities!r}: allowed is a list of functions and texts")
    for what in capabilities:
        before = len(registry.capabilities)
        name = registry.add(what).info.name
        if len(registry.capabilities) == before:
            raise UsageError(f"capabilities={name!r} twice: one of them would never be called")
    shared = mesh is not None
    hosts, port = _bound(bind, shared=shared)
    local_only = all(is_loopback_host(host) for host in hosts)
    chosen = profile if profile is not None else "loopback" if local_only else "lan"
    if chosen not in PROFILES:
        raise UsageError(f"profile={profile!r}: allowed are {', '.join(PROFILES)}")
    if config is not None and not isinstance(config, Config):
        raise UsageError(f"config={config!r}: allowed are None and meshp2p.config.Config(...)")
    if identity not in (None, *IDENTITIES):
        raise UsageError(f"identity={identity!r}: allowed are None and 'ephemeral'")
    if not isinstance(role, str) or (role not in ROLES and not guest):
        raise UsageError(f"role={role!r}: allowed are {', '.join(ROLES)}")
    return Settings(
        handle="" if handle is None else check_name("handle", handle),
        namespace=check_name("namespace", namespace),
        role=role,
        mesh=_path("mesh", mesh),
        seeds=_seeds(seeds, shared=shared),
        hosts=hosts,
        port=port,
        port_is_a_wish=bind is None,
        advertise=None if advertise is None else parse_seed(advertise, "advertise"),
        config=_within_budget(config or for_profile(chosen), bytes_per_second),  # type: ignore[arg-type]  # checked above
        state_dir=_path("state_dir", state_dir),
        ephemeral=guest or identity == "ephemeral",
        guest=guest,
        local=_wants_local(discovery),
        registry=registry,
    )


def _within_budget(config: Config, budget: object) -> Config:
    if budget is None:
        return config
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < _LEAST_BUDGET:
        raise UsageError(
            f"bytes_per_second={budget!r}: allowed are whole numbers from {_LEAST_BUDGET}, and "
            "None for no limit"
        )
    return attrs.evolve(config, bytes_per_second=budget)


def _path(what: str, value: object) -> Path | None:
    if value is None:
        return None
    if isinstance(value, str | os.PathLike) and str(value):
        return Path(value).expanduser()
    raise UsageError(f"{what}={value!r}: allowed is a path")


def _bound(bind: object, *, shared: bool) -> tuple[tuple[str, ...], int]:
    """Hosts to listen on, and the port."""
    if bind is None:
        return (EVERYWHERE, DEFAULT_PORT) if shared else (LOOPBACK, 0)
    if not isinstance(bind, str):
        raise UsageError(f"bind={bind!r}: allowed is 'host:port'")
    host, port = parse_bind(bind)
    if not host:
        return (EVERYWHERE if shared else LOOPBACK), port
    if not shared and not is_loopback_host(host):
        raise UsageError(
            f"bind={bind!r} would show this node to other machines, but the mesh of one user on "
            "one machine stays on it; give mesh='path of a mesh key' to share one, or bind to "
            "127.0.0.1"
        )
    return (host,), port


def _seeds(seeds: object, *, shared: bool) -> tuple[tuple[str, int], ...]:
    if isinstance(seeds, str) or not isinstance(seeds, Sequence):
        raise UsageError(f"seeds={seeds!r}: allowed is a list of 'host:port'")
    parsed = tuple(parse_seed(seed, "seeds") for seed in seeds)
    for (host, _), seed in zip(parsed, seeds, strict=True):
        if not shared and not is_loopback_host(host):
            raise UsageError(
                f"seeds={seed!r} is on another machine, but without mesh= a node only knows "
                "its own user's mesh on this machine; give mesh='path of a mesh key'"
            )
    return parsed


def _wants_local(discovery: object) -> bool:
    if isinstance(discovery, str) or not isinstance(discovery, Sequence):
        raise UsageError(f"discovery={discovery!r}: allowed is a list of {DISCOVERIES}")
    for way in discovery:
        if way not in DISCOVERIES:
            raise UsageError(f"discovery={way!r}: allowed are {', '.join(DISCOVERIES)}")
    return "local" in discovery
