"""Each promise is broken by hand once: a check that cannot fail is worth nothing."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from meshp2p.config import loopback
from meshp2p.simulation import Agent, Handler, Violation, World
from meshp2p.simulation.invariants import INVARIANTS, Invariant, inside, look_at_rest
from meshp2p.simulation.swarm import run_seed
from meshp2p.wire import limits
from tests.simulation.breaking import BREAKS
from tests.simulation.scene import Scene


@pytest.mark.parametrize(
    ("name", "break_it"), BREAKS, ids=[f"{name}:{how.__name__[1:]}" for name, how in BREAKS]
)
def test_a_broken_promise_stops_the_run(name: str, break_it: Callable[[Scene], None]) -> None:
    """And the error names the promise, those concerned, the moment, and how to see it again."""
    scene = Scene.of(name)
    with pytest.raises(Violation) as caught:
        break_it(scene)
    violation = caught.value
    assert violation.name == name
    assert violation.seed == 7
    assert violation.at == scene.world.elapsed
    assert "meshp2p simulate swarm --seed 7" in str(violation)
    assert set(violation.nodes) <= set(scene.world.nodes)


def test_every_promise_is_broken_somewhere_above() -> None:
    """No invariant without a proof that it can bite."""
    assert set(INVARIANTS) == {name for name, _ in BREAKS}


@pytest.mark.parametrize("kind", INVARIANTS.values(), ids=list(INVARIANTS))
def test_every_promise_is_in_words(kind: type[Invariant]) -> None:
    """A sentence for users, and the design's own words for us."""
    assert kind.promise.endswith(".")
    assert kind.__doc__


@pytest.mark.parametrize("name", list(INVARIANTS))
def test_a_healthy_mesh_breaks_no_promise(name: str) -> None:
    """Each of them alone, while a member crashes silently, is missed, and comes back."""
    scene = Scene.of(name)
    calls = [one.call("@bob", 1) for one in (scene.alice, scene.carol)]
    scene.vote()
    scene.world.crash(scene.carol, silent=True)
    scene.world.run_for(4.0)
    scene.world.restart(scene.carol)
    scene.world.run_until_quiet()
    look_at_rest(scene.watched)
    assert [call.error for call in calls[:1]] == [None]


def test_a_key_that_is_used_again_long_afterwards_may_run_again() -> None:
    """Answers are not kept for ever, and nobody promises it."""
    scene = Scene.of("once-per-key")
    for _ in range(2):
        call = scene.carol.call("@bob/charge", 7, key="order-7")
        scene.world.run_for(limits.DUPLICATE_LIFE + 1.0)
        assert call.error is None
    assert scene.bob.times_run("charge") == 2


def test_a_question_that_waits_for_its_connection_was_not_asked() -> None:
    """Nobody can be told by that connection that the answer is not wanted any more."""
    world = World(7, attrs.evolve(loopback(), idle_close=1.0))
    alice, _ = world.join("alice", "bob", agent=Agent(on_message=lambda body: body))
    world.run_for(3.4)  # no connection is left
    asked = alice.call("@bob", 1)
    assert inside.stream_of(alice.engine, asked.number) is None
    world.run_until(lambda: inside.stream_of(alice.engine, asked.number) is not None, 1.0)
    assert not asked.is_done


def test_work_that_began_late_may_end_before_rest_is_judged() -> None:
    """A slow disk lets it begin when nothing else happens any more."""
    scene = Scene.of("useful")
    (dave,) = scene.world.join("dave", handlers={"slow": Handler(function=lambda n: n, takes=2.0)})
    scene.alice.call("slow", 1)
    scene.world.run_for(0.1)
    assert dave.engine.stats()["handlers_running"] == 1
    look_at_rest(scene.watched)
    assert dave.engine.stats()["handlers_running"] == 0


def test_whoever_was_slow_tells_later_that_it_waits_no_longer() -> None:
    """It has given up, and still thinks about it when it is no longer slow."""
    scene = Scene.of("gives-up")
    (dave,) = scene.world.join("dave", handlers={"slow": Handler(function=lambda n: n, takes=2.0)})
    call = scene.alice.call("slow", 1)
    scene.world.run_for(0.1)
    scene.alice.slowness = 0.2
    scene.alice.cancel(call)
    scene.alice.slowness = 0.0
    scene.world.run_for(1.0)
    assert [job.method for job in dave.cancelled] == ["slow"]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_befalls_it_a_mesh_keeps_all_promises(seed: int) -> None:
    """A few seeds of the swarm, watched by all invariants."""
    assert run_seed(seed).violation is None


def test_looking_on_changes_nothing() -> None:
    """A run is the same, byte for byte, whether or not anybody watches."""

    def run(*names: str) -> str:
        scene = Scene.of(*names)
        scene.vote()
        scene.world.crash(scene.bob)
        scene.world.run_for(5.0)
        return scene.world.trace

    assert run() == run(*INVARIANTS)
