"""Holding an auction, and bidding in one."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from meshp2p.config import lan
from meshp2p.consensus import (
    Answer,
    Ask,
    AwardData,
    AwardResult,
    Bid,
    Finished,
    Offer,
    Output,
    Participant,
    PlacedBid,
    Run,
)
from meshp2p.consensus.auction import OFFER
from meshp2p.consensus.award import AcceptanceNote, AwardNote, bids_root
from meshp2p.consensus.awarding import AWARDED, CLAIM
from meshp2p.consensus.envelope import sign
from meshp2p.consensus.epochs import AWARDS
from meshp2p.consensus.offer import Announcement
from meshp2p.consensus.scoring import Policy
from meshp2p.consensus.worker import ACCEPTANCES
from meshp2p.effects import Persist
from meshp2p.errors import (
    DeadlineExceeded,
    NoBids,
    PeerLost,
    RemoteError,
    StateUnusable,
    UsageError,
)
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.wire import codec
from tests.simulation.consensus_world import CHEAP, UNIX, World, identity_of

NOW = 50.0
ALICE, BOB, CAROL = (identity_of(name, CHEAP) for name in ("alice", "bob", "carol"))


def market(**prices: int | None) -> World:
    """Alice, who has work, and others who would do it; None does not bid."""
    world = World("alice", *prices)
    world["alice"].bidder = lambda _: None
    for name, price in prices.items():
        bid = None if price is None else Bid(price=price)
        world[name].bidder = lambda _, bid=bid: bid  # type: ignore[misc]
    return world


def ended(world: World, number: int) -> Finished:
    """What alice heard under this number."""
    return world["alice"].finished[number]


# -- The whole way


def test_the_cheapest_gets_the_work_and_does_it() -> None:
    """Award first, then the result under the award's own number."""
    world = market(bob=5, carol=3)
    world["carol"].handler = lambda body: body.upper()
    number = world.auction("alice", b"work")
    world.run_for(2)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    assert (award.winner_name, award.price, award.epoch) == ("carol", 3, 1)
    assert [bid.terms.price for bid in award.bids] == [3, 5]
    assert ended(world, award.number).value == AwardResult(
        body=b"WORK", winner=CAROL.node_id, epoch=1
    )
    assert world["bob"].ran == []


def test_an_auction_closes_as_soon_as_all_have_answered() -> None:
    """Nobody waits for a deadline an hour away."""
    world = market(bob=5, carol=None)
    number = world.auction("alice", close_after=3_600.0, deadline=7_200.0)
    world.run_for(1)
    assert ended(world, number).error is None


def test_an_auction_closes_without_the_silent() -> None:
    """Carol never answers; bob has the work when time is up."""
    world = market(bob=5, carol=3)
    world["carol"].silent = True
    number = world.auction("alice", close_after=0.2)
    world.run_for(2)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    assert award.winner_name == "bob"


def test_without_a_bid_there_is_no_award() -> None:
    """The error says how many were asked and how many declined."""
    world = market(bob=None, carol=None)
    number = world.auction("alice")
    world.run_for(2)
    error = ended(world, number).error
    assert isinstance(error, NoBids)
    assert (error.asked, error.declined) == (3, 3)


def test_nobody_asked_means_no_bids_at_once() -> None:
    """An empty market is not waited for."""
    world = market()
    number = world.auction("alice", candidates=[])
    assert isinstance(ended(world, number).error, NoBids)


def test_a_bid_above_the_budget_cannot_win() -> None:
    """Even if it is the only one."""
    world = market(bob=5)
    number = world.auction("alice", budget=4)
    world.run_for(2)
    assert isinstance(ended(world, number).error, NoBids)


def test_when_the_winner_dies_the_runner_up_takes_over_under_the_next_epoch() -> None:
    """The user has its award already; the result says who did it in the end."""
    world = market(bob=5, carol=3)
    number = world.auction("alice")
    while not world["carol"].ran:
        world.run_for(0.001)
    world.crash(world["carol"])
    world.run_for(5)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    result = ended(world, award.number).value
    assert isinstance(result, AwardResult)
    assert (award.epoch, result.winner, result.epoch) == (1, BOB.node_id, 2)
    assert world["bob"].ran == [("code.review", 2)]


