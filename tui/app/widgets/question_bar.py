"""Where one is in the question set: ``3/8 logic``, how far each one is, and the question."""

from rich.cells import cell_len

from tui.app.pane.wrapping import TAB, clip, wrap_spans
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.lines import Lines
from tui.board import Board, BoardQuestion
from tui.text.sanitise import clean, one_line

_MARKS = {"none": " ", "open": "▸", "done": "✓", "failed": "✗", "judged": "★", "unjudged": "☆"}
_MARK_STYLES = {
    "none": "muted",
    "open": "warn",
    "done": "good",
    "failed": "bad",
    "judged": "good",
    "unjudged": "warn",
}
_SHARE = 4
"""The text of a question takes at most this part of the screen's rows."""
_LOW = 16
"""Rows of a screen below which none is left empty."""
_ROWS_BESIDE = 10
"""Rows that an opened question leaves to the panes and the bars."""


def question_state(board: Board, question: str, is_judging: bool = False) -> str:
    """``none``, ``open``, ``done`` (every model answered) or ``failed`` (one did not); where
    answers are judged, ``judged`` or ``unjudged`` instead of done."""
    states = []
    for model in board.models:
        conversation = board.conversation(model.index, question)
        states.append(conversation[-1].state if conversation else "")
    if any(state in ("queued", "prefill", "decoding") for state in states):
        return "open"
    if any(state in ("failed", "cancelled") for state in states):
        return "failed"
    if is_judging and "answered" in states:
        return "judged" if is_judged(board, question) else "unjudged"
    return "done" if states and all(state == "answered" for state in states) else "none"


def is_judged(board: Board, question: str) -> bool:
    """Whether every answer to a question has stars, or every pair of them a vote."""
    found = [board.conversation(model.index, question) for model in board.models]
    last = [conversation[-1] for conversation in found if conversation]
    pairs = len(last) * (len(last) - 1) // 2
    voted = {(left, right) for (_, at, left, right) in board.ballots if at == question}
    return bool(last) and (all(answer.ratings for answer in last) or 0 < pairs <= len(voted))


def is_any_judged(board: Board) -> bool:
    """Whether a person has begun to judge."""
    return bool(board.ballots) or any(answer.ratings for answer in board.answers.values())


class QuestionBar(Lines):
    """Position, category and marks; then the question's text. One that takes more than a quarter
    of the screen is cut, until a person opens it, page by page where it is longer than that."""

    def __init__(self, appearance: Appearance, *, id: str | None = None) -> None:
        super().__init__(appearance, id=id)
        self._mark: tuple[object, ...] = ()
        self._question_text = ""
        self._opened: int | None = None
        """The first row that is shown of an opened question."""

    def show_question(
        self, board: Board, current: BoardQuestion | None, is_judging: bool = False
    ) -> None:
        """Show a question of the board and the marks of all of them."""
        width, height = self.size.width, self.app.size.height
        is_judging = is_judging or is_any_judged(board)
        states = tuple((a.state, bool(a.ratings)) for a in board.answers.values())
        mark = (
            (id(board), current, len(board.questions), width, height),
            (self.appearance.revision, states, tuple(board.ballots), is_judging, self._opened),
        )
        if mark == self._mark:
            return
        self._mark = mark
        if current is None:
            self._show_rows([[(" ", ""), (self.appearance.say("questions.none"), "muted")], []])
            return
        ids = [question.id for question in board.questions]
        position = ids.index(current.id) + 1
        left = self.appearance.say("questions.position", number=position, count=len(ids))
        category = one_line(current.category)
        if current.is_typed:
            category = self.appearance.say("questions.free")
        marks = self._marks(board, ids, position, width - cell_len(left) - 8, is_judging)
        room = width - cell_len(left) - sum(cell_len(text) for text, _ in marks) - 5
        category = clip(category, room)
        gap = " " * max(1, room - cell_len(category) + 2)
        rows = self._text_rows(current, width - 2, height)
        self._show_rows(
            [
                [(" ", ""), (left, "bold"), ("  ", ""), (category, "accent"), (gap, ""), *marks],
                *([(" ", ""), *row] for row in rows),
            ]
        )

    def open_further(self) -> bool:
        """Show the whole question, its next page, or after the last one its beginning again;
        whether there is more of it than is shown at first."""
        width, height = self.size.width - 2, self.app.size.height
        count = len(_wrapped(self._question_text, width))
        if count <= _most_rows(height):
            return False
        start = 0 if self._opened is None else self._opened + _page_rows(height)
        self._opened = start if start < count else None
        return True

    def close(self) -> None:
        """Show no more of a question than at first."""
        self._opened = None

    def _text_rows(self, current: BoardQuestion, width: int, height: int) -> list[list[StyledText]]:
        text = "".join(current.turns[:1])
        if text != self._question_text:
            self._question_text, self._opened = text, None
        rows, most = _wrapped(text, width), _most_rows(height)
        if len(rows) <= most:
            return [[(row, "text")] for row in rows]
        if self._opened is None:
            hint = f" {self.appearance.say('questions.whole')}"
            last = clip(rows[most - 1] + " …" * width, max(0, width - cell_len(hint)))
            return [
                *([(row, "text")] for row in rows[: most - 1]),
                [(last, "text"), (hint, "muted")],
            ]
        end = self._opened + _page_rows(height)
        hint = self.appearance.say("questions.more" if end < len(rows) else "questions.close")
        return [*([(row, "text")] for row in rows[self._opened : end]), [(hint, "muted")]]

    def _show_rows(self, rows: list[list[StyledText]]) -> None:
        """Take as much room as they need, and an empty row where there is room for it."""
        wanted = len(rows) + (self.app.size.height >= _LOW)
        if self.size.height != wanted:
            self.styles.height = wanted
        self.show(rows)

    def _marks(
        self, board: Board, ids: list[str], position: int, room: int, is_judging: bool
    ) -> list[StyledText]:
        """One mark a question, a window of them around the current one where room is short."""
        count = max(1, min(len(ids), room // 4))
        first = min(max(0, position - 1 - count // 2), len(ids) - count)
        pieces: list[StyledText] = []
        for number in range(first + 1, first + count + 1):
            state = question_state(board, ids[number - 1], is_judging)
            style = "cursor bold" if number == position else _MARK_STYLES[state]
            pieces += [(f"{number}{_MARKS[state]}", style), (" ", "")]
        return pieces


def _most_rows(height: int) -> int:
    """Rows that a question takes unasked."""
    return max(1, height // _SHARE - (height < _LOW))


def _page_rows(height: int) -> int:
    """Rows of an opened question that are shown at a time."""
    return max(_most_rows(height), height - _ROWS_BESIDE)


def _wrapped(text: str, width: int) -> list[str]:
    """The rows of a question."""
    lines = clean(text).replace("\t", TAB).strip("\n").split("\n")
    return [
        line[start:end] for line in lines for start, end in wrap_spans(line, width, is_whole=True)
    ]
