"""What can be asked of an engine at once: nothing here changes anything."""

from __future__ import annotations

from meshp2p.config import Config
from meshp2p.engine import statistics
from meshp2p.engine.assembly import Assembly
from meshp2p.engine.coordination import Coordination
from meshp2p.engine.core import Core
from meshp2p.engine.explaining import Explaining
from meshp2p.events import Member
from meshp2p.gossip.census import EVERYBODY
from meshp2p.gossip.wanted import Wanted
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import NodeId


class Survey:
    """The part of `Engine` that only looks."""

    def __init__(self, core: Core, parts: Assembly) -> None:
        """Keep each part within one step, since every input passes through several."""
        self._core = core
        self._door = parts.door
        self._swim = parts.swim
        self._serving = parts.serving
        self._answers = parts.answers
        self._links = parts.links
        self._endpoint = parts.endpoint
        self._syncing = parts.syncing
        self._membership = parts.membership
        self._calls = parts.calls
        self._coordination = parts.coordination
        self._joining = parts.joining
        self._watching = parts.watching
        self._governor = parts.governor
        self._acquaintances = parts.acquaintances
        self._lives = parts.lives

    @property
    def coordination(self) -> Coordination:
        """Auctions and votes: their commands."""
        return self._coordination

    @property
    def explaining(self) -> Explaining:
        """Why members are taken for what they are."""
        return self._watching.explaining

    @property
    def config(self) -> Config:
        """The knobs it was made with."""
        return self._core.config

    @property
    def identity(self) -> NodeIdentity:
        """Who it speaks for."""
        return self._core.identity

    @property
    def synced(self) -> bool:
        """Whether the list of members came whole from somebody at least once."""
        return self._membership.synced

    @property
    def has_seeds(self) -> bool:
        """Whether it was told of somebody to join through."""
        return self._joining.has_seeds

    @property
    def open_requests(self) -> int:
        """Requests under way in either direction."""
        return self._calls.open_calls + self._serving.open_jobs

    @property
    def is_meeting(self) -> bool:
        """Whether a handshake that this node began waits for its answer, and words for it."""
        return self._endpoint.is_meeting

    @property
    def open_jobs(self) -> int:
        """Requests of others that run or wait."""
        return self._serving.open_jobs

    @property
    def is_alone(self) -> bool:
        """Whether nobody else is alive, as far as this node knows."""
        return self._swim.is_alone

    def members(self, wanted: Wanted = EVERYBODY) -> list[Member]:
        """Members asked for; by default all known, the dead and those who left included."""
        return self._swim.members(wanted)

    def member(self, node: NodeId) -> Member | None:
        """One of them."""
        return self._swim.member(node)

    def chain_of(self, node: NodeId) -> bytes | None:
        """Its credential chain, as verified."""
        return self._swim.chain_of(node)

    def view_hash(self) -> int:
        """64 bits: equal for nodes that see the same members in the same state."""
        return self._swim.view_hash()

    def stats(self) -> dict[str, int]:
        """Counters since the start, and sizes now; `statistics` says what each is."""
        return {
            **dict.fromkeys(statistics.ENGINE, 0),
            **self._governor.counters,
            **self._swim.counters,
            **self._core.counters,
            "members": self._swim.present_count,
            "slowness": self._swim.slowness,
            "clocks_off": self._swim.clocks_off,
            "sessions": len(self._endpoint),
            "streams": len(self._links),
            "calls_open": self._calls.open_calls,
            "peers_remembered": len(self._acquaintances),
            "waits_open": len(self._watching.waits.open),
            "handlers_running": self._serving.load,
            "handshakes_unanswered": self._endpoint.unreachable,
            "sessions_rekeyed": self._endpoint.rekeyed,
        }

    def named(self, text: str) -> list[Member]:
        """Members in whatever state that a name means: "@handle", "#" and part of an id."""
        return self._swim.named(text)