def test_when_everyone_who_bid_dies_the_user_hears_that_it_may_have_run() -> None:
    """Not "no bids", which would invite another try."""
    world = market(bob=5)
    number = world.auction("alice")
    while not world["bob"].ran:
        world.run_for(0.001)
    world.crash(world["bob"])
    world.run_for(5)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    error = ended(world, award.number).error
    assert isinstance(error, PeerLost)
    assert error.maybe_executed


def test_a_task_with_a_key_goes_on_counting_after_a_restart() -> None:
    """A worker of the old epoch can so be told from one of the new."""
    world = market(bob=5)
    world.auction("alice", key="order-7")
    world.run_for(2)
    world.crash(world["alice"])
    world.start(world["alice"])
    number = world.auction("alice", key="order-7")
    world.run_for(2)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    assert award.epoch == 2
    assert world["bob"].ran == [("code.review", 1), ("code.review", 2)]


def test_the_journal_does_not_grow_with_tasks_that_cannot_come_again() -> None:
    """Rows of finished tasks without a key go with the next write."""
    world = market(bob=5)
    for _ in range(5):
        world.auction("alice")
        world.run_for(2)
    assert len([key for key in world["alice"].disk if key[0] == AWARDS]) == 1


def test_the_owner_may_do_the_work_itself() -> None:
    """It is asked like everybody else."""
    world = World("alice")
    number = world.auction("alice")
    world.run_for(2)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    assert (award.winner_name, world["alice"].ran) == ("alice", [("code.review", 1)])


def test_a_score_of_the_users_own_decides() -> None:
    """Here the dearest wins, and the transcript says that this cannot be repeated."""
    world = market(bob=5, carol=3)
    number = world.auction("alice", score=lambda bid: bid.terms.price)
    world.run_for(2)
    award = ended(world, number).value
    assert isinstance(award, AwardData)
    assert (award.winner_name, award.score) == ("bob", 5)


@pytest.mark.parametrize("score", [lambda _: 0.5, lambda _: 1 // 0, lambda _: 1 << 60])
def test_a_score_that_fails_is_the_users_fault(score: object) -> None:
    """And nobody is awarded anything."""
    world = market(bob=5)
    number = world.auction("alice", score=score)
    world.run_for(2)
    assert isinstance(ended(world, number).error, UsageError)


@pytest.mark.parametrize(
    "rules",
    [{"sealed": True}, {"budget": -1}, {"key": "k" * 200}, {"body": bytes(1 << 20)}],
)
def test_an_auction_that_cannot_be_is_refused_in_words(rules: dict[str, Any]) -> None:
    """Before anything is signed or sent."""
    with pytest.raises(UsageError):
        market(bob=5).auction("alice", **rules)


def test_a_policy_in_which_nothing_counts_is_refused() -> None:
    """Dividing by its total would be no score."""
    nothing = Policy(match=0, load=0, price=0, eta=0, quality=0, confidence=0)
    with pytest.raises(UsageError, match="nothing counts"):
        market(bob=5).auction("alice", policy=nothing)


# -- Step by step


@attrs.define
class Bench:
    """One node alone on a bench."""

    identity: NodeIdentity
    stored: dict[tuple[str, bytes], bytes] = attrs.field(factory=dict)
    node: Participant = attrs.field(init=False)
    tickets: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1_000))

    def __attrs_post_init__(self) -> None:
        """Start with what is stored, knowing alice, bob and carol."""
        numbers = itertools.count(1)
        known = {one.node_id: (one.node_public, one.chain) for one in (ALICE, BOB, CAROL)}
        self.node = Participant(
            lan(),
            self.identity,
            Trust(CHEAP, self.identity.keys),
            CHEAP,
            bytes,
            lambda: next(numbers),
            self.stored,
            known.get,
            load=lambda: 3,
        )

    def ask(self, method: str, body: bytes, peer: NodeIdentity = ALICE) -> list[Output]:
        """A member asks something."""
        ticket = next(self.tickets)
        self.node.receive_ask(ticket, peer.node_id, method, body, now=NOW, unix=UNIX)
        return self.node.outputs()

    def run(self, outputs: list[Output], answer: object, status: int = 0) -> list[Output]:
        """The handler that was asked for answers."""
        (run,) = (output for output in outputs if isinstance(output, Run))
        self.node.receive_outcome(run.number, status, codec.pack(answer), now=NOW)
        return self.node.outputs()

    def persisted(self, outputs: list[Output], *, ok: bool = True) -> list[Output]:
        """The disk has finished."""
        (persist,) = (output for output in outputs if isinstance(output, Persist))
        for record in persist.records if ok else ():
            if record.value is not None:
                self.stored[record.table, record.key] = record.value
        self.node.receive_persisted(persist.token, ok=ok, now=NOW)
        return self.node.outputs()

    def reply(self, ask: Ask, body: bytes, status: int | None = 0) -> list[Output]:
        """A member answers."""
        lost = status is None
        self.node.receive_answer(ask.token, status, body, lost=lost, now=NOW)
        return self.node.outputs()

    def hold(self, *candidates: NodeIdentity, number: int = 77, **rules: str) -> dict[bytes, Ask]:
        """Hold an auction; return what is asked of whom."""
        self.node.auctions.hold(
            number,
            "code.review",
            b"work",
            [one.node_id for one in candidates],
            close_after=1.0,
            deadline=20.0,
            now=NOW,
            unix=UNIX,
            **rules,  # type: ignore[arg-type]
        )
        asks = [output for output in self.node.outputs() if isinstance(output, Ask)]
        return {ask.to: ask for ask in asks}


