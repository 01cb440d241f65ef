"""The tables of what each model costs."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tui.board import Answer
from tui.metrics import STANDARD_NEW_TOKENS, STANDARD_PROMPT_TOKENS
from tui.reports.caveats import machine_of, where_measured
from tui.reports.comparable import (
    Glances,
    best_of,
    cuts_differ,
    is_uneven,
    markable_figures,
    reuse_differs,
    settings_differ,
)
from tui.reports.contention import describe_contention
from tui.reports.document import Cell, Table, format_count, format_figure
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.reports.run_tables import describe_dtype, model_size
from tui.reports.thread_notes import describe_threads
from tui.scoring.charges import Charge, price_of, sum_charges
from tui.scoring.costs import (
    GB,
    METRICS,
    METRICS_BY_ID,
    Metric,
    Place,
    Spread,
    compute_costs,
)
from tui.scoring.glance import (
    FIGURES,
    Figure,
    Glance,
    cache_state,
    common_answers,
    is_apart,
    take_glance,
)
from tui.text.sanitise import collapse_line
from tui.text.translation import translate
from tui.text.units import format_money

_GROUPS = {"endpoint": "costs_services", "recorded": "costs_recorded", "pasted": ""}
"""The title of the table of a kind of engine that is no local one; empty: it has no costs."""


def build_cost_tables(merged: MergedSessions, glances: Glances, say: ReportMessages) -> list[Table]:
    """The tables at a glance (one line per model; what is computed here, by services, and what was
    recorded earlier apart, as they cannot be compared) and the one with every figure."""
    groups: dict[str, list[ModelColumn]] = {}
    for column in merged.columns:
        groups.setdefault(_place(column), []).append(column)
    pasted = groups.pop("", [])
    found = [
        _glance_table(title, groups[title], glances, say)
        for title in ("costs", "costs_services", "costs_recorded")
        if title in groups
    ]
    found = [
        table for table in (*found, _details_table(merged.columns, glances, say)) if table.rows
    ]
    if found and pasted:
        names = say("and").join(collapse_line(column.label) for column in pasted)
        notes = (*found[0].notes, say("n_pasted", models=names))
        found[0] = replace(found[0], notes=notes)
    return found


def glances_of(merged: MergedSessions) -> dict[str, Glance]:
    """The `Glances` of all columns."""
    answered: list[dict[Place, list[Answer]]] = []
    places: dict[int, Place] = {}
    for column in merged.columns:
        mine: dict[Place, list[Answer]] = {}
        for number, row in enumerate(merged.rows):
            places |= {id(a): (number, a.turn) for a in row.answers(column)}
            for answer in row.scored_answers(column):
                mine.setdefault((number, answer.turn), []).append(answer)
        answered.append(mine)
    common = common_answers(answered)
    return {
        column.key: take_glance(column.loads, column.answers, column.measures, places, common)
        for column in merged.columns
    }


def least_memory(columns: Sequence[ModelColumn], glances: Glances) -> list[tuple[ModelColumn, str]]:
    """The columns whose highest memory is known, with its GB, the least first, those with one
    worker once; empty where the first two cannot be told apart."""
    known = [c for c in columns if glances[c.key].peak.total and not c.shares_weights]
    known.sort(key=lambda column: glances[column.key].peak.total)
    found = [(c, format_figure(glances[c.key].peak.total / GB)) for c in known]
    return found if len(found) > 1 and found[0][1] != found[1][1] else []


def _place(column: ModelColumn) -> str:
    return _GROUPS.get(str(column.parts[0].head.get("engine", "")), "costs")


def unit_of(metric: Metric, say: ReportMessages) -> str:
    """The unit of a figure in words."""
    return say(f"unit_{metric.unit}") if say.knows(f"unit_{metric.unit}") else metric.unit


def _named(metric: Metric, say: ReportMessages) -> str:
    unit = unit_of(metric, say) if metric.unit.startswith("chars") else metric.unit
    return say("of_unit", name=say(metric.id), unit=unit)


def _glance_table(
    title: str,
    columns: Sequence[ModelColumn],
    glances: Glances,
    say: ReportMessages,
) -> Table:
    """Without rows where nothing is known."""
    mine = [glances[column.key] for column in columns]
    # Leave out columns that are empty for every model.
    known = [m for m in FIGURES if any(glance.figures[m].value is not None for glance in mine)]
    best = {m: _best(columns, glances, METRICS_BY_ID[m], say) for m in known}
    rows = []
    for column, glance in zip(columns, mine, strict=True):
        cells = [
            Cell(
                show_figure(glance.figures[m]),
                _glance_detail(m, glance, say),
                best=format_figure(glance.figures[m].value) == best[m],
            )
            for m in known
        ]
        rows.append((Cell(collapse_line(column.label)), Cell(_dtype(column, say)), *cells))
    head = (say("model"), say("dtype"), *(_named(METRICS_BY_ID[m], say) for m in known))
    charges = [charge_of_column(column) for column in columns]
    if not known and not any(charges):
        return Table(say(title), (), ())
    notes = [*_notes(columns, mine, say)]
    if any(charges):
        head = (*head, say("cost_answer"), say("cost_100"))
        rows = [(*row, *cells) for row, cells in zip(rows, _money(charges), strict=True)]
        notes += _price_notes(columns, charges, say)
    return Table(say(title), head, tuple(rows), left=2, notes=tuple(notes))


def charge_of_column(column: ModelColumn) -> Charge | None:
    """The money for the answers of a column; None where a price of it is not known."""
    return sum_charges(
        (
            price_of(part.head),
            [
                answer
                for answer in part.source.board.answers.values()
                if answer.model == part.model.index
            ],
        )
        for part in column.parts
    )


def _money(charges: Sequence[Charge | None]) -> list[tuple[Cell, Cell]]:
    """Of each model the cost of an answer and of 100 questions."""
    known = [charge for charge in charges if charge]
    comparable = len({one.currency for one in known}) == 1 and not any(
        one.is_estimated for one in known
    )
    best = None
    if comparable:
        amounts = [one.per_100_questions for one in known]
        best = best_of(amounts, -1, lambda amount: format_money(amount, known[0].currency))
    return [
        (Cell(format_figure(None)), Cell(format_figure(None)))
        if one is None
        else (
            Cell(money_of(one, one.per_answer)),
            Cell(
                money_of(one, one.per_100_questions),
                best=money_of(one, one.per_100_questions) == best,
            ),
        )
        for one in charges
    ]


def money_of(charge: Charge, amount: float | None) -> str:
    """An amount of a charge, with ``~`` where tokens were estimated."""
    if amount is None:
        return format_figure(None)
    return f"{'~' * charge.is_estimated}{format_money(amount, charge.currency)}"


def _price_notes(
    columns: Sequence[ModelColumn], charges: Sequence[Charge | None], say: ReportMessages
) -> Iterable[str]:
    for column, charge in zip(columns, charges, strict=True):
        for price in charge.prices if charge else ():
            cached = price.input if price.cached_input is None else price.cached_input
            amounts = {"input": price.input, "cached": cached, "output": price.output}
            told = {name: format_money(one, price.currency) for name, one in amounts.items()}
            remark = translate(price.remark, say.language)
            known = ", ".join(one for one in (price.as_of, price.source, remark) if one)
            said = say("n_price", model=collapse_line(column.label), **told)
            yield f"{said} ({collapse_line(known)})" if known else said


def show_figure(figure: Figure) -> str:
    """A figure with its marks: ``~`` estimated, ``*`` contended, ``+`` of a batch."""
    if figure.value is None:
        return format_figure(None)
    marks = "*" * figure.is_contended + "+" * (figure.batch > 1)
    return f"{'~' * figure.is_estimated}{format_figure(figure.value)}{marks}"


def _glance_detail(metric: str, glance: Glance, say: ReportMessages) -> str:
    if metric == "load":
        states = ((cache_state(share), share) for share in glance.file_caches)
        told = (say(state, share=f"{share:.0%}") for state, share in states if state)
        return " / ".join(dict.fromkeys(told))
    peaks = {"ram": glance.peak, "load_ram": glance.load_peak}
    if (peak := peaks.get(metric)) and peak.total:
        return f"{format_figure(peak.private / GB)} + {format_figure(peak.mapped / GB)}"
    return ""


def _notes(
    columns: Sequence[ModelColumn],
    glances: Sequence[Glance],
    say: ReportMessages,
) -> Iterable[str]:
    """What has to be known of a table's figures."""
    figures = [figure for glance in glances for figure in glance.figures.values()]
    measured = [glance.measured[-1] for glance in glances if glance.measured]
    if measured:
        yield say("n_standard", prompt=STANDARD_PROMPT_TOKENS, new=STANDARD_NEW_TOKENS)
    for column, glance in zip(columns, glances, strict=True):
        if glance.measured:
            told = glance.measured[-1]
            tokens = told.prompt_tokens, told.output_tokens
            if min(tokens) > 0 and tokens != (STANDARD_PROMPT_TOKENS, STANDARD_NEW_TOKENS):
                yield say(
                    "n_fewer",
                    model=collapse_line(column.label),
                    prompt=tokens[0],
                    new=tokens[1],
                )
        elif measured:
            yield say("n_not_measured", model=collapse_line(column.label))
    if any(figure.value is not None for glance in glances for figure in [glance.figures["ram"]]):
        yield say("n_ram")
    if converted := [collapse_line(c.label) for c in columns if c.was_converted]:
        yield say("n_converted", models=say("and").join(converted))
    if shared := [collapse_line(column.label) for column in columns if column.shares_weights]:
        yield say("n_shared", models=say("sep").join(shared))
    if not measured and any(_place(column) == "costs_services" for column in columns):
        yield say("n_services")
    timed = [METRICS_BY_ID[m] for m in FIGURES if METRICS_BY_ID[m].is_timed]
    if any(
        len({g.figures[m.id].threads for g in glances} - {frozenset()}) > 1
        for m in timed
        if m.id != "load"
    ):
        yield say("n_threads")
    yield from describe_threads(columns, glances, say)
    if any(glance.is_averaged for glance in glances):
        yield say("n_averaged")
    if more := [c for c, glance in zip(columns, glances, strict=True) if glance.uncommon]:
        names = say("and").join(collapse_line(c.label) for c in more)
        yield say("n_common", n=glances[0].common_questions, models=names)
    if is_apart(glances):
        yield say("n_apart")
    # Where earlier sessions were recorded nobody knows: the title says so.
    local = [column for column in columns if machine_of(column, say)]
    if len({where_measured(column, say) for column in local}) > 1:
        yield say("n_machines")
    if any(is_uneven([g.figures[m.id] for g in glances], m) for m in timed):
        yield say("n_unequal")
    if any(reuse_differs([g.figures[m.id] for g in glances], m) for m in timed):
        yield say("n_reused", told=say("sep").join(_reuse_of(columns, glances)))
    if settings_differ(columns, glances):
        yield say("n_settings")
    if cuts_differ(columns, glances):
        yield say("n_cuts")
    if any(figure.is_estimated for figure in figures):
        yield f"~{say('colon')}{say('estimate')}"
    if any(figure.is_contended for figure in figures):
        yield f"*{say('colon')}{say('sep').join(_reasons(columns, say))}"
    if batch := max((figure.batch for figure in figures), default=1) - 1:
        yield f"+{say('colon')}{say('batched', n=batch + 1)}"


