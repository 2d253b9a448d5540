"""How one engine is put together: what its parts are, and which knows which."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from meshp2p.engine.acquaintances import Acquaintances
from meshp2p.engine.answers import Answers
from meshp2p.engine.calls import Calls
from meshp2p.engine.coordination import Coordination
from meshp2p.engine.core import Core
from meshp2p.engine.governor import Governor
from meshp2p.engine.joining import Joining
from meshp2p.engine.link import Link
from meshp2p.engine.links import Links
from meshp2p.engine.lives import Lives
from meshp2p.engine.membership import Membership, route_to
from meshp2p.engine.syncing import (
    COMPARE,
    COMPARE_PRICE,
    JOIN,
    JOIN_PRICE,
    PULL,
    PULL_PRICE,
    SYNC,
    SYNC_PRICE,
    Syncing,
)
from meshp2p.engine.watching import Watching
from meshp2p.events import CapabilityInfo, MemberEvent
from meshp2p.gossip.swim import Swim
from meshp2p.ids import Address, Seconds
from meshp2p.messaging.serving import Serving
from meshp2p.transport.endpoint import Endpoint
from meshp2p.transport.handshake import Doorkeeper


class Assembly:
    """The parts of one engine, those first that know nothing of the others."""

    def __init__(
        self,
        core: Core,
        *,
        unix: float,
        addresses: tuple[Address, ...],
        capabilities: tuple[CapabilityInfo, ...],
        seeds: tuple[tuple[str, int], ...],
        stored: Mapping[tuple[str, bytes], bytes],
        on_link_gone: Callable[[Link, str, Seconds], None],
        on_member_event: Callable[[MemberEvent, Seconds], None],
    ) -> None:
        """Make all parts. Their order is part of the replay: some draw from the dice at once.

        Args:
            on_link_gone: Called when a peer's stream ends.
            on_member_event: Called when a member comes, changes or goes.
        """
        self.door = _open_door(core)
        self.lives, self.swim = _begin_gossip(core, unix, addresses, capabilities, stored)
        swim = self.swim
        self.serving = _begin_serving(core, capabilities)
        self.answers, self.links = _begin_streams(core, self.door, swim, self.serving, on_link_gone)
        self.endpoint = Endpoint(config=core.config, door=self.door, rng=core.rng)
        self.syncing = _begin_syncing(core, swim, self.links, self.answers)
        self.governor = _begin_governing(core)
        self.acquaintances = Acquaintances(core, swim, stored)
        self.calls = _begin_calling(core, swim, self.links, self.answers, self.serving)
        self.membership = Membership(
            core,
            swim,
            self.endpoint,
            self.links,
            self.answers,
            syncing=self.syncing,
            governor=self.governor,
            lives=self.lives,
            on_event=on_member_event,
        )
        self.coordination = Coordination(
            core, self.calls, swim, self.answers, stored, serving=self.serving
        )
        self.watching = Watching(core, swim, self.calls, self.answers)
        self.joining = _begin_joining(core, swim, self.syncing, seeds, self.acquaintances)


def _open_door(core: Core) -> Doorkeeper:
    door = Doorkeeper(
        crypto=core.crypto, entropy=core.entropy, identity=core.identity, trust=core.trust
    )
    door.wall_offset = core.wall_offset
    return door


def _begin_governing(core: Core) -> Governor:
    config = core.config

    def tell() -> None:
        core.log(
            "warning",
            "the budget of bytes is spent: streams wait, and news of others is dropped",
            bytes_per_second=config.bytes_per_second or config.membership_bytes_per_second,
        )

    return Governor(
        config.bytes_per_second, config.membership_bytes_per_second, now=core.now, tell=tell
    )


def _begin_gossip(
    core: Core,
    unix: float,
    addresses: tuple[Address, ...],
    capabilities: tuple[CapabilityInfo, ...],
    stored: Mapping[tuple[str, bytes], bytes],
) -> tuple[Lives, Swim]:
    lives = Lives(core, stored)
    swim = Swim(
        config=core.config,
        identity=core.identity,
        trust=core.trust,
        crypto=core.crypto,
        rng=core.rng,
        now=core.now,
        unix=unix,
        addresses=addresses,
        capabilities=capabilities,
        guest=core.guest,
        saved_epoch=lives.saved,
    )
    own = swim.own_record()
    if own is not None:
        lives.begin(own.line.epoch)
    return lives, swim


def _begin_serving(core: Core, capabilities: Sequence[CapabilityInfo]) -> Serving:
    serving = Serving(
        slots=core.config.handler_slots,
        queue=core.config.handler_queue,
        emit=core.emit,
        next_number=core.next_number,
        own_id=core.identity.node_id,
        board=core.board,
    )
    serving.capabilities = {info.name: info for info in capabilities}
    return serving


def _begin_streams(
    core: Core,
    door: Doorkeeper,
    swim: Swim,
    serving: Serving,
    on_gone: Callable[[Link, str, Seconds], None],
) -> tuple[Answers, Links]:
    answers = Answers(core, serving, swim.handle_of)
    links = Links(core, door, on_request=answers.receive, on_gone=on_gone, now=core.now)
    answers.links = links
    return answers, links


def _begin_syncing(core: Core, swim: Swim, links: Links, answers: Answers) -> Syncing:
    syncing = Syncing(core, swim, links, route_to=functools.partial(route_to, swim))
    answers.register(SYNC, syncing.answer_sync, price=SYNC_PRICE)
    answers.register(JOIN, syncing.answer_join, price=JOIN_PRICE)
    answers.register(COMPARE, syncing.answer_compare, price=COMPARE_PRICE)
    answers.register(PULL, syncing.answer_pull, price=PULL_PRICE)
    return syncing


def _begin_calling(
    core: Core, swim: Swim, links: Links, answers: Answers, serving: Serving
) -> Calls:
    route = functools.partial(route_to, swim)
    calls = Calls(core, links, swim, serve_locally=answers.serve_locally, route_to=route)
    calls.cancel_job = serving.cancel
    return calls


def _begin_joining(
    core: Core,
    swim: Swim,
    syncing: Syncing,
    seeds: tuple[tuple[str, int], ...],
    acquaintances: Acquaintances,
) -> Joining:
    return Joining(
        core,
        seeds,
        acquaintances=acquaintances,
        visit=syncing.sync_at,
        knows=swim.knows_address,
        is_present=swim.is_present,
        is_alone=lambda: swim.present_count <= 1,
        now=core.now,
    )
