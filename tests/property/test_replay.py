from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import WireError
from meshp2p.transport.replay import LAST_COUNTER, WINDOW, ReplayWindow

counters = st.one_of(
    st.integers(0, 3 * WINDOW),
    st.integers(0, LAST_COUNTER),
    st.integers(LAST_COUNTER - WINDOW, LAST_COUNTER),
)


def accepted(counter: int, seen: set[int]) -> bool:
    """What the window has to say, told with a set that forgets nothing."""
    return counter not in seen and counter > max(seen, default=-1) - WINDOW


@given(st.lists(counters))
def test_the_window_knows_exactly_what_it_has_seen(arrivals: list[int]) -> None:
    """Each packet is accepted once, in any order, as long as it is young enough."""
    window = ReplayWindow()
    seen = set[int]()
    for counter in arrivals:
        assert window.check(counter) is accepted(counter, seen)
        if accepted(counter, seen):
            window.commit(counter)
            seen.add(counter)


@given(st.permutations(range(64)), st.integers(0, LAST_COUNTER - 64))
def test_reordering_loses_nothing(order: list[int], start: int) -> None:
    """Packets that overtake each other all arrive, and none of them twice."""
    window = ReplayWindow()
    for offset in order:
        assert window.check(start + offset)
        window.commit(start + offset)
    assert not any(window.check(start + offset) for offset in order)


@given(counters, st.lists(counters))
def test_a_forged_counter_moves_nothing(genuine: int, forged: list[int]) -> None:
    """Only a packet that was opened counts; merely looking changes nothing."""
    window, untouched = ReplayWindow(), ReplayWindow()
    for counter in forged:
        window.check(counter)

    assert window == untouched
    assert window.check(genuine)


@given(counters, st.one_of(st.integers(max_value=-1), st.integers(LAST_COUNTER + 1, 1 << 70)))
def test_counters_beyond_the_end_are_refused(genuine: int, beyond: int) -> None:
    """No counter comes near the end of 64 bits, where a nonce would serve twice."""
    window = ReplayWindow()
    window.commit(genuine)

    assert not window.check(beyond)
    with pytest.raises(WireError):
        window.commit(beyond)


@given(counters)
def test_a_repeated_packet_cannot_be_committed(counter: int) -> None:
    """Even a caller that forgets to check is stopped."""
    window = ReplayWindow()
    window.commit(counter)

    with pytest.raises(WireError):
        window.commit(counter)


def test_the_edge_of_the_window() -> None:
    """The oldest packet still told apart is 4095 behind the newest."""
    window = ReplayWindow()
    window.commit(WINDOW)

    assert window.check(1)
    assert not window.check(0)


def test_a_jump_forgets_only_what_is_too_old_to_tell() -> None:
    """After a jump over the whole window the old are refused, the skipped still welcome."""
    window = ReplayWindow()
    window.commit(5)
    window.commit(1 << 63)

    assert not window.check(5)
    assert not window.check(6)
    assert window.check((1 << 63) - 1)
    assert not window.check(1 << 63)


def test_memory_stays_that_of_one_window() -> None:
    """However far the counters run, the bitmap has 4096 bits."""
    window = ReplayWindow()
    for counter in range(0, 1 << 40, (1 << 40) // 1_000):
        window.commit(counter)
    for counter in range((1 << 41), (1 << 41) + 2 * WINDOW):
        window.commit(counter)

    assert window._seen.bit_length() == WINDOW  # noqa: SLF001  # what is promised is its size