def _reuse_of(columns: Sequence[ModelColumn], glances: Sequence[Glance]) -> Iterable[str]:
    """What each model found computed of its prompts."""
    for column, glance in zip(columns, glances, strict=True):
        if (figure := glance.figures["e2e"]).value is not None:
            yield f"{collapse_line(column.label)} {figure.reused:.0%}"


def _reasons(columns: Sequence[ModelColumn], say: ReportMessages) -> list[str]:
    """Why figures are contended, each reason once, with the most that was lost to it."""
    lost: dict[str, float] = {}
    for column in columns:
        told: list[tuple[str, float]] = [
            (m.contended_by, m.lost) for m in column.measures if m.contended
        ]
        told += [(load.contended_by, 0.0) for load in column.loads if load.contended]
        seen = (answer.figures for answer in column.answers)
        told += [(f.contended_by, f.lost) for f in seen if f is not None and f.contended]
        for by, share in told:
            lost[by] = max(lost.get(by, 0.0), share)
    said = [
        say("at_worst", what=told) if by == "programs" and share else told
        for by, share in sorted(lost.items())
        for told in [describe_contention(by, share, say)]
    ]
    # Nothing can be told of an unknown one.
    return list(dict.fromkeys(said))


def _best(
    columns: Sequence[ModelColumn], glances: Glances, metric: Metric, say: ReportMessages
) -> str | None:
    """The best as it is printed; None where figures cannot be compared, or print the same."""
    found = markable_figures(columns, glances, metric, say)
    return best_of([figure.value for figure in found.values()], metric.direction)


