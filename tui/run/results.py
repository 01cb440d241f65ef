"""What came of a run: an exit code, a JSON document, a table."""

from typing import Any

from tui.board import Answer, Board, Model
from tui.engines.base import EXIT_CODES
from tui.engines.errors import CAUSES
from tui.events import Loaded
from tui.host.errors import EXIT_FAILED

_EXIT_CODES = EXIT_CODES | {word: cause.exit_code for word, cause in CAUSES.items()}


def newest_answers(board: Board) -> list[Answer]:
    """The newest answer of each turn of each conversation, in the order first asked."""
    newest = {
        (answer.model, answer.question, answer.turn, answer.repeat): answer
        for answer in board.answers.values()
    }
    return list(newest.values())


def exit_code(board: Board) -> int:
    """0 if every answer is there, 1 if some failed; if all did for reasons of one kind, the
    code of that kind: 2 configuration, 3 network or provider, 4 memory."""
    failed = [answer for answer in newest_answers(board) if answer.state != "answered"]
    if not failed:
        return 0
    if len(failed) == len(newest_answers(board)):
        causes = {answer.failure.cause if answer.failure else "" for answer in failed}
        codes = {_EXIT_CODES.get(cause, EXIT_FAILED) for cause in causes}
        return codes.pop() if len(codes) == 1 else EXIT_FAILED
    return EXIT_FAILED


def json_document(board: Board, session: str, saved: bool = True) -> dict[str, Any]:
    """The JSON document of a run: how it ended, per model its costs, per answer its figures.
    ``saved``: whether all of it is in the file ``session``."""
    header = board.header
    return {
        "session": session,
        "saved": saved,
        "started": header.started if header else "",
        "program": header.program if header else "",
        "status": board.end.status if board.end else "",
        "question_set": header.questions.get("name", "") if header else "",
        "host": header.host if header else {},
        "settings": header.settings if header else {},
        "models": [_model(board, model) for model in board.models],
    }


def table_rows(board: Board) -> list[tuple[str, ...]]:
    """The figures as a table: a head and one row per model, over its answers."""
    head = ("MODEL", "ANSWERS", "LOAD s", "TTFT ms", "tok/s", "chars/s", "E2E s", "RAM GB")
    return [head, *(_row(board, model) for model in board.models)]


def _model(board: Board, model: Model) -> dict[str, Any]:
    given = board.header.models[model.index] if board.header else {}
    loaded = model.loaded
    return {
        "name": model.name,
        "label": model.label,
        "dtype": loaded.dtype if loaded and loaded.dtype else given.get("dtype", ""),
        "family": loaded.family if loaded and loaded.family else given.get("family", ""),
        "parameters": (loaded.parameters if loaded else 0) or given.get("parameters", 0),
        "checkpoint_bytes": (loaded.checkpoint_bytes if loaded else 0)
        or given.get("checkpoint_bytes", 0),
        "load_s": loaded.load_s if loaded else None,
        "load_contended": loaded.contended if loaded else None,
        "peak_ram_bytes": _peak(board, model),
        "error": model.failure.message if model.failure else None,
        "answers": [_answer(a) for a in newest_answers(board) if a.model == model.index],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    figures = answer.figures
    names = (
        *("prompt_tokens", "output_tokens", "token_source", "ttft_ms", "tpot_ms", "e2e_ms"),
        *("prefill_tok_s", "decode_tok_s", "chars_s", "threads", "contended"),
        *("batch", "guessed", "accepted", "reused"),
    )
    return {
        "question": answer.question,
        "turn": answer.turn,
        "repeat": answer.repeat,
        "prompt": answer.prompt,
        "text": answer.text,
        "state": answer.state,
        "finish_reason": figures.finish if figures else None,
        **{name: getattr(figures, name) if figures else None for name in names},
        "error": answer.failure.message if answer.failure else None,
        "cause": answer.failure.cause if answer.failure else None,
    }


def _row(board: Board, model: Model) -> tuple[str, ...]:
    mine = [answer for answer in newest_answers(board) if answer.model == model.index]
    figures = [answer.figures for answer in mine if answer.figures]
    # A speed measured while another model computed says nothing about this one.
    clean = [f for f in figures if not f.contended]
    mark = "" if clean or not figures else "*"
    if any(f.batch > 1 for f in clean or figures):
        mark += "+"
    guess = "~" if any(f.token_source == "estimate" for f in clean or figures) else ""

    def mean(name: str, scale: float = 1, digits: int = 1) -> str:
        values = [v for f in clean or figures if (v := getattr(f, name)) is not None]
        return f"{sum(values) / len(values) / scale:.{digits}f}{mark}" if values else "-"

    speed, peak = mean("decode_tok_s"), _peak(board, model)
    return (
        model.label,
        f"{len(figures)}/{len(mine)}",
        _load(model.loaded),
        mean("ttft_ms", digits=0),
        guess * (speed != "-") + speed,
        mean("chars_s"),
        mean("e2e_ms", 1000),
        f"{peak / 1e9:.2f}" if peak else "-",
    )


def _load(loaded: Loaded | None) -> str:
    if loaded is None or not loaded.load_s:
        return "-"
    return f"{loaded.load_s:.1f}" + "*" * loaded.contended


def _peak(board: Board, model: Model) -> int:
    seen = [a.figures for a in board.answers.values() if a.model == model.index and a.figures]
    peaks = [f.peak_private + f.peak_mapped for f in seen]
    if model.loaded:
        peaks.append(model.loaded.private + model.loaded.mapped)
    return max([*peaks, model.private + model.mapped], default=0)
