"""The last line but one: each model's memory and speed, the machine's, and what is saved."""

from dataclasses import dataclass
from statistics import fmean

from rich.cells import cell_len

from tui.app.pane.header import pane_state, shown_answer, speed_text
from tui.app.pane.short_names import short_label
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.style.bars import sparkline
from tui.app.widgets.lines import Lines
from tui.board import MEMORY_SAMPLES, Board, Model
from tui.text.units import format_clock, format_memory, format_rate

_EVERY_US = 1_000_000
_LABEL = 24


@dataclass(frozen=True, slots=True)
class DetailLevel:
    """How much is said. Of a model: ``detail`` 0 name and memory, 1 also the state, 2 also
    TTFT and tok/s, 3 also characters per second, which compares models whose tokens are of
    different length; its name in so many cells. ``brevity``: 1 memory in fewer words, 2 the
    machine's too, 3 no time that is left."""

    detail: int
    brevity: int = 0
    label_cells: int = _LABEL


_DETAIL_LEVELS = (
    *(DetailLevel(detail) for detail in (3, 2, 1, 0)),
    *(DetailLevel(0, tight) for tight in (1, 2, 3)),
    *(DetailLevel(0, 3, label) for label in range(_LABEL - 1, 7, -1)),
)
"""Tried in this order: labels are shortened last, figures never."""


def model_text(
    board: Board, model: Model, question: str, appearance: Appearance, fit: DetailLevel
) -> str:
    """What is said of one model."""
    answer = shown_answer(board, model.index, question)
    detail, parts = fit.detail, [short_label(board, model.index, fit.label_cells)]
    if detail >= 1:
        parts.append(appearance.say(f"state.{pane_state(model, answer)}"))
    if detail >= 2 and (measured := speed_text(model, answer, appearance)):
        parts.append(measured)
        chars = answer.figures.chars_s if answer and answer.figures else None
        if detail >= 3 and chars is not None:
            parts.append(appearance.say("status.chars", speed=format_rate(chars)))
    if model.private or model.mapped:
        parts.append(_ram(model, appearance, fit.brevity > 0))
    return " ".join(parts)


def _ram(model: Model, appearance: Appearance, tight: bool) -> str:
    private, mapped = format_memory(model.private), format_memory(model.mapped)
    if not tight:
        return appearance.say("status.ram", private=private, mapped=mapped)
    number, unit = private.split()
    # Of two figures in one unit the second names it.
    return f"{number if mapped.endswith(unit) else private}+{mapped}"


def time_left_us(board: Board) -> int | None:
    """Microseconds until all that was asked is answered, if every open answer takes as long
    as its model's answers took so far, and those that wait are answered as many together as now;
    None where one of them has answered nothing yet, where no model has an answer waiting, and
    where they are longer at it than that: nobody knows then."""
    took: dict[int, list[float]] = {}
    for answer in board.answers.values():
        if answer.figures and answer.figures.e2e_ms:
            took.setdefault(answer.model, []).append(answer.figures.e2e_ms * 1000)
    running: dict[int, list[float]] = {}
    waiting: dict[int, int] = {}
    for answer in board.open_answers():
        if not (before := took.get(answer.model)):
            return None
        if answer.state == "queued" or answer.started_us is None:
            waiting[answer.model] = waiting.get(answer.model, 0) + 1
        else:
            to_go = fmean(before) - (board.now_us - answer.started_us)
            running.setdefault(answer.model, []).append(to_go)
    if not waiting:
        return None
    left: list[float] = []
    for model in {*running, *waiting}:
        together = running.get(model, [0.0])
        rounds = -(-waiting.get(model, 0) // len(together))
        left.append(max(0.0, *together) + rounds * fmean(took[model]))
    return int(max(left)) if max(left) >= _EVERY_US else None


def memory_bars(board: Board) -> str:
    """The machine's memory in the last steps, as bars of its limit; "" where it says nothing."""
    if not board.memory_limit or len(board.memory_history) < 2:
        return ""
    shares: list[float] = []
    last = board.memory_history[0][0]
    for step, used in board.memory_history:
        shares += shares[-1:] * (step - last - 1)  # it is told when it changes
        shares.append(used / board.memory_limit)
        last = step
    return sparkline(shares[-MEMORY_SAMPLES:])


class StatusBar(Lines):
    """Shows as much as fits, and changes at most once a second unless a state changes."""

    base_style = "panel"

    def __init__(self, appearance: Appearance, *, id: str | None = None) -> None:
        super().__init__(appearance, id=id)
        self._mark: tuple[object, ...] = ()

    def show_status(self, board: Board, question: str, save_status: StyledText) -> None:
        """Show the board's figures; ``save_status`` says how the session file stands."""
        at_work = [board.current_answer(model.index) for model in board.models]
        states = (
            *((model.state, model.is_measuring) for model in board.models),
            *(answer.state for answer in at_work if answer),
        )
        mark = (board.now_us // _EVERY_US, states, question, save_status, self.size.width)
        if mark == self._mark:
            return
        self._mark = mark
        for fit in _DETAIL_LEVELS:
            right = self._right(board, save_status, fit)
            room = self.size.width - sum(cell_len(text) for text, _ in right) - 2
            words = [model_text(board, m, question, self.appearance, fit) for m in board.models]
            left = " │ ".join(words)
            if cell_len(left) < room:
                break
        else:
            left = clip(left, room - 1)
        past = memory_bars(board)
        # The memory history gets only the space that the models' figures leave.
        if past and cell_len(left) + cell_len(past) + 2 <= room:
            right.insert(0, (f"{past} ", "muted"))
            room -= cell_len(past) + 1
        gap = " " * max(1, room - cell_len(left))
        self.show([[(" ", ""), (left, ""), (gap, ""), *right]])

    def _right(self, board: Board, saved: StyledText, fit: DetailLevel) -> list[StyledText]:
        """The machine's memory, the time that is left, and how the file stands."""
        right: list[StyledText] = []
        if board.memory_limit or board.memory_used:
            low = (
                board.memory_limit
                and board.memory_limit - board.memory_used < board.memory_limit // 16
            )
            name = "status.machine_tight" if fit.brevity >= 2 else "status.machine"
            words = self.appearance.say(
                name, used=format_memory(board.memory_used), limit=format_memory(board.memory_limit)
            )
            right = [(words, "bad" if low else ""), ("  ", "")]
        if fit.brevity < 3 and (measured := [m for m in board.models if m.is_measuring]):
            name = short_label(board, measured[0].index, fit.label_cells)
            right += [(self.appearance.say("status.measuring", model=name), "accent"), ("  ", "")]
        if fit.brevity < 3 and (left_us := time_left_us(board)) is not None:
            right += [
                (self.appearance.say("status.left", time=format_clock(left_us)), "accent"),
                ("  ", ""),
            ]
        return [*right, saved, (" ", "")]
