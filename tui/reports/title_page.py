"""The first page of a report: what a person says of it, or lines to fill in by hand."""

from collections.abc import Mapping

import tui
from tui.reports.document import TitlePage
from tui.reports.merge import MergedSessions
from tui.reports.messages import ReportMessages
from tui.setting_kinds import REPORT_FACTS
from tui.text.sanitise import collapse_line

_ALWAYS = ("course", "author", "number", "teacher", "date")
"""Facts that stand there also where nobody said them."""
_ELSEWHERE = ("title", "abstract")


def build_title_page(
    merged: MergedSessions, facts: Mapping[str, str], say: ReportMessages
) -> TitlePage:
    """The page of these sessions; ``facts`` by the names of `tui.setting_kinds.REPORT_FACTS`, or
    by what a person calls them."""
    days = sorted({source.recorded.header.started[:10] for source in merged.sources})
    known = {name: collapse_line(text) for name, text in facts.items() if text.strip()}
    listed = [
        (say(name), known.get(name, ""))
        for name in REPORT_FACTS
        if name not in _ELSEWHERE and (name in known or name in _ALWAYS)
    ]
    own = [name for name in known if name not in REPORT_FACTS]
    listed += [(collapse_line(name), known[name]) for name in own]
    dates = collapse_line(", ".join(days))
    return TitlePage(
        known.get("title") or _title(merged, say),
        say("made", dates=dates, version=tui.__version__),
        tuple(listed),
    )


def _title(merged: MergedSessions, say: ReportMessages) -> str:
    name = collapse_line(merged.sources[0].recorded.header.title or "duibi")
    key = "title_one" if len(merged.columns) == 1 else "title"
    return say(key, set=name, n=len(merged.columns))
