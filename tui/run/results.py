"""What came of a run: an exit code, a JSON document, a table (its notes: `result_notes`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tui.board import Answer, Board, Model
from tui.engines.base import EXIT_CODES
from tui.engines.errors import CAUSES
from tui.host.errors import EXIT_BUDGET, EXIT_FAILED
from tui.prices import Price
from tui.run import budget
from tui.scoring import charges
from tui.scoring.costs import GB, METRICS_BY_ID, Place
from tui.scoring.glance import (
    Figure,
    Glance,
    common_answers,
    take_glance,
)
from tui.scoring.sampling import sampling_of
from tui.text.units import format_money

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
    code of that kind: 2 configuration, 3 network or provider, 4 memory; 5 if some were not asked
    for want of money."""
    failed = [answer for answer in newest_answers(board) if answer.state != "answered"]
    if not failed:
        return 0
    if any(answer.failure and answer.failure.cause == budget.CAUSE for answer in failed):
        return EXIT_BUDGET
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
        "resumed_on": board.hosts[1:],
        "settings": header.settings if header else {},
        "models": [_model(board, model, glance) for model, glance in glances(board)],
    }


Row = tuple[str, ...]


def figure_tables(board: Board) -> list[list[Row]]:
    """The figures as tables, each a head and one row per model: what is computed here, by services,
    and what was recorded earlier or pasted apart, as they cannot be compared. Medians over
    questions; the first figures are those of the standard measure, where there is one
    (`tui.scoring.glance`)."""
    groups: dict[str, list[tuple[Model, Glance]]] = {}
    for model, glance in glances(board):
        place = model.engine if model.engine in _PLACES else ""
        groups.setdefault(place, []).append((model, glance))
    return [
        _figure_table(board, title, groups[place], is_local=not place)
        for place, title in _PLACES.items()
        if place in groups
    ]


_PLACES = {"": "MODEL", "endpoint": "SERVICE", "recorded": "RECORDED", "pasted": "PASTED"}
"""The head of a table by the kind of engine, "" for what is computed here."""


def _figure_table(
    board: Board, title: str, told: Sequence[tuple[Model, Glance]], is_local: bool
) -> list[Row]:
    """Of what is computed elsewhere only the columns in which something is known."""
    charges = [charge_of(board, model) for model, _ in told]
    shown = {
        name: column
        for name, column in _COLUMNS.items()
        if name not in _OF_THOUGHTS or any(one.figures[name].n for _, one in told)
    }
    figures = tuple(title for title, _ in shown.values())
    head = (title, "ANSWERS", *figures, "RAM GB", "PRIVATE+MAPPED")
    digits = {name: count for name, (_, count) in shown.items()}
    rows = [head, *(_row(board, model, glance, digits) for model, glance in told)]
    if not is_local:
        kept = [n for n in range(len(head)) if n < 2 or any(row[n] != "-" for row in rows[1:])]
        rows = [tuple(row[n] for n in kept) for row in rows]
    if any(charges):
        money = [MONEY_HEAD, *map(_money, charges)]
        rows = [(*row, *cells) for row, cells in zip(rows, money, strict=True)]
    return rows


_COLUMNS = {
    "load": ("LOAD s", 1),
    "ttft": ("TTFT ms", 0),
    "thought": ("THOUGHT tok", 0),
    "answer_ttft": ("ANSWER ms", 0),
    "prefill": ("PREFILL tok/s", 1),
    "tpot": ("ms/tok", 1),
    "decode": ("tok/s", 1),
    "e2e": ("E2E s", 1),
    "chars_s": ("chars/s", 1),
}
"""Figures of the table with their heads and digits after the point."""
_OF_THOUGHTS = ("thought", "answer_ttft")
"""Shown where a model thought before it answered."""
MONEY_HEAD = ("COST", "COST/ANSWER", "COST/100 QUESTIONS")


def charge_of(board: Board, model: Model) -> charges.Charge | None:
    """The money for a model's answers, every one of them; None where its price is not known."""
    price = charges.price_of(head_of(board, model))
    mine = [answer for answer in board.answers.values() if answer.model == model.index]
    return charges.sum_charges([(price, mine)])


def head_of(board: Board, model: Model) -> dict[str, Any]:
    """What the header tells of a model; empty without one."""
    return board.header.models[model.index] if board.header else {}


def _money(charge: charges.Charge | None) -> tuple[str, ...]:
    """A row's cells of `MONEY_HEAD`."""
    if charge is None:
        return ("-",) * len(MONEY_HEAD)
    about = "~" * charge.is_estimated
    amounts = (charge.total, charge.per_answer, charge.per_100_questions)
    return tuple(
        "-" if one is None else f"{about}{format_money(one, charge.currency)}" for one in amounts
    )


