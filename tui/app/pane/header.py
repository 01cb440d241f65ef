"""The one line above a pane: who it is, how it stands, and how fast it is."""

from rich.cells import cell_len

from tui.app.pane.conversation import loading_text
from tui.app.pane.short_names import short_label
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.board import Answer, Board, Model
from tui.text.sanitise import one_line
from tui.text.units import format_milliseconds, format_rate

_STATE_STYLE = {
    "decoding": "good",
    "prefill": "warn",
    "queued": "muted",
    "loading": "warn",
    "measuring": "accent",
    "failed": "bad",
    "cancelled": "warn",
}
STATE_SIGNS = {
    "waiting": "○",
    "loading": "◔",
    "measuring": "◔",
    "ready": "○",
    "unloaded": "○",
    "queued": "◌",
    "prefill": "◑",
    "decoding": "▸",
    "answered": "✓",
    "failed": "✗",
    "cancelled": "■",
}
"""One cell that says how a pane stands, also where there is no room for the word."""
_WORD_CELLS = 8
"""Cells below which a state in words is shown whole or not at all: its sign says it, too."""
_LABEL_CELLS = 20
"""Cells of a name that figures do not take."""


def shown_answer(board: Board, model: int, question: str) -> Answer | None:
    """The answer a pane is about: the newest of the conversation it shows."""
    conversation = board.conversation(model, question)
    return conversation[-1] if conversation else None


def judged_answer(board: Board, pane_index: int, question: str) -> Answer | None:
    """The answer of a pane that stars and votes go to: its last one, once it is there."""
    answer = shown_answer(board, pane_index, question)
    return answer if answer and not answer.is_open and (answer.chunks or answer.figures) else None


def pane_state(model: Model, answer: Answer | None) -> str:
    """How a pane stands: the answer's state, or the model's where it matters more."""
    if model.is_measuring and not (answer and answer.is_open):
        return "measuring"
    if model.state == "failed" or (model.state != "ready" and (not answer or answer.is_open)):
        return model.state
    return answer.state if answer else "ready"


def state_text(board: Board, model: Model, answer: Answer | None, appearance: Appearance) -> str:
    """The state in words, with what it works on where that is another question."""
    state = pane_state(model, answer)
    if state == "loading":
        return loading_text(model, appearance)
    if state == "prefill" and answer and answer.started_us is not None:
        waited = format_milliseconds((board.now_us - answer.started_us) / 1000)
        return appearance.say("state.prefill_for", time=waited)
    if state == "queued" and model.engine == "pasted":
        return appearance.say("state.paste")
    if state == "decoding" and answer and answer.reasoning_length and not answer.text_length:
        return appearance.say("state.thinking")
    at_work = board.current_answer(model.index)
    if state in ("ready", "answered", "cancelled") and at_work and at_work.is_open:
        ids = [question.id for question in board.questions]
        if at_work.question in ids and (not answer or at_work.id != answer.id):
            return appearance.say("state.elsewhere", number=ids.index(at_work.question) + 1)
    return appearance.say(f"state.{state}")


def speed_text(model: Model, answer: Answer | None, appearance: Appearance) -> str:
    """TTFT and speed of an answer, as far as they are known; ``~`` before a speed says that
    its tokens are estimated, as those of a service are until it has told their number, ``*``
    behind a figure that the answer did not have its cores for itself."""
    if answer is None:
        return measured_text(model, appearance)
    ttft, speed = answer.ttft_ms, answer.decode_tok_s
    if ttft is None:
        return ""
    mark = "*" * (answer.figures is not None and answer.figures.contended)
    if speed is None:
        return appearance.say("pane.ttft", ttft=format_milliseconds(ttft) + mark)
    known = answer.figures or answer.started
    name = "pane.ttft_speed_batch" if known and known.batch > 1 else "pane.ttft_speed"
    told = _marked_rate(model, answer, speed)
    return appearance.say(
        name, ttft=format_milliseconds(ttft) + mark, speed=told, rows=known.batch if known else 1
    )


def _figures(
    model: Model, answer: Answer | None, appearance: Appearance, width: int, label: str
) -> str:
    """`speed_text`, or only the speed where a pane is too narrow for both and the name."""
    whole = speed_text(model, answer, appearance)
    if min(cell_len(label), _LABEL_CELLS) + cell_len(whole) + 6 <= width:
        return whole
    if answer is None:
        return ""
    if (speed := answer.decode_tok_s) is None:
        return whole
    known = answer.figures or answer.started
    mark = "+" * (known is not None and known.batch > 1)
    return appearance.say("pane.speed", speed=_marked_rate(model, answer, speed) + mark)


def _marked_rate(model: Model, answer: Answer, speed: float) -> str:
    """A speed, marked where its tokens are estimated, or a service may still tell others, and
    where it was disturbed."""
    is_guess = answer.is_estimated or (answer.is_open and model.engine == "endpoint")
    is_spoilt = answer.figures is not None and answer.figures.contended
    return "~" * is_guess + format_rate(speed) + "*" * is_spoilt


def measured_text(model: Model, appearance: Appearance) -> str:
    """TTFT and speed of the model's standard measure; empty where there is none."""
    told = model.measured
    if told is None or told.ttft_ms is None or told.decode_tok_s is None:
        return ""
    ttft, speed = format_milliseconds(told.ttft_ms), format_rate(told.decode_tok_s)
    mark = "*" * told.contended
    return appearance.say("pane.measured", ttft=ttft + mark, speed=speed + mark)


def pane_header(
    board: Board, model: Model, question: str, appearance: Appearance, width: int, search: str = ""
) -> list[StyledText]:
    """The pieces of a pane's header; sign, label and speed stay, the state's word is what is
    cut. ``search``: what is searched, in the place of the figures."""
    answer = shown_answer(board, model.index, question)
    state = pane_state(model, answer)
    style = _STATE_STYLE.get(state, "")
    name = one_line(model.label)
    right = clip(one_line(search), width // 2)
    right = right or _figures(model, answer, appearance, width, name)
    label = short_label(board, model.index, max(8, width - cell_len(right) - 6))
    room = width - cell_len(label) - cell_len(right) - 7
    words = one_line(state_text(board, model, answer, appearance))
    words = clip(words, room) if room >= min(_WORD_CELLS, cell_len(words)) else ""
    gap = width - cell_len(label) - cell_len(words) - cell_len(right) - 6
    return [
        (f" {STATE_SIGNS.get(state, ' ')} ", style),
        (label, "bold"),
        ("  ", ""),
        (words, style),
        (" " * max(1, gap), ""),
        (right, ""),
    ]