def _details_table(columns: Sequence[ModelColumn], glances: Glances, say: ReportMessages) -> Table:
    told = ((c, glances[c.key]) for c in columns)
    costs = [compute_costs(c.loads, c.answers, g.places, g.common) for c, g in told]
    rows = []
    for metric in METRICS:
        name = _named(metric, say)
        standard = [_of_measure(glances[c.key], metric, say) for c in columns]
        if any(standard):
            cells = (cell or Cell(format_figure(None)) for cell in standard)
            rows.append((Cell(name, say("of_measure")), *cells))
        spreads = [of_column[metric.id] for of_column in costs]
        if any(spread.n for spread in spreads):
            detail = say("of_answers") if any(standard) else ""
            rows.append((Cell(name, detail), *(_spread(metric, s, say) for s in spreads)))
    head = (say("figure"), *(collapse_line(column.label) for column in columns))
    return Table(say("details"), head, tuple(rows))


def _of_measure(glance: Glance, metric: Metric, say: ReportMessages) -> Cell | None:
    """A figure of the standard measure; None where it has none, or is one of loading."""
    figure = glance.figures.get(metric.id)
    if figure is None or not figure.is_standard or metric.id == "load":
        return None
    rounds = glance.measured[-1].rounds
    return Cell(show_figure(figure), say("of_rounds" if rounds > 1 else "of_round", n=rounds))


def _spread(metric: Metric, spread: Spread, say: ReportMessages) -> Cell:
    details = []
    if spread.n:
        n = str(spread.n)
        if spread.answers > spread.n:
            n = say("of_n_answers", n=n, answers=spread.answers)
        details.append(f"{_value(metric, spread.low)}–{_value(metric, spread.high)}, n {n}")
    if spread.batched:
        details.append(say("of_batches", n=spread.batched))
    if spread.contended:
        details.append(say("left_out", n=spread.contended))
    if spread.estimated:
        details.append(say("estimated", n=spread.estimated))
    about, mark = "~" * bool(spread.estimated), "*" * spread.is_contended
    return Cell(f"{about}{_value(metric, spread.median)}{mark}", say("sep").join(details))


def _value(metric: Metric, value: float | None) -> str:
    """Counts are shown whole, everything else to three digits."""
    return format_count(value) if metric.unit in ("tok", "chars") else format_figure(value)


def _dtype(column: ModelColumn, say: ReportMessages) -> str:
    return collapse_line(describe_dtype(model_size(column).dtype, say))