def glances(board: Board) -> list[tuple[Model, Glance]]:
    """Each model with the figures that stand for it."""
    answered: list[dict[Place, list[Answer]]] = [{} for _ in board.models]
    places: dict[int, Place] = {id(a): (a.question, a.turn) for a in board.answers.values()}
    for answer in filter(board.is_scored, board.answers.values()):
        answered[answer.model].setdefault(places[id(answer)], []).append(answer)
    common = common_answers(answered)
    found = []
    for model in board.models:
        measured = [model.measured] if model.measured else []
        mine = [answer for answer in board.answers.values() if answer.model == model.index]
        found.append((model, take_glance(model.loads, mine, measured, places, common)))
    return found


def _model(board: Board, model: Model, glance: Glance) -> dict[str, Any]:
    given = head_of(board, model)
    charge = charge_of(board, model)
    loaded = model.loaded
    return {
        "name": model.name,
        "label": model.label,
        "dtype": loaded.dtype if loaded and loaded.dtype else given.get("dtype", ""),
        "family": loaded.family if loaded and loaded.family else given.get("family", ""),
        "stored": loaded.stored if loaded else "",
        "mixture": given.get("mixture", ""),
        "licence": given.get("licence", ""),
        "settings": given.get("settings", {}),
        "sampling": _sampling(board, model),
        "weights_of": given.get("weights_of"),
        "parameters": (loaded.parameters if loaded else 0) or given.get("parameters", 0),
        "checkpoint_bytes": (loaded.checkpoint_bytes if loaded else 0)
        or given.get("checkpoint_bytes", 0),
        "load_s": loaded.load_s if loaded else None,
        "load_contended": loaded.contended if loaded else None,
        "peak_ram_bytes": glance.peak.total,
        "peak_private_bytes": glance.peak.private,
        "peak_mapped_bytes": glance.peak.mapped,
        "loading_peak_bytes": glance.load_peak.total,
        **_figures(model, glance),
        "price": given.get("price"),
        "cost": charge.to_json() if charge else None,
        "error": model.failure.message if model.failure else None,
        "answers": [
            _answer(a, charges.price_of(given))
            for a in newest_answers(board)
            if a.model == model.index
        ],
    }


def model_figures(board: Board) -> list[dict[str, Any]]:
    """Of each model of a session its standard measure and the figures that stand for it, as in
    `json_document`."""
    return [{"model": m.label, **_figures(m, glance)} for m, glance in glances(board)]


def _figures(model: Model, glance: Glance) -> dict[str, Any]:
    return {
        "measured": asdict(model.measured) if model.measured else None,
        "figures": {name: _figure_json(name, one) for name, one in glance.figures.items()},
    }


def _sampling(board: Board, model: Model) -> dict[str, Any]:
    own = model.loaded.sampling if model.loaded else {}
    return sampling_of(board.header.settings_of(head_of(board, model)), own) if board.header else {}


def _figure_json(name: str, figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.value,
        "unit": METRICS_BY_ID[name].unit,
        "n": figure.n,
        "standard_measure": figure.is_standard,
        "contended": figure.is_contended,
        "estimated": figure.is_estimated,
        "batch": figure.batch,
        "threads": sorted(figure.threads),
        "reused_share": figure.reused,
    }


def _answer(answer: Answer, price: Price | None) -> dict[str, Any]:
    figures = answer.figures
    names = (
        *("prompt_tokens", "output_tokens", "token_source", "ttft_ms", "tpot_ms", "e2e_ms"),
        *("prefill_tok_s", "decode_tok_s", "chars_s", "threads", "contended"),
        *("batch", "guessed", "accepted", "reused", "waited_ms", "lost", "contended_by"),
        *("answer_ttft_ms", "thought_tokens", "thought_cut"),
    )
    return {
        "question": answer.question,
        "turn": answer.turn,
        "repeat": answer.repeat,
        "prompt": answer.prompt,
        "text": answer.text,
        "reasoning": "".join(answer.reasoning),
        "all_thought": answer.is_all_thought,
        "state": answer.state,
        "finish_reason": figures.finish if figures else None,
        **{name: getattr(figures, name) if figures else None for name in names},
        **charges.to_row(answer, price),
        "error": answer.failure.message if answer.failure else None,
        "cause": answer.failure.cause if answer.failure else None,
    }


def _row(board: Board, model: Model, glance: Glance, digits: Mapping[str, int]) -> tuple[str, ...]:
    mine = [answer for answer in newest_answers(board) if answer.model == model.index]
    done = sum(answer.figures is not None for answer in mine)
    peak = glance.peak
    return (
        model.label,
        f"{done}/{len(mine)}",
        *(_figure(glance.figures[name], count) for name, count in digits.items()),
        f"{peak.total / GB:.2f}" if peak.total else "-",
        f"{peak.private / GB:.2f}+{peak.mapped / GB:.2f}" if peak.total else "-",
    )


def _figure(figure: Figure, digits: int) -> str:
    """A figure with its marks: ``~`` estimated, ``*`` contended, ``+`` of a batch."""
    if figure.value is None:
        return "-"
    marks = "*" * figure.is_contended + "+" * (figure.batch > 1)
    return f"{'~' * figure.is_estimated}{figure.value:.{digits}f}{marks}"