def refusal(outputs: list[Output]) -> str:
    """Why the last output refuses."""
    answer = outputs[-1]
    assert isinstance(answer, Answer)
    assert answer.status == 1
    return answer.body.decode()


def given(outputs: list[Output]) -> bytes:
    """What the first output gives."""
    answer = outputs[0]
    assert isinstance(answer, Answer)
    assert answer.status == 0
    return answer.body


@attrs.define
class Deal:
    """Alice has offered, bob has bid, alice's award is on her disk."""

    alice: Bench = attrs.field(factory=lambda: Bench(ALICE))
    bob: Bench = attrs.field(factory=lambda: Bench(BOB))
    offer: Ask = attrs.field(init=False)
    bid: bytes = attrs.field(init=False)
    award: Ask = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Go as far as the award."""
        self.offer = self.alice.hold(BOB)[BOB.node_id]
        self.bid = given(self.bob.run(self.bob.ask(OFFER, self.offer.body), [5, 100]))
        (award,) = self.alice.persisted(self.alice.reply(self.offer, self.bid))
        assert isinstance(award, Ask)
        self.award = award

    def forged_award(self, signer: NodeIdentity = ALICE, **changes: Any) -> bytes:  # noqa: ANN401
        """Another award for the same bid."""
        statement, arguments = codec.unpack_list_untrusted(self.award.body, 2)
        note = attrs.evolve(AwardNote.read_untrusted(statement), **changes)
        forged = sign(CHEAP, signer.node_private, "award", signer.keys.group_id, note.to_fields())
        return codec.pack([forged, arguments])


def test_the_bidder_sees_the_offer_but_not_the_arguments() -> None:
    """Only winners get those."""
    (run,) = Bench(BOB).ask(OFFER, Bench(ALICE).hold(BOB)[BOB.node_id].body)
    assert isinstance(run, Run)
    assert run.method == "?bid"
    body = codec.unpack_untrusted(run.body)
    assert type(body) is list
    assert Offer.from_body(body) == Offer(
        capability="code.review",
        size=4,
        deadline_ms=20_000,
        owner=ALICE.node_id,
        owner_handle="",
        my_load=3,
    )


def test_a_bid_says_how_busy_its_node_is() -> None:
    """An empty answer of the user's bidder is the default bid: price 0, own load."""
    bob = Bench(BOB)
    offer = Bench(ALICE).hold(BOB)[BOB.node_id].body
    bid = PlacedBid.read_untrusted(given(bob.run(bob.ask(OFFER, offer), [])))
    assert (bid.terms.price, bid.terms.load) == (0, 3)


def test_an_award_leaves_only_after_it_is_on_disk() -> None:
    """Until the disk has answered, the winner hears nothing."""
    alice = Bench(ALICE)
    offer = alice.hold(BOB)[BOB.node_id]
    bob = Bench(BOB)
    outputs = alice.reply(offer, given(bob.run(bob.ask(OFFER, offer.body), [])))
    assert [type(output) for output in outputs] == [Persist]
    assert [type(output) for output in alice.persisted(outputs)] == [Ask]


