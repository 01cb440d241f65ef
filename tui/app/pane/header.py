"""The one line above a pane: who it is, how it stands, and how fast it is."""

from rich.cells import cell_len

from tui.app.pane.conversation import loading_text
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
    "failed": "bad",
    "cancelled": "warn",
}


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
    at_work = board.current_answer(model.index)
    if state in ("ready", "answered", "cancelled") and at_work and at_work.is_open:
        ids = [question.id for question in board.questions]
        if at_work.question in ids and (not answer or at_work.id != answer.id):
            return appearance.say("state.elsewhere", number=ids.index(at_work.question) + 1)
    return appearance.say(f"state.{state}")


def speed_text(model: Model, answer: Answer | None, appearance: Appearance) -> str:
    """TTFT and speed of an answer, as far as they are known; ``~`` before a speed says that
    its tokens are estimated, as those of a service are until it has told their number."""
    if answer is None:
        return ""
    ttft, speed = answer.ttft_ms, answer.decode_tok_s
    is_guess = answer.is_estimated or (answer.is_open and model.engine == "endpoint")
    if ttft is None:
        return ""
    if speed is None:
        return appearance.say("pane.ttft", ttft=format_milliseconds(ttft))
    known = answer.figures or answer.started
    name = "pane.ttft_speed_batch" if known and known.batch > 1 else "pane.ttft_speed"
    told = ("~" if is_guess else "") + format_rate(speed)
    return appearance.say(
        name, ttft=format_milliseconds(ttft), speed=told, rows=known.batch if known else 1
    )


def pane_header(
    board: Board, model: Model, question: str, appearance: Appearance, width: int, search: str = ""
) -> list[StyledText]:
    """The pieces of a pane's header; label and figures stay, the state is what is cut.
    ``search``: what is searched, in the place of the figures."""
    answer = shown_answer(board, model.index, question)
    state = pane_state(model, answer)
    right = clip(one_line(search), width // 2) or speed_text(model, answer, appearance)
    label = clip(one_line(model.label), max(8, width - cell_len(right) - 4))
    room = width - cell_len(label) - cell_len(right) - 5
    words = clip(one_line(state_text(board, model, answer, appearance)), room)
    gap = width - cell_len(label) - cell_len(words) - cell_len(right) - 4
    return [
        (" ", ""),
        (label, "bold"),
        ("  ", ""),
        (words, _STATE_STYLE.get(state, "")),
        (" " * max(1, gap), ""),
        (right, ""),
    ]
