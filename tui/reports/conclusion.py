"""Sentences that sum up the figures, each over common questions and with its certainty."""

from collections.abc import Container, Mapping, Sequence
from itertools import combinations

from tui.reports import evidence
from tui.reports.caveats import describe_caveats, describe_memory_caveats
from tui.reports.certainty import SHARE, STARS, describe_certainty, format_p
from tui.reports.comparable import Glances
from tui.reports.cost_tables import least_memory, show_figure, unit_of
from tui.reports.evidence import Checked
from tui.reports.headlines import (
    CHECKS_TOPIC,
    STARS_TOPIC,
    Topic,
    mean_stars,
    text_speed_topic,
    time_topic,
)
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring import rank
from tui.scoring.costs import METRICS_BY_ID
from tui.scoring.dimensions import Dimension
from tui.scoring.rank import Comparison, Duel, Samples
from tui.text.sanitise import collapse_line
from tui.text.translation import translate

_ALONE = ("e2e", "chars_s", "ttft", "tpot", "load", "ram")
"""Figures that are told of a model without another."""


def build_conclusion(
    merged: MergedSessions,
    glances: Glances,
    checked: Checked,
    votes: Sequence[Duel],
    judged: Mapping[str, Sequence[Duel]],
    unread: Mapping[str, int],
    panel: Sequence[Duel],
    dimensions: Sequence[Dimension],
    say: ReportMessages,
) -> tuple[str, ...]:
    """The sentences: completed answers, speed, memory, checks, stars, votes, judges. ``unread`` are
    how many verdicts of each judge say nothing."""
    found = _completions(merged, say)
    if not any(a.state == "answered" for column in merged.columns for a in column.answers):
        return (*found, say("c_nothing"))
    found += _alone(merged, glances, say)
    found += _speed(merged, say)
    found += _memory(merged, glances, say)
    passed = rank.compare_pairs(rank.pair_models(evidence.check_samples(merged, checked)))
    found += _lead(passed, CHECKS_TOPIC, merged, say)
    found += _stars(merged, dimensions, say)
    found += _duels("c_votes", "c_votes_topic", votes, merged, say)
    for judge, duels in judged.items():
        found += _duels("c_judge", "c_judge_topic", duels, merged, say, judge=judge)
        if not duels and (pairs := unread[judge]):
            found.append(say("c_unread", judge=judge, n=pairs))
    found += _duels("c_panel", "c_panel_topic", panel, merged, say)
    return tuple(found)


def _completions(merged: MergedSessions, say: ReportMessages) -> list[str]:
    """One sentence if every answer is complete and uncut, else one per model."""
    asked = [column for column in merged.columns if column.answers]
    answers = [a for column in asked for a in column.answers]
    said = [_completion(column, merged.under_way, say) for column in asked]
    if asked and all(a.figures and not a.figures.is_cut and not a.is_empty for a in answers):
        key = "c_all" if len(asked) == len(merged.columns) else "c_all_asked"
        key = key if len(asked) > 1 else "c_all_one"
        model = collapse_line(asked[0].label)
        said = [
            say(
                key,
                model=model,
                models=len(asked),
                asked=sum(len(column.outcomes) for column in asked),
            )
        ]
    return said + [_silence(column, say) for column in merged.columns if not column.answers]


def _silence(column: ModelColumn, say: ReportMessages) -> str:
    """Why a model has no answer at all, not even a failed one."""
    failures = [message for part in column.parts for message in part.track.failures]
    model = collapse_line(column.label)
    if not failures:
        return say("c_not_asked", model=model)
    message = collapse_line(translate(failures[-1], say.language)).rstrip(".。")
    return say("c_failed", model=model, message=message)


