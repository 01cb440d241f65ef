"""What two models did not have in common, said in the same sentence as their comparison."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tui import board as bd
from tui.options import RunOptions
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.reports.run_tables import describe_cpu, describe_settings
from tui.scoring.glance import is_reuse_apart, reused_share
from tui.scoring.sampling import SAMPLING_SETTINGS
from tui.setting_kinds import declarations
from tui.text.sanitise import collapse_line
from tui.text.width import shorten


class Side(NamedTuple):
    """One of two models that are compared: what it is called there, and its answers to what was
    put to both."""

    column: ModelColumn
    name: str
    answers: Sequence[bd.Answer] = ()


Sides = tuple[Side, Side]
_ASKED = tuple(
    name
    for name, one in declarations(RunOptions).items()
    if one.effect == "answer" and name not in SAMPLING_SETTINGS
)
"""Settings that change answers by something else than how tokens are chosen."""
_LONGEST = 80
"""Code points of settings in a sentence: a system prompt may be a page."""


def describe_caveats(
    a: ModelColumn, b: ModelColumn, merged: MergedSessions, is_timed: bool, say: ReportMessages
) -> str:
    """In words, with a separator in front; empty where both did the same under the same
    conditions. ``is_timed``: also what only changes speeds."""
    both = (a, b)
    one, two = (Side(c, c.label, _common_answers(c, both, merged)) for c in both)
    return describe_sides((one, two), is_timed, say)


def describe_sides(
    both: Sides, is_timed: bool, say: ReportMessages, has_memory: bool = False
) -> str:
    """`describe_caveats` of two models wherever they are from; ``has_memory``: also of what only
    changes how much memory they take."""
    found = [
        _answer_rates(both, say),
        _empty(both, say),
        _cuts(both, say),
        _thinking(both, say),
        _differ("k_sampling", both, lambda c: describe_settings(c.sampling, say), say),
        _asked(both, say),
    ]
    if is_timed:
        found += _places(both, say)
        found += [
            _numbers("k_batches", both, _batch, say),
            _numbers("k_threads", both, _threads, say),
            _reuse(both, say),
        ]
    if has_memory:
        found.append(_conversions(both, say))
    return _beware(found, say)


def describe_memory_caveats(a: ModelColumn, b: ModelColumn, say: ReportMessages) -> str:
    """As `describe_caveats`, of what changes how much memory a model takes: where it ran, how many
    answers it held at once, and whether its file was converted while it loaded."""
    both = Side(a, a.label, a.answers), Side(b, b.label, b.answers)
    found = [*_places(both, say), _numbers("k_batches", both, _batch, say)]
    return _beware([*found, _conversions(both, say)], say)


def _conversions(both: Sides, say: ReportMessages) -> str:
    names = [collapse_line(side.name) for side in both if side.column.was_converted]
    return say("k_converted", models=say("and").join(names)) if names else ""


def _places(both: Sides, say: ReportMessages) -> list[str]:
    found = [
        _different_machines(both, say),
        _differ("k_engines", both, partial(_place_name, say=say), say),
    ]
    if all(_place(side.column) == "recorded" for side in both):
        a, b = (recording_of(side.column) for side in both)
        found += [] if a == b else [say("k_recorded")]
    return found


def _different_machines(both: Sides, say: ReportMessages) -> str:
    """Of the same two machines each may have made other answers."""
    x, y = (machine_of(side.column, say) for side in both)
    if not x or not y or where_measured(both[0].column, say) == where_measured(both[1].column, say):
        return ""
    a, b = _names(both)
    return say("k_machines", a=a, x=x, b=b, y=y)


def recording_of(column: ModelColumn) -> str:
    """Which recording its answers are of; its own key where that is not known."""
    return str(column.parts[0].head.get("session") or column.key)


def where_measured(column: ModelColumn, say: ReportMessages) -> str:
    """What has to be the same where times are compared: the machine, or the recording. A model that
    ran on several machines is like no other."""
    if _place(column) == "recorded":
        return recording_of(column)
    machines = _machines(column, say)
    return column.key if len(machines) > 1 else "".join(machines)


def asked_settings(column: ModelColumn) -> dict[str, Any]:
    """With what a column was asked that changes answers, but for how tokens are chosen (that is
    `ModelColumn.sampling`)."""
    part = column.parts[0]
    settings = part.source.recorded.header.settings_of(part.head)
    return {name: settings.get(name) or None for name in _ASKED}


def _asked(both: Sides, say: ReportMessages) -> str:
    """What only one of them was asked, or both in another way. How tokens were chosen is told
    apart; what an earlier session or a person asked is not known."""
    if not all(_place(side.column) in ("local", "endpoint") for side in both):
        return ""
    asked = [asked_settings(side.column) for side in both]
    differing = [name for name in _ASKED if asked[0][name] != asked[1][name]]
    if not differing:
        return ""
    x, y = (
        shorten(collapse_line(describe_settings({n: one.get(n) for n in differing}, say)), _LONGEST)
        for one in asked
    )
    a, b = _names(both)
    return say("k_asked", a=a, x=x or say("k_unset"), b=b, y=y or say("k_unset"))


def _beware(found: Sequence[str], say: ReportMessages) -> str:
    kept = [text for text in found if text]
    return say("k_beware", what=say("sep").join(kept)) if kept else ""


def _common_answers(
    column: ModelColumn, both: Sequence[ModelColumn], merged: MergedSessions
) -> list[bd.Answer]:
    """A column's answers to the questions that were put to both."""
    return [
        answer
        for row in merged.rows
        if all(row.answers(other) for other in both)
        for answer in row.outcomes(column)
    ]


