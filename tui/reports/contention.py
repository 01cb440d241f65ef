"""Why a figure is contended, in words."""

from tui.metrics import known_contender
from tui.reports.messages import ReportMessages


def describe_contention(by: str, lost: float, say: ReportMessages) -> str:
    """``by`` is one of `tui.metrics.CONTENDERS`, or empty; ``lost`` the share of
    the cores."""
    told = known_contender(by, lost)
    key = f"contended_{told}" if told else "contended"
    return say(key, lost=f"{lost:.0%}")
