"""The shipped sessions exported again: the same bytes each time, in every text format."""

import os
import subprocess
import sys

PROGRAM = """
from hashlib import sha256
from tui.host import paths
from tui.reports import html, markdown, rows
from tui.reports.asciicast import asciicast_lines
from tui.reports.merge import merge_sessions
from tui.reports.report import build_report
from tui.reports.transcript import render_transcript
from tui.sessions import reader

for path in sorted(paths.bundled("sessions").glob("*.duibi")):
    session = reader.read(path)
    merged = merge_sessions([session])
    made = {
        "csv": rows.to_csv(merged),
        "jsonl": rows.to_jsonl(merged),
        "cast": "\\n".join(asciicast_lines(session.events)),
        "transcript": render_transcript(session.events),
    }
    for lang in ("en", "zh"):
        document = build_report([session], lang)
        made |= {f"{lang}.md": markdown.render(document), f"{lang}.html": html.render(document)}
    for name, text in made.items():
        print(path.name, name, len(text), sha256(text.encode()).hexdigest())
"""


def exported(hash_seed: str) -> list[str]:
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.splitlines()


def test_shipped_sessions_export_to_the_same_bytes_each_time() -> None:
    """Whatever order sets and dictionaries of strings have in a process."""
    once, again = exported("1"), exported("2")
    assert once == again
    assert len(once) >= 2 * 8 and not [line for line in once if line.split()[2] == "0"]
