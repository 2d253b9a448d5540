"""What an `Insider` says: each kind of lie in datagrams of its own, as fast as it can seal them."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.membership.insider import Insider
from meshp2p.gossip import digest
from meshp2p.gossip.accusation import TIMEOUT, Accusation
from meshp2p.gossip.messages import (
    FORWARD,
    MAX_WANTED,
    RECORD,
    BucketItem,
    Datagram,
    DifferItem,
    DigestItem,
    LineItem,
    Nack,
    Ping,
    SuspicionItem,
    WantItem,
)
from meshp2p.gossip.record import Body, VersionLine
from meshp2p.ids import NODE_ID_BYTES, NodeId, Seconds
from meshp2p.simulation.forgery import Forger
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

_BACKDATED: Final = 250
"""Seconds by which accusations differ in age, so that each is another; all are recent enough."""
_AT_ONCE: Final = 64
"""Datagrams between two looks at what has come."""

_STOCK: Final = 100
_FRESH: Final = 20
"""One forgery in so many is new."""

Said = bytes | list[list[Value]]


class Lies:
    """A supply of them.

    Attributes:
        insider: Who says it.
        kinds: By name; each makes what one datagram says to a member, or None for nothing.
    """

    def __init__(self, insider: Insider) -> None:
        """Speak through this member."""
        self.insider = insider
        self._number = itertools.count()
        self._stock: list[Said] = []
        self._former: list[list[Value]] = []
        self.kinds: dict[str, Callable[[NodeId], Said | None]] = {
            "old news": self._outdated,
            "accusations": self._accusations,
            "accusations of strangers": self._unheard_of,
            "forged records": self._forged,  # for which nobody listens to it for a while
            "sums": self._sums,
            "listings": self._listings,
            "wishes": self._wishes,
            "differences": lambda _: [DifferItem(digest.ALL).wire()],
            "forwarding": self._forwarding,
            "nacks": lambda _: [Nack(each).wire() for each in list(insider.others)[:40]],
            "questions": lambda _: [Ping(next(self._number), 1).wire()] * 60,
            "garbage": self._garbage,
            "recordings": self._recording,
        }

    def flood(
        self, victims: list[NodeId], kind: str, count: int, *, until: Seconds = math.inf
    ) -> None:
        """So many of a kind, to all of them in turn; fewer if it is over meanwhile."""
        insider, make = self.insider, self.kinds[kind]
        for number, victim in zip(range(count), itertools.cycle(victims), strict=False):
            said = make(victim)
            if said is not None:
                insider.say(victim, said)
            if number % _AT_ONCE == 0:
                insider.hear()
                if time.monotonic() > until:
                    return

    # --- kinds -----------------------------------------------------------------------

    def _filled(self, items: Iterator[list[Value]]) -> list[list[Value]]:
        """As many as one datagram holds."""
        datagram, taken = Datagram(), []
        for item in items:
            if not datagram.add(item):
                break
            taken.append(item)
        return taken

    def _forged(self, victim: NodeId) -> Said:
        """Lines, farewells, bodies and accusations in others' names, the victim's too.

        Most are said again and again: they cost the liar nothing, and whoever hears them
        a signature check each.
        """
        del victim
        if len(self._stock) < _STOCK:
            self._stock.append(self._made_up())
            return self._stock[-1]
        number = self.insider.rng.randrange(_FRESH * _STOCK)
        if number < _STOCK:
            self._stock[number] = self._made_up()
        return self._stock[number % _STOCK]

    def _made_up(self) -> Said:
        insider = self.insider
        forger = Forger(
            crypto=insider.crypto,
            identity=insider.identity,
            own=insider.own,
            others=list(insider.others.values()),
            unix=time.time(),
            rng=insider.rng,
        )
        kinds = (forger.line, forger.record, forger.accusation)
        made = (insider.rng.choice(kinds)() for _ in itertools.count())
        return self._filled(item for item in made if not self._is_namesake(item))

    def _outdated(self, victim: NodeId) -> Said:
        """What others might have said before they started; nobody looks at the signatures."""
        del victim
        if not self._former:
            others = self.insider.others.values()
            self._former = [LineItem(self._line_before(each.line)).wire() for each in others]
        return self._filled(itertools.cycle(self._former))

    def _line_before(self, line: VersionLine) -> bytes:
        insider = self.insider
        return VersionLine.signed(
            insider.crypto,
            insider.identity.node_private,
            insider.identity.keys.group_id,
            node_id=line.node_id,
            body_hash=line.body_hash,
            epoch=line.epoch - 1,
            seq=line.seq,
            state=line.state,
            valid_until=line.valid_until,
        ).raw

    def _is_namesake(self, item: list[Value]) -> bool:
        """Whether it calls itself by an honest one's name, as whoever has a mesh's easy key may.

        No lie, then; and whoever measures tells the honest by their names.
        """
        match item:
            case [int(kind), bytes(line), bytes(body), *_] if kind == RECORD:
                is_own = VersionLine.from_bytes_untrusted(line).node_id == self.insider.id
                return is_own and Body.from_bytes_untrusted(body).handle != self.insider.handle
        return False

    def _accuse(self, subject: NodeId, version: tuple[int, int]) -> list[Value]:
        insider, age = self.insider, next(self._number) % _BACKDATED
        accusation = Accusation.signed(
            insider.crypto,
            insider.identity.node_private,
            insider.identity.keys.group_id,
            subject=subject,
            version=version,
            accuser=insider.id,
            unix=int(time.time()) - _BACKDATED + age,
            evidence=TIMEOUT,
        )
        return SuspicionItem(accusation.raw).wire()

    def _accusations(self, victim: NodeId) -> Said:
        """Everybody else, in its own name, of the newest version that it knows."""
        others = [each for each in self.insider.others.values() if each.line.node_id != victim]
        return self._filled(
            self._accuse(each.line.node_id, each.line.version) for each in itertools.cycle(others)
        )

    def _unheard_of(self, victim: NodeId) -> Said:
        """Of members who do not exist, and of versions that nobody signed."""
        del victim
        rng, others = self.insider.rng, list(self.insider.others.values())
        made_up = ((NodeId(rng.randbytes(NODE_ID_BYTES)), (1, 1)) for _ in itertools.count())
        later = ((each.line.node_id, (each.line.epoch + 1, 0)) for each in itertools.cycle(others))
        both = itertools.chain.from_iterable(zip(made_up, later, strict=False))
        return self._filled(self._accuse(*one) for one in both)

    def _sums(self, victim: NodeId) -> Said:
        del victim
        return [DigestItem(self.insider.rng.randbytes(digest.DIGEST_BYTES)).wire()]

    def _listings(self, victim: NodeId) -> Said:
        del victim
        rng = self.insider.rng
        bucket = rng.randrange(digest.BUCKETS)
        entries = b"".join(
            bytes([bucket << 1 | rng.getrandbits(1)]) + rng.randbytes(digest.ENTRY_BYTES - 1)
            for _ in range(60)
        )
        return [BucketItem(digest.first_of(bucket), digest.last_of(bucket), entries).wire()]

    def _wishes(self, victim: NodeId) -> Said:
        del victim
        prefixes = [each[: digest.PREFIX_BYTES] for each in self.insider.others]
        some = b"".join(prefixes[: MAX_WANTED // 3])
        return [WantItem(some, some, some).wire()]

    def _forwarding(self, victim: NodeId) -> Said:
        to = self.insider.rng.choice([each for each in self.insider.others if each != victim])
        return [[FORWARD, 0, to, os.urandom(1_050)]]

    def _garbage(self, victim: NodeId) -> Said:
        del victim
        rng = self.insider.rng
        noise = os.urandom(rng.randrange(limits.MAX_PLAINTEXT))
        nested: Value = 0
        for _ in range(rng.randrange(1, 400)):
            nested = [nested]
        odd: list[Value] = [rng.randrange(45), rng.choice([None, -1, b"", "x", 2**64 - 1, {}, []])]
        shapes = (noise, codec.pack([odd] * 100), codec.pack([nested]), codec.pack([[]] * 1_000))
        return rng.choice(shapes)[: limits.MAX_PLAINTEXT]

    def _recording(self, victim: NodeId) -> None:
        """Sealed datagrams as they were, its own and others', to whomever."""
        insider = self.insider
        for kept in (insider.said, insider.heard):
            if kept:
                insider.send_raw(victim, insider.rng.choice(kept))
