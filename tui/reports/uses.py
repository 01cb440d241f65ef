"""For which use which model: only what a test over questions, or a size, bears out."""

from collections.abc import Mapping, Sequence

from tui.reports import evidence
from tui.reports.caveats import describe_caveats, describe_memory_caveats
from tui.reports.comparable import Glances
from tui.reports.cost_tables import least_memory
from tui.reports.headlines import CHECKS_TOPIC, STARS_TOPIC, VOTES_TOPIC, time_topic
from tui.reports.merge import MergedSessions
from tui.reports.messages import ReportMessages
from tui.scoring import rank
from tui.scoring.rank import Duel
from tui.text.sanitise import collapse_line


def recommend(
    merged: MergedSessions,
    glances: Glances,
    checked: evidence.Checked,
    votes: Sequence[Duel],
    verdicts: Mapping[str, Sequence[Duel]],
    say: ReportMessages,
) -> tuple[str, ...]:
    """A sentence each on quality, speed and memory; that the data do not say is one, too.
    ``verdicts`` are those of each judge."""
    if len(merged.columns) < 2:
        return ()
    answering = [column for column in merged.columns if any(a.has_text for a in column.answers)]
    if not answering:
        return (say("u_none"),)
    if len(answering) == 1:
        return (say("u_alone", model=collapse_line(answering[0].label)),)
    labels = [column.label for column in merged.columns]
    judged = {
        STARS_TOPIC: rank.compare_pairs(rank.pair_models(evidence.star_samples(merged))),
        VOTES_TOPIC: rank.compare_pairs(rank.pair_duels(votes), by_wins=True),
        CHECKS_TOPIC: rank.compare_pairs(rank.pair_models(evidence.check_samples(merged, checked))),
    }
    leaders = {topic.name: topic.clear_leader(found, labels) for topic, found in judged.items()}
    told = [
        say(
            "u_quality",
            model=collapse_line(leader),
            topic=say(topic),
            beware=_beware(leader, labels, merged, False, say),
        )
        for topic, leader in leaders.items()
        if leader
    ]
    told = told or [say("u_quality_open"), *_by_judges(verdicts, merged, say)]
    times = rank.compare_pairs(evidence.pair_times(merged, evidence.seconds_of))
    if fastest := time_topic(merged).clear_leader(times, labels):
        beware = _beware(fastest, labels, merged, True, say)
        told.append(say("u_speed", model=collapse_line(fastest), beware=beware))
    else:
        told.append(say("u_speed_open"))
    return (*told, *_memory(merged, glances, say))


def _by_judges(
    verdicts: Mapping[str, Sequence[Duel]], merged: MergedSessions, say: ReportMessages
) -> list[str]:
    """Where only a judge says who is ahead, that it is a judge."""
    labels = [column.label for column in merged.columns]
    told = []
    for judge, duels in verdicts.items():
        found = rank.compare_pairs(rank.pair_duels(duels), by_wins=True)
        if leader := VOTES_TOPIC.clear_leader(found, labels):
            beware = _beware(leader, labels, merged, False, say)
            model = collapse_line(leader)
            told.append(say("u_quality_judge", judge=judge, model=model, beware=beware))
    return told


def _beware(
    leader: str,
    labels: Sequence[str],
    merged: MergedSessions,
    is_timed: bool,
    say: ReportMessages,
) -> str:
    """What the leader did not have in common with each of the others."""
    mine = merged.labelled(leader)
    others = (merged.labelled(label) for label in labels if label != leader)
    told = (describe_caveats(mine, other, merged, is_timed, say) for other in others)
    return "".join(dict.fromkeys(told))


def _memory(merged: MergedSessions, glances: Glances, say: ReportMessages) -> list[str]:
    order = least_memory(merged.columns, glances)
    if not order:
        return []
    (first, least), *others = order
    told = dict.fromkeys(describe_memory_caveats(first, other, say) for other, _ in others)
    return [say("u_memory", model=collapse_line(first.label), value=least, beware="".join(told))]
