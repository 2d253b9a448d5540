"""One node's part in all auctions and votes: the one object that an engine needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from meshp2p.config import Config
from meshp2p.consensus.auction import OFFER, Auctioneer
from meshp2p.consensus.awarding import AWARDED, CLAIM
from meshp2p.consensus.bidder import Bidder
from meshp2p.consensus.deadlines import Deadlines
from meshp2p.consensus.elector import BALLOTS, FLOOR, Voter
from meshp2p.consensus.epochs import AWARDS
from meshp2p.consensus.surroundings import Output, Surroundings
from meshp2p.consensus.vote import CALL, CALLS, VoteCaller
from meshp2p.consensus.worker import ACCEPTANCES, Worker
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import NodeId, Seconds

TABLES: Final = (AWARDS, ACCEPTANCES, CALLS, BALLOTS, FLOOR)
"""Tables of the journal whose rows are to be given back at the next start."""

METHODS: Final = (OFFER, AWARDED, CLAIM, CALL)
"""Internal requests that belong to `receive_ask`."""


class Participant:
    """A node as owner, bidder, worker, caller and elector.

    It never waits: inputs go in with the time, and `outputs()` says what is wanted.

    Args:
        next_number: A number never given before by this node, for asks, runs, records
            and results.
        stored: Rows of `TABLES` as the journal held them, by table and key.
        credential_of: A member's verified node key and chain; None for strangers.
        handle_of: A member's handle, empty if it has none.
        load: Calls that this node is running now.
        board: Where it writes when it is due next, beside others; see `Deadlines`.

    Raises:
        StateUnusable: `stored` is damaged; who has forgotten its promises makes no more.
    """

    def __init__(  # noqa: PLR0913  # what the engine composes it from
        self,
        config: Config,
        identity: NodeIdentity,
        trust: Trust,
        crypto: Crypto,
        entropy: Callable[[int], bytes],
        next_number: Callable[[], int],
        stored: Mapping[tuple[str, bytes], bytes],
        credential_of: Callable[[NodeId], tuple[bytes, bytes] | None],
        *,
        handle_of: Callable[[NodeId], str] = lambda _: "",
        load: Callable[[], int] = lambda: 0,
        board: list[Seconds] | None = None,
    ) -> None:
        self._around = Surroundings(
            config=config,
            identity=identity,
            trust=trust,
            crypto=crypto,
            entropy=entropy,
            next_number=next_number,
            credential_of=credential_of,
            handle_of=handle_of,
            load=load,
            deadlines=Deadlines([] if board is None else board),
        )
        self.auctions = Auctioneer(self._around, stored)
        """Give it `hold(...)`."""
        self.votes = VoteCaller(self._around, stored)
        """Give it `call(...)`."""
        self._bidder = Bidder(self._around)
        self._worker = Worker(self._around, self._bidder, stored)
        self._voter = Voter(self._around, stored)

    def renew_identity(self, identity: NodeIdentity) -> None:
        """Go on with the same keys and a fresh credential."""
        self._around.identity = identity

    def cancel(self, number: int) -> None:
        """The user waits no more; what was promised to others stands."""
        self.auctions.cancel(number)
        self.votes.cancel(number)

    def receive_ask(
        self, ticket: int, peer: NodeId, method: str, body: bytes, *, now: Seconds, unix: float
    ) -> None:
        """A member asks something of `METHODS`; an `Answer` with this ticket will follow."""
        if method == OFFER:
            self._bidder.receive_offer_untrusted(ticket, peer, body, now=now)
        elif method == AWARDED:
            self._worker.receive_award_untrusted(ticket, peer, body)
        elif method == CLAIM:
            self._worker.receive_claim_untrusted(ticket, peer, body)
        elif method == CALL:
            self._voter.receive_call_untrusted(ticket, peer, body, now=now, unix=unix)
        else:
            self._around.refuse(ticket, f"{method[:64]!r} is unknown to this version")

    def receive_answer(
        self, token: int, status: int | None, body: bytes, *, lost: bool, now: Seconds
    ) -> bool:
        """What became of an `Ask`; False if nobody waits for it.

        Args:
            status: None if there was no answer in time, or none will come.
            lost: None will come: the other side is gone.
        """
        return self._around.receive_answer(token, status, body, lost=lost, now=now)

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> bool:
        """The records of a `Persist` are on disk, or could not be written."""
        return self._around.receive_persisted(token, ok=ok, now=now)

    def receive_outcome(self, number: int, status: int, body: bytes, *, now: Seconds) -> bool:
        """The handler of a `Run` has returned (status 0) or not."""
        return self._around.receive_outcome(number, status, body, now=now)

    def member_lost(self, member: NodeId) -> None:
        """A member is dead or has left, as far as gossip knows."""
        self.auctions.member_lost(member)
        self.votes.member_lost(member)

    def close(self, error: Exception) -> None:
        """The node stops: what it asked of others ends so; what it promised them stands."""
        self.auctions.close(error)
        self.votes.close(error)

    def receive_deadline(self, *, now: Seconds) -> None:
        """Time has passed; afterwards `next_deadline() > now`."""
        self._around.deadlines.run_due(now)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` is due, on the node's monotonic clock; infinity for never."""
        return self._around.deadlines.next()

    def outputs(self) -> list[Output]:
        """Everything wanted since the last call, in order."""
        return self._around.outputs()
