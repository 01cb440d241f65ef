"""The bar for votes."""

from itertools import combinations
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.app.pane.header import judged_answer
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.judge_bar import JudgeBar, JudgingHost
from tui.events import Note, Rated, Voted
from tui.scoring.stars import make_vote, recorded_vote


class VotesBar(JudgeBar):
    """A vote on each pair of answers, in the order in which the panes stand."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,left", "vote('left')", "key.vote_left", show=False, id="votes.left"),
        Binding("r,right", "vote('right')", "key.vote_right", show=False, id="votes.right"),
        Binding("t,equals_sign", "vote('tie')", "key.vote_tie", show=False, id="votes.tie"),
        Binding("b,x", "vote('bad')", "key.vote_bad", show=False, id="votes.bad"),
        Binding("0", "vote('none')", "key.vote_none", show=False, id="votes.none"),
        Binding("enter", "pair(1)", "key.next_pair", show=False, id="votes.next"),
        Binding("backspace", "pair(-1)", "key.previous_pair", show=False, id="votes.previous"),
    ]

    def __init__(self, appearance: Appearance, host: JudgingHost) -> None:
        super().__init__(appearance, host, id="votes")
        self.pair_index = 0

    def judgeable_panes(self, question: str | None = None) -> list[int]:
        """At least two are needed."""
        found = super().judgeable_panes(question)
        return found if len(found) > 1 else []

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two panes."""
        return list(combinations(self.judgeable_panes(), 2))

    def begin(self) -> None:
        """From the first pair without a vote."""
        super().begin()
        self.pair_index = next(iter(self._unjudged_pairs(self._question)), 0)

    def point_at(self, body: Rated | Voted | Note) -> None:
        """The pair of a vote."""
        self._is_done = False
        if isinstance(body, Voted):
            wanted = {body.left, body.right}
            pairs = range(len(self.pairs))
            found = (i for i in pairs if set(self._answer_ids(self._question, i)) == wanted)
            self.pair_index = next(found, self.pair_index)
        self.show_judging()

    def _answer_ids(self, question: str, pair_index: int) -> tuple[int, int]:
        pairs = list(combinations(self.judgeable_panes(question), 2))
        if not pair_index < len(pairs):
            return (-1, -1)
        board = self.host.visible_board
        left, right = (judged_answer(board, pane, question) for pane in pairs[pair_index])
        return (left.id, right.id) if left and right else (-1, -1)

    def _vote_on(self, question: str, pair_index: int) -> str:
        ids = self._answer_ids(question, pair_index)
        return recorded_vote(self.host.visible_board.votes, question, *ids)

    def _unjudged_pairs(self, question: str) -> list[int]:
        count = len(list(combinations(self.judgeable_panes(question), 2)))
        return [index for index in range(count) if self._vote_on(question, index) == "none"]

    def _has_unjudged(self, question: str) -> bool:
        return bool(self._unjudged_pairs(question))

    def state_line(self) -> list[StyledText]:
        """The pair, and how one voted."""
        pairs = self.pairs
        self.pair_index = min(self.pair_index, len(pairs) - 1)
        one, two = pairs[self.pair_index]
        room = max(8, self.size.width // 4)
        given = self._vote_on(self._question, self.pair_index)
        styles = ["bold good" if given in (side, "tie") else "bold" for side in ("left", "right")]
        words = self.appearance.say(f"vote.{given}")
        return [
            self._place(self.pair_index + 1, len(pairs)),
            (f" {self.label(one, room)} ", styles[0]),
            (" │ ", "muted"),
            (f" {self.label(two, room)} ", styles[1]),
            ("  ", ""),
            (words, "accent"),
        ]

    def keys_line(self) -> list[StyledText]:
        """What to press."""
        return [(" " + clip(self.appearance.say("judge.votes_keys"), self.size.width - 2), "muted")]

    def action_vote(self, choice: str) -> None:
        """Vote on the pair; the next one without a vote follows."""
        left, right = self._answer_ids(self._question, self.pair_index)
        if left < 0 or self._is_done:
            return
        if self.host.judge(make_vote(self._question, left, right, choice)):
            self._go_on()

    def _go_on(self) -> None:
        left = [index for index in self._unjudged_pairs(self._question) if index != self.pair_index]
        after = [index for index in left if index > self.pair_index]
        if left:
            self.pair_index = (after or left)[0]
            self.show_judging()
        else:
            self._go_on_elsewhere()

    def action_pair(self, step: int) -> None:
        """The next or the previous pair; after the last one another question's."""
        if self._is_done and step > 0:
            return
        self._is_done = False
        if self.pair_index + step < len(self.pairs):
            self.pair_index = max(0, self.pair_index + step)
            self.show_judging()
        else:
            self._go_on_elsewhere()