def test_an_auction_given_up_before_its_award_awards_nothing() -> None:
    """Also when the last bid comes only then; and its key is free for another."""
    alice = Bench(ALICE)
    offer = alice.hold(BOB, key="k")[BOB.node_id]
    alice.node.cancel(77)
    assert alice.node.outputs() == []
    assert alice.node.next_deadline() == float("inf")
    bob = Bench(BOB)
    assert alice.reply(offer, given(bob.run(bob.ask(OFFER, offer.body), []))) == []
    assert alice.hold(BOB, key="k").keys() == {BOB.node_id}


def test_an_auction_given_up_while_its_award_is_written_stands() -> None:
    """The epoch is taken: the record may be on disk already."""
    alice = Bench(ALICE)
    offer = alice.hold(BOB)[BOB.node_id]
    bob = Bench(BOB)
    writing = alice.reply(offer, given(bob.run(bob.ask(OFFER, offer.body), [])))
    alice.node.cancel(77)
    (award,) = alice.persisted(writing)
    assert isinstance(award, Ask)
    assert award.method == AWARDED


def test_an_award_that_could_not_be_written_is_not_made() -> None:
    """The user hears why."""
    alice = Bench(ALICE)
    offer = alice.hold(BOB)[BOB.node_id]
    bob = Bench(BOB)
    outputs = alice.reply(offer, given(bob.run(bob.ask(OFFER, offer.body), [])))
    (finished,) = alice.persisted(outputs, ok=False)
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, StateUnusable)


def test_work_begins_only_after_the_acceptance_is_on_disk() -> None:
    """Then it is accepted and begun, with the epoch as token."""
    deal = Deal()
    accepting = deal.bob.ask(AWARDED, deal.award.body)
    assert [type(output) for output in accepting] == [Persist]
    answer, run = deal.bob.persisted(accepting)
    assert isinstance(answer, Answer)
    assert isinstance(run, Run)
    assert (run.method, run.body, run.context["token"]) == ("code.review", b"work", 1)


def test_an_acceptance_that_could_not_be_written_is_none() -> None:
    """The work is not begun, and that epoch is never accepted later."""
    deal = Deal()
    outputs = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body), ok=False)
    assert "disk" in refusal(outputs)
    assert Run not in [type(output) for output in outputs]
    assert "before" in refusal(deal.bob.ask(AWARDED, deal.award.body))


def test_the_same_award_twice_is_accepted_once() -> None:
    """The same bytes answer it, and the work is not begun again."""
    deal = Deal()
    first = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    again = deal.bob.ask(AWARDED, deal.award.body)
    assert [type(output) for output in again] == [Answer]
    assert given(again) == given(first)


def test_two_awards_of_one_epoch_are_never_both_accepted() -> None:
    """The second is refused, counted, and not even a restart changes that."""
    deal = Deal()
    deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    other = deal.forged_award(score=1)
    assert "accepted this epoch before" in refusal(deal.bob.ask(AWARDED, other))
    assert [table for table, _ in deal.bob.stored] == [ACCEPTANCES]
    reborn = Bench(BOB, stored=deal.bob.stored)
    given(reborn.run(reborn.ask(OFFER, deal.offer.body), [5, 100]))
    assert "accepted this epoch before" in refusal(reborn.ask(AWARDED, other))


@pytest.mark.parametrize(
    "changes",
    [
        {"winner": CAROL.node_id},
        {"bid": bytes(32)},
        {"announcement": bytes(32)},
        {"price": 4},
        {"spec_hash": bytes(32)},
        {"task_id": bytes(32)},
    ],
)
def test_an_award_of_something_else_is_declined(changes: dict[str, Any]) -> None:
    """Only what was offered and bid for, at that price."""
    deal = Deal()
    refusal(deal.bob.ask(AWARDED, deal.forged_award(**changes)))


def test_an_award_by_somebody_else_is_declined() -> None:
    """Neither a forged one nor a genuine one that is passed on."""
    deal = Deal()
    assert "not signed" in refusal(deal.bob.ask(AWARDED, deal.forged_award(signer=CAROL)))
    assert "not signed" in refusal(deal.bob.ask(AWARDED, deal.award.body, peer=CAROL))
    in_alices_name = deal.forged_award(signer=CAROL)
    assert "not signed" in refusal(deal.bob.ask(AWARDED, in_alices_name, peer=CAROL))


