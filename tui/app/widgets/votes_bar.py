"""The bar for votes."""

from itertools import combinations
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.app.pane.header import judged_answer
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.judge_bar import JudgeBar, JudgingHost
from tui.events import Judgement, Voted
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

    least_models = 2
    empty_message = "judge.two_needed"

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

    def point_at(self, body: Judgement) -> None:
        """The pair of a vote."""
        self._is_done = False
        if isinstance(body, Voted):
            wanted = {body.left, body.right}
            pairs = enumerate(self._answer_pairs(self._question))
            self.pair_index = next((i for i, ids in pairs if set(ids) == wanted), self.pair_index)
        self.show_judging()

    def _answer_pairs(self, question: str) -> list[tuple[int, int]]:
        """The ids of the answers of every two panes, in the order of `pairs`."""
        board, panes = self.host.visible_board, self.judgeable_panes(question)
        answers = (judged_answer(board, pane, question) for pane in panes)
        return list(combinations([answer.id for answer in answers if answer], 2))

    def _unjudged_pairs(self, question: str) -> list[int]:
        """Places in `_answer_pairs` of those without a vote."""
        votes = self.host.visible_board.votes
        return [
            index
            for index, ids in enumerate(self._answer_pairs(question))
            if recorded_vote(votes, question, *ids) == "none"
        ]

    def _has_unjudged(self, question: str) -> bool:
        return bool(self._unjudged_pairs(question))

    def state_line(self) -> list[StyledText]:
        """The pair, and how one voted."""
        pairs = self.pairs
        self.pair_index = min(self.pair_index, len(pairs) - 1)
        one, two = pairs[self.pair_index]
        room = max(8, self.size.width // 4)
        ids = self._answer_pairs(self._question)[self.pair_index]
        given = recorded_vote(self.host.visible_board.votes, self._question, *ids)
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
        pairs = self._answer_pairs(self._question)
        if self._is_done or self.pair_index >= len(pairs):
            return
        left, right = pairs[self.pair_index]
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
