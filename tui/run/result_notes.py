"""What has to be known of the figures of a run's table, in lines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tui.board import Board, Model
from tui.metrics import STANDARD_NEW_TOKENS, STANDARD_PROMPT_TOKENS
from tui.run.results import charge_of, glances, head_of, newest_answers
from tui.scoring import charges
from tui.scoring.glance import Glance, cache_state, is_apart, is_reuse_apart
from tui.text.units import format_money

DISTURBED_NOTE = "* it did not have its cores for itself"
BATCHED_NOTE = "+ several answers were decoded together; --batch 1 measures single ones"
_CONTENDED = {
    "model": "another model computed",
    "question": "a person's question went first",
    "programs": "other programs took them",
    "threads": "its number of threads changed",
    "stopped": "its process was stopped",
    "suspended": "the machine was suspended",
}


def table_notes(board: Board) -> list[str]:
    """What has to be known of the table's figures, one line each."""
    told_of = glances(board)
    shown = [glance for _, glance in told_of]
    figures = [figure for glance in shown for figure in glance.figures.values()]
    said = ["medians; RAM is private and mapped memory together at their highest, loading included"]
    if measured := [one for glance in shown for one in glance.measured]:
        prompt, new = STANDARD_PROMPT_TOKENS, STANDARD_NEW_TOKENS
        work = f"{prompt} + {new} tokens, one answer at a time"
        told = [f"LOAD to tok/s are of the standard measure ({work})"]
        if any((one.prompt_tokens, one.output_tokens) != (prompt, new) for one in measured):
            told.append("of a slow model fewer tokens")
        said.append("; ".join([*told, "E2E and chars/s are of the answers"]))
    said += _measure_notes(told_of)
    if len(cpus := dict.fromkeys(map(_cpu_text, board.hosts))) > 1:
        said.append(f"not all of it ran on the same processor: {'; '.join(cpus)}")
    if any(glance.is_averaged for glance in shown):
        said.append("of several answers to one question the mean counts, once")
    if any(glance.uncommon for glance in shown) and (n := shown[0].common_questions):
        said.append(
            "times of answers are of the questions that all models answered, undisturbed where "
            f"that can be: {n}"
        )
    if is_apart(shown):
        said.append("no question was answered by all models: times are of each one's own questions")
    timed = [(m.label, one) for m, g in told_of if (one := g.figures["e2e"]).value is not None]
    if is_reuse_apart(figure.reused for _, figure in timed):
        shares = ", ".join(f"{label} {figure.reused:.0%}" for label, figure in timed)
        said.append(
            "prompt tokens that were not computed again, which makes TTFT, E2E and chars/s of "
            f"answers better: {shares}"
        )
    if any(glance.figures["answer_ttft"].n for glance in shown):
        said.append("ANSWER is the time to the first token behind a thought of THOUGHT tokens")
    newest = newest_answers(board)
    if lost := sum(answer.is_all_thought for answer in newest):
        said.append(
            f"answers that were nothing but thought: {lost}; more --max-new-tokens, or "
            "--think-tokens"
        )
    if empty := sum(answer.is_empty for answer in newest):
        said.append(f"answers without any text: {empty}; they count for no E2E and no chars/s")
    said += _sharing_notes(board)
    if any(figure.is_contended for figure in figures):
        said.append(disturbed_note(_contenders(board)))
    said += [note for model in board.models for note in _price_notes(board, model)]
    spent = [charge for model in board.models if (charge := charge_of(board, model))]
    # The lines of a run have the mark also where no figure of the table does; nothing was counted
    # for answers that were pasted.
    asked = [a for a in board.answers.values() if board.models[a.model].engine != "pasted"]
    if any(answer.is_estimated for answer in asked) or any(one.is_estimated for one in spent):
        said.append("~ from an estimated number of tokens")
    if any(figure.batch > 1 for figure in figures):
        said.append(BATCHED_NOTE)
    return said


def _cpu_text(host: Mapping[str, Any]) -> str:
    """The processor of a header; another program may have written anything there."""
    cpu = host.get("cpu")
    return f"{cpu.get('model', '?')} ({cpu.get('cores', '?')})" if isinstance(cpu, dict) else "?"


def _load_note(state: str, names: str) -> str:
    """Where the loads of some models found their files (`tui.scoring.glance.cache_state`)."""
    if state == "cold":
        return f"LOAD read the files from the disk: {names}"
    if state == "warm":
        return f"LOAD found the files in memory: {names}"
    return f"LOAD found the files partly in memory: {names}"


def _measure_notes(told_of: Sequence[tuple[Model, Glance]]) -> list[str]:
    """Where a load found its files, and whose figures are those of its answers, by model."""
    said = []
    for state in ("cold", "warm", "partly"):
        labels = [
            model.label
            for model, glance in told_of
            if state in map(cache_state, glance.file_caches)
        ]
        if labels:
            said.append(_load_note(state, ", ".join(labels)))
    local = [(model, glance) for model, glance in told_of if model.engine == "local"]
    unmeasured = [model.label for model, glance in local if not glance.measured]
    if unmeasured and len(unmeasured) < len(local):
        said.append(f"not measured by itself, all is of its answers: {', '.join(unmeasured)}")
    return said


def _price_notes(board: Board, model: Model) -> list[str]:
    """By which price a model's answers were charged."""
    price = charges.price_of(head_of(board, model))
    if price is None:
        return []
    asked, cached, answered = (
        "" if amount is None else format_money(amount, price.currency)
        for amount in (price.input, price.cached_input, price.output)
    )
    told = f"{asked} ({cached} cached) + {answered}" if cached else f"{asked} + {answered}"
    known = ", ".join(part for part in (price.as_of, price.source) if part)
    source = f" ({known})" if known else ""
    said = [f"{model.label}: {told} per million tokens of prompt and answer{source}"]
    return [*said, f"{model.label}: this price is {price.remark}"] if price.remark else said


def disturbed_note(contenders: Iterable[str]) -> str:
    """What ``*`` behind a figure means, and who had the cores (`tui.metrics.CONTENDERS`)."""
    reasons = [_CONTENDED[by] for by in sorted(contenders) if by in _CONTENDED]
    return "; ".join([DISTURBED_NOTE, *reasons])


def _sharing_notes(board: Board) -> list[str]:
    """Which columns answer with the weights of which model."""
    if board.header is None:
        return []
    held: dict[int, list[str]] = {}
    for number in board.header.columns_that_share:
        owner = board.header.models[number]["weights_of"]
        held.setdefault(owner, []).append(board.models[number].label)
    said = []
    for number, labels in held.items():
        owner_label, names = board.models[number].label, ", ".join(labels)
        if len(labels) > 1:
            said.append(f"{names} use the weights of {owner_label}, in one worker")
        else:
            said.append(f"{names} uses the weights of {owner_label}, in one worker")
    return said


def _contenders(board: Board) -> set[str]:
    """Who had the cores of figures that are contended."""
    found = {a.figures.contended_by for a in board.answers.values() if a.figures}
    for model in board.models:
        found |= {load.contended_by for load in model.loads}
        found |= {measured.contended_by for measured in model.measures}
    return found