def test_an_award_of_work_that_somebody_else_offered_is_declined() -> None:
    """Carol, who knows alice's offer and its arguments, signs an award of it as her own work."""
    deal = Deal()
    as_her_own = deal.forged_award(signer=CAROL, owner=CAROL.node_id)
    assert "offered by somebody else" in refusal(deal.bob.ask(AWARDED, as_her_own, peer=CAROL))
    taken = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))  # alice's still counts
    assert Run in [type(output) for output in taken]


def test_an_award_without_a_bid_is_declined() -> None:
    """After a restart bids are forgotten: they promised nothing."""
    deal = Deal()
    assert "no such bid" in refusal(Bench(BOB).ask(AWARDED, deal.award.body))


def test_a_node_without_a_journal_neither_bids_nor_holds_auctions() -> None:
    """It could not keep such promises."""
    bench = Bench(attrs.evolve(BOB, may_promise=False))
    offer = Bench(ALICE).hold(BOB)[BOB.node_id]
    assert "journal" in refusal(bench.ask(OFFER, offer.body))
    with pytest.raises(UsageError, match="ephemeral"):
        bench.hold(CAROL)


def test_an_offer_that_somebody_else_signed_is_refused() -> None:
    """Nobody can offer work in alice's name."""
    offer = Bench(ALICE).hold(BOB)[BOB.node_id]
    assert "somebody else" in refusal(Bench(BOB).ask(OFFER, offer.body, peer=CAROL))
    damaged = offer.body[:-1] + bytes([offer.body[-1] ^ 1])
    assert "forged" in refusal(Bench(BOB).ask(OFFER, damaged))


def test_a_bidder_that_fails_does_not_bid() -> None:
    """Nor one that answers nonsense, or nothing."""
    offer = Bench(ALICE).hold(BOB)[BOB.node_id].body
    for answer, status in ((None, 0), ([-1], 0), ("five", 0), (["E", "e", None], 1)):
        bob = Bench(BOB)
        refusal(bob.run(bob.ask(OFFER, offer), answer, status))


def test_forged_bids_are_counted_and_ignored() -> None:
    """Carol cannot bid for bob, nor bob with a bid for another offer."""
    deal = Deal()
    alice = Bench(ALICE)
    asks = alice.hold(BOB, CAROL)
    alice.reply(asks[CAROL.node_id], deal.bid)
    (finished,) = alice.reply(asks[BOB.node_id], deal.bid[:-1] + b"\0")
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, NoBids)
    assert alice.node.auctions.forged == 2


def test_late_bids_are_counted_and_ignored() -> None:
    """The auction has closed without them."""
    alice, bob = Bench(ALICE), Bench(BOB)
    asks = alice.hold(BOB, CAROL)
    alice.node.receive_deadline(now=NOW + 1.0)
    (finished,) = alice.node.outputs()
    assert isinstance(finished, Finished)
    late = given(bob.run(bob.ask(OFFER, asks[BOB.node_id].body), []))
    assert alice.reply(asks[BOB.node_id], late) == []
    assert alice.node.auctions.late == 1


def test_a_bid_that_comes_while_the_award_is_written_is_too_late() -> None:
    """What the award names as all bids stays all bids."""
    alice, bob, carol = Bench(ALICE), Bench(BOB), Bench(CAROL)
    asks = alice.hold(BOB, CAROL)
    bid = given(bob.run(bob.ask(OFFER, asks[BOB.node_id].body), [9]))
    late = given(carol.run(carol.ask(OFFER, asks[CAROL.node_id].body), [1]))
    alice.reply(asks[BOB.node_id], bid)
    alice.node.receive_deadline(now=NOW + 1.0)
    writing = alice.node.outputs()
    assert alice.reply(asks[CAROL.node_id], late) == []
    (award,) = alice.persisted(writing)
    assert isinstance(award, Ask)
    accepted = given(bob.persisted(bob.ask(AWARDED, award.body)))
    awarded, _ = alice.reply(award, accepted)
    assert isinstance(awarded, Finished)
    assert isinstance(awarded.value, AwardData)
    assert [placed.bidder for placed in awarded.value.bids] == [BOB.node_id]
    assert len(awarded.value.transcript.bids) == 1
    assert alice.node.auctions.late == 1


