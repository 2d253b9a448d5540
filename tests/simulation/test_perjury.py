"""A member that lies in its requests and answers: the others keep their promises to their users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from meshp2p.consensus import AwardData, VoteResult
from meshp2p.consensus.envelope import payload_of
from meshp2p.errors import MeshError
from meshp2p.simulation import Agent, Handler, Node, World
from meshp2p.simulation.faults import Equivocate
from meshp2p.simulation.invariants import look_at_rest, watch_all
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.perjurer import Perjure
from meshp2p.simulation.sayings import Saying, as_another, as_frame, frames_with, sayings_in
from meshp2p.transport import frame
from meshp2p.wire.messages import RequestHead, ResponseHead, join_head

PEOPLE = ("alice", "bob", "carol", "dave", "erin")


def mesh(seed: int) -> tuple[World, list[Node], list[Invariant]]:
    """Five who add and vote yes; erin may be made to lie. All promises are watched."""
    world = World(seed)
    watched = watch_all(world)
    people = [
        world.start(
            name,
            agent=Agent({"add": Handler(function=lambda a, b: a + b)}, voter=lambda _: "yes"),
            crypto=Liar(world.crypto) if name == "erin" else None,
        )
        for name in PEOPLE
    ]
    world.run_until_quiet()
    return world, people, watched


def busy(world: World, people: list[Node], rounds: int) -> Iterator[object]:
    """What everybody's calls, auctions and votes come to, one after the other."""
    for number in range(rounds):
        asker = people[number % len(people)]
        world.vote(asker, f"{number}?", ["yes", "no"], faulty=1)
        yield world.auction(asker, "add", number, 1)
        yield asker.call("add", number, 1, timeout=1.0)
        world.run_for(0.5)


def test_whoever_a_member_lies_to_keeps_every_promise() -> None:
    """Whatever it says instead: votes, auctions and calls of all others end as they should."""
    lies = 0
    for seed in range(3):
        world, people, watched = mesh(seed)
        with world.inject(Perjure("erin", 0.8)):
            for _ in busy(world, people, 15):
                pass
            world.run_for(5.0)
        lies += world.coverage["byzantine.perjure"]
        world.calm()
        look_at_rest(watched)
    assert lies > 100


def test_without_a_share_nothing_is_a_lie_and_nothing_else_changes() -> None:
    """The same bytes travel as if nobody could lie."""
    hashes = set()
    for share in (None, 0.0):
        world, people, _ = mesh(1)
        if share is not None:
            world.inject(Perjure("erin", share))
        for _ in busy(world, people, 3):
            pass
        assert world.coverage["byzantine.perjure"] == 0
        hashes.add(world.trace)
    assert len(hashes) == 1


def test_the_same_seed_tells_the_same_lies() -> None:
    """So that what they lead to can be seen again."""

    def run() -> str:
        world, people, _ = mesh(2)
        with world.inject(Perjure("erin", 0.8)):
            for _ in busy(world, people, 6):
                pass
        assert world.coverage["byzantine.perjure"] > 10
        return world.trace

    assert run() == run()


def test_a_vote_that_is_decided_among_liars_counts_what_was_signed() -> None:
    """Whatever the fifth elector hands in, the ballots of the other four decide."""
    decided = Counter[str]()
    for seed in range(4):
        world, people, _ = mesh(seed)
        alice = people[0]
        with world.inject(Perjure("erin", 1.0)):
            votes = [world.vote(alice, f"{n}?", ["yes", "no"], faulty=1) for n in range(15)]
            world.run_for(6.0)
        for vote in votes:
            assert isinstance(vote.value, VoteResult)
            decided[vote.value.choice] += 1
    assert decided == {"yes": 60}


def test_a_call_to_a_liar_ends_in_time_with_an_answer_or_an_error_that_users_know() -> None:
    """Noise, silence and statuses that do not fit are told as what they are, never as a bug."""
    told: Counter[str] = Counter()
    world, (alice, *_), _ = mesh(3)
    calls = []
    with world.inject(Perjure("erin", 1.0)):
        for number in range(80):
            calls.append(alice.call("add", number, 1, timeout=1.0))
            world.run_for(0.05)
        world.run_for(2.0)
    for call in calls:
        assert call.is_done
        try:
            told[type(call.result).__name__] += 1
        except MeshError as error:
            told[type(error).__name__] += 1
    assert told["int"] > 40
    assert len(told) > 2


def test_an_auction_with_a_liar_ends_with_a_record_that_others_can_check() -> None:
    """Whoever won: its acceptance and all bids that are listed are signed."""
    world, people, _ = mesh(4)
    with world.inject(Perjure("erin", 0.8)):
        auctions = []
        for number in range(12):
            auctions.append(world.auction(people[number % 4], "add", number, 1))
            world.run_for(0.3)
        world.run_for(10.0)
    awards = [each.value for each in auctions if isinstance(each.value, AwardData)]
    assert len(awards) > 6
    for award in awards:
        listed = [payload_of(bid) for bid in award.transcript.bids]
        assert len(set(listed)) == len(listed) == len(award.bids)


def test_a_second_machine_tells_the_truth_while_the_first_is_down() -> None:
    """It has the liar's keys; what the liar knew is gone with its process."""
    world, people, _ = mesh(1)
    erin = people[-1]
    with world.inject(Perjure("erin", 1.0)), world.inject(Equivocate("erin")):
        for _ in busy(world, people, 3):
            pass
        world.crash(erin)
        lies = world.coverage["byzantine.perjure"]
        world.run_for(2.0)
        assert world.coverage["byzantine.perjure"] == lies > 0
        world.restart(erin)
    world.calm()


# --- how it is done ----------------------------------------------------------------------


def question(stream: int, method: str, body: bytes) -> bytes:
    """A whole request in one frame."""
    data = join_head(RequestHead(method, 1_000).packed(), body)
    return frame.pack(frame.OPEN | frame.END, stream, data)


def test_a_record_is_read_as_requests_and_answers_and_made_again() -> None:
    """What is neither stays where it was; what is not whole is left alone."""
    credit = frame.pack(frame.CREDIT, 5, frame.CREDIT_BODY.pack(9))
    answer = join_head(ResponseHead(0, started=True).packed(), b"sum")
    answered = frame.pack(frame.DATA | frame.END, 2, answer)
    part = frame.pack(frame.DATA, 7, b"part")
    record = question(1, "add", b"1") + credit + answered + part
    asked, told = sayings_in(record)
    assert (asked.method, asked.body, asked.is_request) == ("add", b"1", True)
    assert (told.method, told.body, told.is_request) == ("", b"sum", False)
    assert frames_with(record, {}) == record
    assert frames_with(record, {2: []}) == question(1, "add", b"1") + credit + part
    assert frames_with(record, {1: [as_frame(asked, asked.data)]}) == record


def test_requests_that_are_made_up_never_take_a_stream_of_the_engine() -> None:
    """Nor each other's; on each side they are numbered as its own are."""
    made = []
    for stream, is_request in ((3, True), (4, False)):  # both at the end that connected
        saying = Saying(stream, is_request, RequestHead("add", 1).packed(), b"")
        for number in range(3):
            ((_, taken, _, _),) = frame.parse_untrusted(as_another(saying, number, b""))
            made.append(taken)
    assert all(stream % 2 == 1 for stream in made)
    assert len(set(made)) == 3
    assert min(made) > 1_000_000
