"""What the application sees of its mesh besides calls: batches, waits, explanations."""

from __future__ import annotations

from meshp2p.effects import Announce
from meshp2p.engine.answers import Answers
from meshp2p.engine.calls import Calls
from meshp2p.engine.core import Core
from meshp2p.engine.cuts import Cuts
from meshp2p.engine.explaining import WHY, WHY_PRICE, Explaining
from meshp2p.engine.waits import Waits
from meshp2p.events import MemberEvent
from meshp2p.gossip.swim import Swim
from meshp2p.ids import Seconds


class Watching:
    """Joins them to the list of members.

    Args:
        cuts: The batch that is being collected.
        waits: Commands of `wait_for`.
        explaining: Answers to `why`.
    """

    def __init__(self, core: Core, swim: Swim, calls: Calls, answers: Answers) -> None:
        """Nothing has changed yet."""
        self._core = core
        self._swim = swim
        self.cuts = Cuts(core.config.settle_window)
        self.waits = Waits(core, swim)
        self.explaining = Explaining(core, swim, calls)
        answers.register(WHY, self.explaining.answer, price=WHY_PRICE)

    def member_event(self, event: MemberEvent, now: Seconds) -> None:
        """Somebody came, changed or went."""
        self.cuts.note(event, now)
        self.waits.members_changed()

    def receive_deadline(self, *, now: Seconds) -> None:
        """Tell of the batch that has ended, and those who waited too long."""
        swim = self._swim
        cut = self.cuts.take(now, view_hash=swim.view_hash(), alive=swim.present_count)
        if cut is not None:
            self._core.emit(Announce(cut))
        self.waits.receive_deadline(now=now)