@pytest.mark.parametrize("forgery", ["nonsense", "signature", "another award"])
def test_a_forged_acceptance_is_none(forgery: str) -> None:
    """The next bidder is awarded instead; here there is none."""
    deal = Deal()
    genuine = given(deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body)))
    another = attrs.evolve(AcceptanceNote.read_untrusted(genuine), award=bytes(32))
    forged = {
        "nonsense": b"accepted!",
        "signature": genuine[:-1] + bytes([genuine[-1] ^ 1]),
        "another award": sign(
            CHEAP, BOB.node_private, "accept", BOB.keys.group_id, another.to_fields()
        ),
    }[forgery]
    (finished,) = deal.alice.reply(deal.award, forged)
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, NoBids)
    assert deal.alice.node.auctions.forged == 1


def test_declining_passes_the_work_on_under_the_next_epoch() -> None:
    """Each award names one winner, and its epoch is its own."""
    alice, bob, carol = Bench(ALICE), Bench(BOB), Bench(CAROL)
    asks = alice.hold(BOB, CAROL)
    cheap = given(bob.run(bob.ask(OFFER, asks[BOB.node_id].body), [1]))
    dear = given(carol.run(carol.ask(OFFER, asks[CAROL.node_id].body), [9]))
    alice.reply(asks[CAROL.node_id], dear)
    (first,) = alice.persisted(alice.reply(asks[BOB.node_id], cheap))
    assert isinstance(first, Ask)
    (second,) = alice.persisted(alice.reply(first, b"busy", status=1))
    assert isinstance(second, Ask)
    assert (first.to, second.to) == (BOB.node_id, CAROL.node_id)
    epochs = []
    for ask in (first, second):
        statement = codec.unpack_list_untrusted(ask.body, 2)[0]
        epochs.append(AwardNote.read_untrusted(statement).epoch)
    assert epochs == [1, 2]


def test_a_winner_that_died_while_the_award_was_written_is_passed_over() -> None:
    """Nothing is sent to it; its epoch is spent."""
    alice, bob = Bench(ALICE), Bench(BOB)
    offer = alice.hold(BOB)[BOB.node_id]
    writing = alice.reply(offer, given(bob.run(bob.ask(OFFER, offer.body), [])))
    alice.node.member_lost(BOB.node_id)
    (finished,) = alice.persisted(writing)
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, NoBids)


def test_what_the_handler_raised_reaches_the_owner() -> None:
    """With type, message and traceback; nobody else is tried for that."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    _, claim = deal.alice.reply(deal.award, given(begun))
    assert isinstance(claim, Ask)
    deal.bob.run(begun, ["ValueError", "no such file", "Traceback ..."], status=1)
    (finished,) = deal.alice.reply(claim, given(deal.bob.ask(CLAIM, claim.body)))
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, RemoteError)
    assert (finished.error.type, finished.error.message) == ("ValueError", "no such file")


@pytest.mark.parametrize("forgery", ["result", "signature"])
def test_a_forged_result_is_no_result(forgery: str) -> None:
    """The winner's own signature covers it."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    _, claim = deal.alice.reply(deal.award, given(begun))
    assert isinstance(claim, Ask)
    deal.bob.run(begun, "done")
    note, result = codec.unpack_list_untrusted(given(deal.bob.ask(CLAIM, claim.body)), 2)
    assert isinstance(note, bytes)
    damaged = note[:-1] + bytes([note[-1] ^ 1])
    forged = [note, codec.pack("other")] if forgery == "result" else [damaged, result]
    (finished,) = deal.alice.reply(claim, codec.pack(forged))
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, PeerLost)
    assert deal.alice.node.auctions.forged == 1


def test_only_the_owner_gets_the_result() -> None:
    """And it may ask before the work is done."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    _, claim = deal.alice.reply(deal.award, given(begun))
    assert isinstance(claim, Ask)
    assert deal.bob.ask(CLAIM, claim.body) == []
    assert "no such work of yours" in refusal(deal.bob.ask(CLAIM, claim.body, peer=CAROL))
    assert given(deal.bob.run(begun, "done"))


def test_a_broken_connection_is_tried_once_more() -> None:
    """The work goes on meanwhile; a second break counts as loss."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    _, claim = deal.alice.reply(deal.award, given(begun))
    assert isinstance(claim, Ask)
    (again,) = deal.alice.reply(claim, b"", status=None)
    assert isinstance(again, Ask)
    assert again.method == CLAIM
    (finished,) = deal.alice.reply(again, b"", status=None)
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, PeerLost)