def _names(both: Sides) -> list[str]:
    return [collapse_line(side.name) for side in both]


def _answer_rates(both: Sides, say: ReportMessages) -> str:
    done = [sum(a.state == "answered" for a in side.answers) for side in both]
    asked = [len(side.answers) for side in both]
    if done == asked:
        return ""
    return say("k_rates", a=f"{done[0]}/{asked[0]}", b=f"{done[1]}/{asked[1]}")


def _empty(both: Sides, say: ReportMessages) -> str:
    return _counted("k_empty", both, lambda answer: answer.is_empty, say)


def _cuts(both: Sides, say: ReportMessages) -> str:
    return _counted("k_cut", both, lambda answer: answer.is_cut, say)


def _counted(
    key: str, both: Sides, is_counted: Callable[[bd.Answer], bool], say: ReportMessages
) -> str:
    counts = [sum(map(is_counted, side.answers)) for side in both]
    if not any(counts):
        return ""
    m, n = (f"{c}/{len(side.answers)}" for c, side in zip(counts, both, strict=True))
    a, b = _names(both)
    return say(key, a=a, m=m, b=b, n=n)


def _thinking(both: Sides, say: ReportMessages) -> str:
    thought = [any(a.reasoning_length for a in side.answers) for side in both]
    if thought[0] == thought[1]:
        return ""
    names = _names(both)
    return say("k_thinking", a=names[thought.index(True)], b=names[thought.index(False)])


def _differ(key: str, both: Sides, fact: Callable[[ModelColumn], str], say: ReportMessages) -> str:
    facts = [collapse_line(fact(side.column)) for side in both]
    if facts[0] == facts[1] or not all(facts):
        return ""
    (a, b), (x, y) = _names(both), facts
    return say(key, a=a, x=x, b=b, y=y)


def machine_of(column: ModelColumn, say: ReportMessages) -> str:
    """The processors that a model ran on; nothing for a service, whose machine nobody knows."""
    return " / ".join(_machines(column, say))


def _machines(column: ModelColumn, say: ReportMessages) -> list[str]:
    if _place(column) != "local":
        return []
    hosts = (host for part in column.parts for host in part.source.board.hosts_of(part.model))
    return sorted({describe_cpu(host.get("cpu", ""), say) for host in hosts})


def _place(column: ModelColumn) -> str:
    return str(column.parts[0].head.get("engine", ""))


def _place_name(column: ModelColumn, say: ReportMessages) -> str:
    key = f"v_engine_{_place(column)}"
    return say(key) if say.knows(key) else _place(column)


def _numbers(key: str, both: Sides, number: Callable[[bd.Answer], int], say: ReportMessages) -> str:
    x, y = (sorted({n for a in side.answers if (n := number(a)) > 0}) for side in both)
    if x == y or not x or not y:
        return ""
    a, b = _names(both)
    return say(key, a=a, x=_listed(x), b=b, y=_listed(y))


def _reuse(both: Sides, say: ReportMessages) -> str:
    """What one side found computed of its prompts, where that is clearly more."""
    told = [[a.figures for a in side.answers if a.figures] for side in both]
    x, y = map(reused_share, told)
    if not all(told) or not is_reuse_apart((x, y)):
        return ""
    a, b = _names(both)
    return say("k_reused", a=a, x=f"{x:.0%}", b=b, y=f"{y:.0%}")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _batch(answer: bd.Answer) -> int:
    return answer.figures.batch if answer.figures else 0


def _threads(answer: bd.Answer) -> int:
    return answer.figures.threads if answer.figures else 0
