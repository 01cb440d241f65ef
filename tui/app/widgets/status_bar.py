"""The last line but one: each model's memory and speed, the machine's, and what is saved."""

from rich.cells import cell_len

from tui.app.figures import clock, heights, memory, rate
from tui.app.look import Look, Piece
from tui.app.pane_header import figures, shown_answer, state_of
from tui.app.safe_text import one_line
from tui.app.widgets.lines import Lines
from tui.app.wrapping import clip
from tui.board import HISTORY, Board, Model

_EVERY_US = 1_000_000


def model_words(board: Board, model: Model, question: str, look: Look, detail: int) -> str:
    """One model: 0 name and memory, 1 also the state, 2 also TTFT and tok/s, 3 also
    characters per second, which compares models whose tokens are of different length."""
    answer = shown_answer(board, model.index, question)
    parts = [clip(one_line(model.label), 24)]
    if detail >= 1:
        parts.append(look.say(f"state.{state_of(model, answer)}"))
    if detail >= 2 and (measured := figures(model, answer, look)):
        parts.append(measured)
        chars = answer.figures.chars_s if answer and answer.figures else None
        if detail >= 3 and chars is not None:
            parts.append(look.say("status.chars", speed=rate(chars)))
    if model.private or model.mapped:
        parts.append(
            look.say("status.ram", private=memory(model.private), mapped=memory(model.mapped))
        )
    return " ".join(parts)


def time_left_us(board: Board) -> int | None:
    """Microseconds until all that was asked is answered, if every open answer takes as long
    as its model's answers took so far; None where one of them has answered nothing yet, or
    where no model has an answer waiting."""
    took: dict[int, list[float]] = {}
    for answer in board.answers.values():
        if answer.figures and answer.figures.e2e_ms:
            took.setdefault(answer.model, []).append(answer.figures.e2e_ms * 1000)
    left: dict[int, float] = {}
    waiting = False
    for answer in board.open_answers():
        if not (before := took.get(answer.model)):
            return None
        worked = board.now_us - answer.started_us if answer.started_us is not None else 0
        waiting = waiting or answer.state == "queued"
        to_go = max(0.0, sum(before) / len(before) - worked)
        left[answer.model] = left.get(answer.model, 0.0) + to_go
    return int(max(left.values())) if left and waiting else None


def used_before(board: Board) -> str:
    """The machine's memory in the last steps, as bars of its limit; "" where it says nothing."""
    if not board.limit or len(board.used_before) < 2:
        return ""
    shares: list[float] = []
    last = board.used_before[0][0]
    for step, used in board.used_before:
        shares += shares[-1:] * (step - last - 1)  # it is told when it changes
        shares.append(used / board.limit)
        last = step
    return heights(shares[-HISTORY:])


class StatusBar(Lines):
    """Shows as much as fits, and changes at most once a second unless a state changes."""

    ground = "panel"

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._mark: tuple[object, ...] = ()

    def show_status(self, board: Board, question: str, saved: Piece) -> None:
        """Show the board's figures; ``saved`` says how the session file stands."""
        at_work = [board.current(model.index) for model in board.models]
        states = (
            *(model.state for model in board.models),
            *(answer.state for answer in at_work if answer),
        )
        mark = (board.now_us // _EVERY_US, states, question, saved, self.size.width)
        if mark == self._mark:
            return
        self._mark = mark
        right: list[Piece] = []
        if board.limit or board.used:
            low = board.limit and board.limit - board.used < board.limit // 16
            words = self.look.say(
                "status.machine", used=memory(board.used), limit=memory(board.limit)
            )
            right = [(words, "bad" if low else ""), ("  ", "")]
        if (left_us := time_left_us(board)) is not None:
            right += [(self.look.say("status.left", time=clock(left_us)), "accent"), ("  ", "")]
        right += [saved, (" ", "")]
        room = self.size.width - sum(cell_len(text) for text, _ in right) - 2
        left = self._models(board, question, room)
        past = used_before(board)
        # What models cost comes first: the history takes only what they leave.
        if past and cell_len(left) + cell_len(past) + 2 <= room:
            right.insert(0, (f"{past} ", "muted"))
            room -= cell_len(past) + 1
        gap = " " * max(1, room - cell_len(left))
        self.show([[(" ", ""), (left, ""), (gap, ""), *right]])

    def _models(self, board: Board, question: str, room: int) -> str:
        for detail in (3, 2, 1, 0):
            words = [model_words(board, m, question, self.look, detail) for m in board.models]
            line = " │ ".join(words)
            if cell_len(line) <= room:
                return line
        return clip(line, room) if board.models else ""