def test_work_that_is_not_done_in_time_says_so() -> None:
    """The result's number gets the error; the award stands."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    awarded, claim = deal.alice.reply(deal.award, given(begun))
    assert isinstance(awarded, Finished)
    assert isinstance(awarded.value, AwardData)
    assert isinstance(claim, Ask)
    late = deal.alice.node.receive_answer(claim.token, None, b"", lost=False, now=NOW + 20.0)
    assert late
    deal.alice.node.receive_deadline(now=NOW + 20.0)
    (finished,) = deal.alice.node.outputs()
    assert isinstance(finished, Finished)
    assert isinstance(finished.error, DeadlineExceeded)
    assert (finished.number, finished.error.maybe_executed) == (awarded.value.number, True)


def test_a_result_too_large_to_send_is_an_error_that_says_so() -> None:
    """Instead of a connection that breaks."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    _, claim = deal.alice.reply(deal.award, given(begun))
    assert isinstance(claim, Ask)
    deal.bob.run(begun, bytes(1 << 20))
    (finished,) = deal.alice.reply(claim, given(deal.bob.ask(CLAIM, claim.body)))
    assert isinstance(finished, Finished)
    assert "1048576" in str(finished.error) or "1048581" in str(finished.error)


def test_nothing_is_kept_once_the_deadline_has_passed() -> None:
    """Neither the offer nor the result nor a timer."""
    deal = Deal()
    begun = deal.bob.persisted(deal.bob.ask(AWARDED, deal.award.body))
    deal.bob.run(begun, "done")
    deal.bob.node.receive_deadline(now=NOW + 30.0)
    assert deal.bob.node.next_deadline() == float("inf")
    note = AwardNote.read_untrusted(codec.unpack_list_untrusted(deal.award.body, 2)[0])
    assert "no such work" in refusal(deal.bob.ask(CLAIM, codec.pack([note.task_id, 1])))


def test_a_disk_slower_than_the_deadline_begins_nothing() -> None:
    """The owner has been refused by then; nobody wants the work any more."""
    deal = Deal()
    writing = deal.bob.ask(AWARDED, deal.award.body)
    deal.bob.node.receive_deadline(now=NOW + 30.0)
    assert "deadline" in refusal(deal.bob.node.outputs())
    assert deal.bob.persisted(writing) == []


def test_one_key_is_one_auction_at_a_time() -> None:
    """Held again while under way, it is a mistake."""
    alice = Bench(ALICE)
    alice.hold(BOB, key="order-7")
    with pytest.raises(UsageError, match="under way"):
        alice.hold(BOB, key="order-7", number=78)


def test_at_most_eight_are_asked_unless_told_otherwise() -> None:
    """The first of the candidates, each once."""
    crowd = [identity_of(f"member-{n}", CHEAP) for n in range(12)]
    assert list(Bench(ALICE).hold(*crowd, *crowd)) == [one.node_id for one in crowd[:8]]


def test_a_damaged_journal_stops_the_node() -> None:
    """Who has forgotten its epochs must not award."""
    for table in (AWARDS, ACCEPTANCES):
        with pytest.raises(StateUnusable):
            Bench(ALICE, stored={(table, bytes(40)): b"rubbish"})


def test_an_offer_states_its_terms() -> None:
    """Task id, hash and size of the arguments, and how bids will be scored."""
    offer = Announcement.read_untrusted(Bench(ALICE).hold(BOB)[BOB.node_id].body)
    assert (offer.capability, offer.size, offer.epoch) == ("code.review", 4, 1)
    assert offer.policy == Policy()


def test_the_root_of_all_bids_depends_on_each() -> None:
    """Not on their order."""
    hashes = [bytes([n]) * 32 for n in range(5)]
    assert bids_root(hashes) == bids_root(hashes[::-1])
    assert len({bids_root(hashes[:n]) for n in range(6)}) == 6