def _alone(merged: MergedSessions, glances: Glances, say: ReportMessages) -> list[str]:
    """The figures of a model that there is no other to compare with."""
    if len(merged.columns) != 1:
        return []
    (column,) = merged.columns
    figures = glances[column.key].figures
    told = [
        f"{say(name)} {show_figure(figures[name])} {unit_of(METRICS_BY_ID[name], say)}"
        for name in _ALONE
        if figures[name].value is not None
    ]
    stars = evidence.mean_stars(evidence.star_samples(merged).get(column.label, {}))
    told += [f"{say('st_stars')} {stars:.2f}"] if stars is not None else []
    model = collapse_line(column.label)
    return [say("c_alone", model=model, figures=say("sep").join(told))] if told else []


def _completion(column: ModelColumn, under_way: Container[int], say: ReportMessages) -> str:
    answers = [answer for answer in column.outcomes if id(answer) not in under_way]
    done = [a for a in answers if a.state == "answered"]
    failed = sum(a.state == "failed" for a in answers)
    again = len(column.answers) - len(column.outcomes)
    return say(
        "c_done",
        model=collapse_line(column.label),
        done=len(done),
        asked=len(answers),
        cut=sum(a.is_cut for a in done),
        empty=sum(a.is_empty for a in done),
        failed=failed,
        stopped=len(answers) - len(done) - failed,
        again=say("c_again", n=again) if again else "",
    )


def _speed(merged: MergedSessions, say: ReportMessages) -> list[str]:
    times = rank.compare_pairs(evidence.pair_times(merged, evidence.seconds_of))
    speeds = rank.compare_pairs(evidence.pair_times(merged, evidence.text_speed_of))
    return [
        *_lead(times, time_topic(merged), merged, say),
        *_lead(speeds, text_speed_topic(merged), merged, say),
        *_not_timed(times, merged, say),
    ]


def _not_timed(
    times: Sequence[Comparison], merged: MergedSessions, say: ReportMessages
) -> list[str]:
    """Which models that were timed have nothing to be compared with, and why."""
    measured = [
        column
        for column in merged.columns
        if any(a.figures and a.figures.e2e_ms for a in column.answers)
    ]
    compared = {label for c in times for label in (c.left, c.right)}
    left_out = [collapse_line(c.label) for c in measured if c.label not in compared]
    if len(measured) < 2 or not left_out:
        return []
    if not times and (spoilt := _spoilt(merged, say)):
        return spoilt
    return [say("c_untimed", models=say("and").join(left_out))]


def _spoilt(merged: MergedSessions, say: ReportMessages) -> list[str]:
    """Why no times can be compared, if there are some."""
    spoilt = [
        collapse_line(column.label)
        for column in merged.columns
        if any(a.figures and a.figures.contended for a in column.answers)
        and not any(map(evidence.clean_figures, column.answers))
    ]
    return [say("c_contended", models=say("and").join(spoilt))] if spoilt else []


def _memory(merged: MergedSessions, glances: Glances, say: ReportMessages) -> list[str]:
    """Who needs least memory, private and mapped together at their highest, loading included;
    nothing is tested here."""
    order = least_memory(merged.columns, glances)
    if not order:
        return []
    (first, value), (second, other_value), *_ = order
    return [
        say(
            "c_memory",
            model=collapse_line(first.label),
            value=value,
            other=collapse_line(second.label),
            other_value=other_value,
            beware=describe_memory_caveats(first, second, say),
        )
    ]


def _stars(
    merged: MergedSessions, dimensions: Sequence[Dimension], say: ReportMessages
) -> list[str]:
    samples = evidence.star_samples(merged)
    found = rank.compare_pairs(rank.pair_models(samples))
    return [
        *_lead(found, STARS_TOPIC, merged, say),
        *_dimensions(samples, dimensions, say),
    ]


