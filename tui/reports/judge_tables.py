"""The tables of judges, each with what limits how far it can be trusted."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import median

from tui import events as ev
from tui.board import Answer
from tui.board.judgements import LEFT, RIGHT, agreed, read_verdicts
from tui.reports import evidence
from tui.reports.certainty import SHARE
from tui.reports.document import Table
from tui.reports.evidence import JudgeKey, JudgeVerdicts
from tui.reports.merge import MergedSessions
from tui.reports.messages import ReportMessages
from tui.reports.run_tables import model_size
from tui.reports.score_tables import duel_table
from tui.scoring import rank
from tui.scoring.agreement import compute_agreement, correct_share
from tui.scoring.dimensions import dimension_name
from tui.scoring.judge import is_flipped
from tui.scoring.plain_text import count_markdown
from tui.scoring.rank import Duel
from tui.text.sanitise import collapse_line

_MAX_LISTED = 20


def judge_name(key: JudgeKey, say: ReportMessages) -> str:
    """A judge's name, with how it was shown the answers."""
    name = collapse_line(key.judge)
    return say("judge_plain", judge=name) if key.plain_text else name


def judge_tables(
    merged: MergedSessions,
    by_judge: Mapping[JudgeKey, JudgeVerdicts],
    judged: Mapping[str, Sequence[Duel]],
    panel: Sequence[Duel],
    say: ReportMessages,
) -> list[Table]:
    """One table per judge, and one of the panel where there are several; ``judged`` are the
    verdicts as duels by `judge_name`, ``panel`` those of the panel."""
    tables = []
    for key, found in by_judge.items():
        name = judge_name(key, say)
        title = say("judged", judge=name)
        table = duel_table(title, judged[name], merged, say)
        table = table or Table(title, (), ())
        notes = tuple(note for note in _notes(key, found, merged, say) if note)
        tables.append(Table(table.title, table.head, table.rows, table.left, notes))
    title = say("panel", n=len(evidence.panel_of(by_judge)))
    if panel and (table := duel_table(title, panel, merged, say)):
        tables.append(table)
    return tables


def _notes(
    key: JudgeKey, found: JudgeVerdicts, merged: MergedSessions, say: ReportMessages
) -> Iterator[str]:
    events = [event for _, event in found]
    readable = [(source, j) for source, j in found if j.choice != "none"]
    flips = [(s, j) for s, j in readable if is_flipped(read_verdicts(j.verdicts))]
    if not readable:
        yield say("none_readable", n=len(events))
        return
    yield say(
        "flips",
        flips=len(flips),
        n=len(readable),
        rate=SHARE.write(len(flips) / len(readable)),
        unread=len(events) - len(readable),
    )
    yield _style_note(found, merged, say)
    if flips:
        yield say("flipped_list", pairs=say("sep").join(_listed(flips, merged, say)))
    yield _dimension_note(found, merged, say)
    yield _agreement_note(found, merged, say)
    yield from _corrected_notes(found, merged, say)
    kin = {
        column.label: model_size(column).family
        for source, j in found
        if j.same_family
        for answer in _answers(merged, source, j)
        if (column := merged.column_of(source, answer.model))
    }
    if kin:
        models = say("and").join(sorted(collapse_line(label) for label in kin))
        # A verdict tells that one of both is kin, and not which.
        told = "same_family" if len(set(kin.values())) == 1 else "same_family_one"
        yield say(told, judge=collapse_line(key.judge), models=models)


def _answers(merged: MergedSessions, source: int, j: ev.Judged) -> list[Answer]:
    answers = merged.sources[source].board.answers
    return [answers[id_] for id_ in (j.left, j.right) if id_ in answers]


def _style_note(found: JudgeVerdicts, merged: MergedSessions, say: ReportMessages) -> str:
    """How much longer and how much more formatted the preferred answers are."""
    chars, marks = [], []
    for source, j in found:
        both = _answers(merged, source, j)
        if j.choice in (LEFT, RIGHT) and len(both) == 2:
            better, worse = both if j.choice == LEFT else both[::-1]
            chars.append(len(better.text) - len(worse.text))
            marks.append(count_markdown(better.text) - count_markdown(worse.text))
    if not chars:
        return ""
    return say(
        "style",
        n=len(chars),
        length=f"{median(chars):+.0f}",
        longer=sum(gap > 0 for gap in chars),
        markdown=f"{median(marks):+.0f}",
        more=sum(gap > 0 for gap in marks),
    )


def _listed(flips: JudgeVerdicts, merged: MergedSessions, say: ReportMessages) -> list[str]:
    places = evidence.places_of(merged)
    found = []
    for source, j in flips:
        both = [places.get((source, id_)) for id_ in (j.left, j.right)]
        if all(both):
            names = [collapse_line(place[1].label) for place in both if place]
            number = next(int(place[0]) + 1 for place in both if place)
            found.append(say("flipped", number=number, left=names[0], right=names[1]))
    more = len(found) - _MAX_LISTED
    return found[:_MAX_LISTED] + ([say("and_more", n=more)] if more > 0 else [])


def _dimension_note(found: JudgeVerdicts, merged: MergedSessions, say: ReportMessages) -> str:
    """Who won each dimension how often, over both orders and once a question."""
    parts = []
    ids = dict.fromkeys(id_ for _, j in found for id_ in j.dimensions)
    for id_ in ids:
        duels = evidence.judge_duels(merged, found, partial(_choice_in, id_))
        comparisons = rank.compare_pairs(rank.pair_duels(duels), by_wins=True)
        for c in comparisons:
            name = collapse_line(dimension_name(id_, say.language))
            wins, losses = c.score.wins, c.score.losses
            names = collapse_line(c.left), collapse_line(c.right)
            parts.append(f"{name} {names[0]} {wins} : {losses} {names[1]}")
    return say("by_dimension", parts=say("sep").join(parts)) if parts else ""


def _choice_in(dimension: str, event: ev.Judged) -> str:
    return agreed(read_verdicts(event.dimensions.get(dimension)))


def _agreement_note(found: JudgeVerdicts, merged: MergedSessions, say: ReportMessages) -> str:
    a = compute_agreement(
        (source.board, [j for index, j in found if index == source.index])
        for source in merged.sources
    )
    if not a.n:
        return ""
    kappa = "–" if a.kappa is None else f"{a.kappa:.2f}"
    return say("agreement", n=a.n, same=a.same, opposite=a.opposite, kappa=kappa)


def _corrected_notes(
    found: JudgeVerdicts, merged: MergedSessions, say: ReportMessages
) -> Iterator[str]:
    judge = rank.pair_duels(evidence.judge_duels(merged, found))
    people = rank.pair_duels(evidence.people_duels(merged, found))
    for (a, b), points in judge.items():
        said = people.get((a, b)) or {q: (y, x) for q, (x, y) in people.get((b, a), {}).items()}
        if corrected := correct_share(points, said):
            low, high = (SHARE.write(x) for x in corrected.interval)
            yield say(
                "corrected",
                a=collapse_line(a),
                b=collapse_line(b),
                share=SHARE.write(corrected.share),
                low=low,
                high=high,
                n=corrected.n,
            )
