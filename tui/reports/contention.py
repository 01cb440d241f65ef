"""Why a figure is contended, in words."""

from tui.metrics import CONTENDERS
from tui.reports.messages import ReportMessages


def describe_contention(by: str, lost: float, say: ReportMessages) -> str:
    """``by`` is one of `tui.metrics.CONTENDERS`, or empty; ``lost`` the share of
    the cores."""
    is_told = by in CONTENDERS and (by != "programs" or lost > 0)
    key = f"contended_{by}" if is_told else "contended"
    return say(key, lost=f"{lost:.0%}")
