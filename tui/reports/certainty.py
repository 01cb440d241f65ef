"""How sure a comparison is, in words: the interval, the p, and what more questions would show."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tui.reports.messages import ReportMessages
from tui.scoring import paired
from tui.scoring.rank import Comparison

_LARGEST_LOG = 700.0
"""Its power of e is still a float."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a difference is written, and how its size is."""

    write: Callable[[float], str]
    write_size: Callable[[float], str]


def ratio_of(log: float) -> float:
    """The ratio whose logarithm this is, no larger and no smaller than a float can be."""
    return math.exp(max(-_LARGEST_LOG, min(_LARGEST_LOG, log)))


def _times(log: float) -> str:
    return f"×{ratio_of(log):.3g}"


STARS = Scale(lambda x: f"{x:+.2f}", lambda x: f"{abs(x):.2f}")
POINTS = Scale(lambda x: f"{x:+.0%}", lambda x: f"{abs(x):.0%}")
RATIO = Scale(_times, lambda x: _times(abs(x)))
SHARE = Scale(lambda x: f"{x:.0%}", lambda x: f"{x:.0%}")


def format_p(p: float) -> str:
    """A p to two digits; never as 0."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.995 else "= 1"


def describe_certainty(
    found: Comparison, scale: Scale, say: ReportMessages, doubt: str = ""
) -> str:
    """The clause after a headline: clear or not, how large, and what would make it clear.

    ``doubt`` is ``contradicted`` where the headline and the test point to different sides, and
    ``level`` where the printed values are equal; then there is no verdict.
    """
    if found.verdict == "few":
        least = paired.least_questions(found.among)
        return say("s_few", n=found.n, least=least, pairs=_pairs(found, say))
    if found.by_wins:
        return _describe_wins(found, say)
    interval = found.interval
    assert interval is not None, "fewer questions would be too few"
    low, high = (scale.write(x) for x in interval)
    key = "s_unclear"
    if found.verdict in ("better", "worse"):
        key = f"s_{doubt or 'clear'}"
    text = say(
        key,
        gap=scale.write(found.gap),
        low=low,
        high=high,
        p=format_p(found.p),
        pairs=_pairs(found, say),
    )
    if key == "s_clear":
        return text
    return say("sep").join(part for part in (text, _outlook(found, scale, say)) if part)


def _pairs(found: Comparison, say: ReportMessages) -> str:
    return say("s_pairs", n=found.among) if found.among > 1 else ""


def _outlook(found: Comparison, scale: Scale, say: ReportMessages) -> str:
    """What this number of questions can show, and how many would show the gap that is seen."""
    if not any(found.gaps):
        return say("s_alike")
    nothing = scale.write_size(0.0)
    reach = paired.half_width(found.deviation, found.n, paired.ALPHA / found.among)
    gap, parts = scale.write_size(found.gap), []
    # What prints as no difference at all says nothing to a reader.
    if (least := scale.write_size(reach)) != nothing:
        parts.append(say("s_reach", n=found.n, reach=least))
    if gap != nothing:
        needed = paired.questions_for_gap(found.gap, found.deviation, found.among)
        parts.append(_needed(needed, found.n, gap, say))
    return say("sep").join(part for part in parts if part)


def _needed(needed: int | None, n: int, gap: str, say: ReportMessages) -> str:
    if needed is None:
        return say("s_never", most=f"{paired.MOST_QUESTIONS:,}", gap=gap)
    return say("s_needed", needed=needed, gap=gap) if needed > n else ""


def _describe_wins(found: Comparison, say: ReportMessages) -> str:
    score = found.score
    decided = score.wins + score.losses
    if score.share is None:
        return say("s_undecided", n=found.n)
    low, high = (SHARE.write(x) for x in score.interval)
    key = "s_clear" if found.verdict in ("better", "worse") else "s_unclear"
    text = say(
        key,
        gap=say("s_share", share=SHARE.write(score.share)),
        low=low,
        high=high,
        p=format_p(found.p),
        pairs=_pairs(found, say),
    )
    if key == "s_clear":
        return text
    wins = paired.wins_needed(decided, found.among)
    parts = [say("s_wins", k=wins, n=decided) if wins else say("s_no_wins", n=decided)]
    # That all were won by one side does not mean that all will be.
    share = min(max(score.share, 0.5 / (decided + 1)), 1 - 0.5 / (decided + 1))
    needed = paired.questions_for_share(share, found.among) if share != 0.5 else 0
    if needed is None or needed > decided:
        parts.append(_needed_decided(needed, SHARE.write(share), say))
    return say("sep").join([text, *parts])


def _needed_decided(needed: int | None, share: str, say: ReportMessages) -> str:
    if needed is None:
        return say("s_never", most=f"{paired.MOST_QUESTIONS:,}", gap=share)
    return say("s_needed_decided", needed=needed, share=share)
