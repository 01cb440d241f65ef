"""Where one is in the question set: ``3/8 logic``, the text, and how far each one is."""

from rich.cells import cell_len

from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.lines import Lines
from tui.board import Board, BoardQuestion
from tui.text.sanitise import one_line

_MARKS = {"none": " ", "open": "▸", "done": "✓", "failed": "✗"}
_MARK_STYLES = {"none": "muted", "open": "warn", "done": "good", "failed": "bad"}


def question_state(board: Board, question: str) -> str:
    """``none``, ``open``, ``done`` (every model answered) or ``failed`` (one did not)."""
    states = []
    for model in board.models:
        conversation = board.conversation(model.index, question)
        states.append(conversation[-1].state if conversation else "")
    if any(state in ("queued", "prefill", "decoding") for state in states):
        return "open"
    if any(state in ("failed", "cancelled") for state in states):
        return "failed"
    return "done" if states and all(state == "answered" for state in states) else "none"


class QuestionBar(Lines):
    """Two lines: position, category and marks; the text of the question."""

    def __init__(self, appearance: Appearance, *, id: str | None = None) -> None:
        super().__init__(appearance, id=id)
        self._mark: tuple[object, ...] = ()

    def show_question(self, board: Board, current: BoardQuestion | None) -> None:
        """Show a question of the board and the marks of all of them."""
        width = self.size.width
        states = tuple(answer.state for answer in board.answers.values())
        mark = (id(board), current, len(board.questions), width, self.appearance.revision, states)
        if mark == self._mark:
            return
        self._mark = mark
        if current is None:
            self.show([[(" ", ""), (self.appearance.say("questions.none"), "muted")], []])
            return
        ids = [question.id for question in board.questions]
        position = ids.index(current.id) + 1
        left = self.appearance.say("questions.position", number=position, count=len(ids))
        category = one_line(current.category)
        if current.is_typed:
            category = self.appearance.say("questions.free")
        marks = self._marks(board, ids, position, width - cell_len(left) - 8)
        room = width - cell_len(left) - sum(cell_len(text) for text, _ in marks) - 5
        category = clip(category, room)
        gap = " " * max(1, room - cell_len(category) + 2)
        text = clip(" ".join(one_line(turn) for turn in current.turns[:1]), width - 2)
        self.show(
            [
                [(" ", ""), (left, "bold"), ("  ", ""), (category, "accent"), (gap, ""), *marks],
                [(" ", ""), (text, "text")],
            ]
        )

    def _marks(self, board: Board, ids: list[str], position: int, room: int) -> list[StyledText]:
        """One mark a question, a window of them around the current one where room is short."""
        count = max(1, min(len(ids), room // 4))
        first = min(max(0, position - 1 - count // 2), len(ids) - count)
        pieces: list[StyledText] = []
        for number in range(first + 1, first + count + 1):
            state = question_state(board, ids[number - 1])
            style = "cursor bold" if number == position else _MARK_STYLES[state]
            pieces += [(f"{number}{_MARKS[state]}", style), (" ", "")]
        return pieces
