"""Asks a person for what stands on the title page of a report."""

import sys
from collections.abc import Mapping

from tui.reports.messages import ReportMessages
from tui.text.sanitise import one_line

ASKED = ("title", "author", "number", "course", "teacher", "date")
"""What is asked for, in order; the rest of `tui.setting_kinds.REPORT_FACTS` is for the settings."""


def ask_facts(known: Mapping[str, str], say: ReportMessages) -> dict[str, str]:
    """What was answered, by name: a line each, read from stdin. An empty line keeps what is
    ``known`` and shown, and the end of stdin leaves the rest as it is."""
    found = {}
    for name in ASKED:
        label = say("v_title" if name == "title" else name).capitalize()
        shown = f" [{known[name]}]" if known.get(name) else ""
        print(one_line(f"{label}{shown}:"), end=" ", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            break
        if text := line.strip():
            found[name] = text
    return found