def _lead(
    comparisons: Sequence[Comparison], topic: Topic, merged: MergedSessions, say: ReportMessages
) -> list[str]:
    """The sentence on the two first models, and on a ring if there is one."""
    if not comparisons:
        return []
    # The headline goes by its own values, and the test must bear it out.
    order = topic.rank(comparisons, [column.label for column in merged.columns])
    found = rank.find_comparison(comparisons, order[0], order[1])
    ring = topic.ring(comparisons)
    said = _ring(ring, say(topic.name), say)
    if found is None or order[0] in ring:
        return said
    if topic.gap(found) < 0:
        # Two that led as often as each other.
        found = found.flipped()
    values, gap = topic.headline(found), topic.gap(found)
    doubt = "" if topic.is_borne_out(found) else "contradicted" if gap else "level"
    clear = describe_certainty(found, topic.scale, say, doubt)
    both = merged.labelled(found.left), merged.labelled(found.right)
    return [
        say(
            topic.key if gap else "c_level",
            topic=say(topic.name),
            unit=f" {say(topic.unit)}" if topic.unit else "",
            averaged=say("c_averaged") if topic.is_averaged(found) else "",
            model=collapse_line(found.left),
            value=values[0],
            other=collapse_line(found.right),
            other_value=values[1],
            n=found.n,
            clear=clear + describe_caveats(*both, merged, topic.is_timed, say),
        ),
        *said,
    ]


def _ring(ring: Sequence[str], topic: str, say: ReportMessages) -> list[str]:
    if not ring:
        return []
    names = [collapse_line(label) for label in (*ring, ring[0])]
    return [say("c_ring", topic=topic, ring=" > ".join(names))]


def _dimensions(
    samples: Mapping[str, Samples], dimensions: Sequence[Dimension], say: ReportMessages
) -> list[str]:
    """In which dimensions a difference in stars is clear; all pairs of models in all dimensions
    are corrected together."""
    by_dimension = {
        d: pairs
        for d in dimensions
        if (
            pairs := rank.pair_models(
                {label: evidence.in_dimension(s, d.id) for label, s in samples.items()}
            )
        )
    }
    if len(by_dimension) < 2:
        return []
    tables = rank.compare_tables(by_dimension)
    count = sum(map(len, tables.values()))
    clear = [
        _in_dimension(d.name(say.language), c if c.verdict == "better" else c.flipped(), say)
        for d, found in tables.items()
        for c in found
        if c.verdict in ("better", "worse")
    ]
    if not clear:
        least = min(c.n for found in tables.values() for c in found)
        return [say("c_no_dimension", n=len(tables), count=count, least=least)]
    return [say("c_dimensions", n=len(tables), count=count, clear=say("sep").join(clear))]


def _in_dimension(name: str, found: Comparison, say: ReportMessages) -> str:
    assert found.interval is not None, "a clear difference has one"
    values, (low, high) = mean_stars(found), map(STARS.write, found.interval)
    return say(
        "c_dimension",
        dimension=collapse_line(name),
        model=collapse_line(found.left),
        value=values[0],
        other=collapse_line(found.right),
        other_value=values[1],
        n=found.n,
        low=low,
        high=high,
        p=format_p(found.p),
    )


def _duels(
    key: str,
    name: str,
    duels: Sequence[Duel],
    merged: MergedSessions,
    say: ReportMessages,
    **more: str,
) -> list[str]:
    comparisons = rank.compare_pairs(rank.pair_duels(duels), by_wins=True)
    order = rank.rank_models(comparisons, [column.label for column in merged.columns])
    found: list[str] = []
    for a, b in combinations(order, 2):
        c = rank.find_comparison(comparisons, a, b)
        # All pairs stand in the table: here the first two, and what is clear.
        if c is None or (found and c.verdict not in ("better", "worse")):
            continue
        score = c.score
        clear = describe_certainty(c, SHARE, say)
        both = merged.labelled(a), merged.labelled(b)
        found.append(
            say(
                key,
                model=collapse_line(a),
                other=collapse_line(b),
                wins=score.wins,
                losses=score.losses,
                n=score.n,
                clear=clear + describe_caveats(*both, merged, False, say),
                **more,
            )
        )
    return found + _ring(rank.find_ring(comparisons), say(name, **more), say)
