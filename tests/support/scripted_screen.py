"""``python -m tests.support.scripted_screen``: the live screen over a scripted run.

For tests of keys on a real terminal, without a model. What was asked is printed at the end,
one JSON line a call.
"""

import json

from benchmarks.support.scripted_run import ScriptedRun
from tui import settings
from tui.app.main import show_run

if __name__ == "__main__":
    run = ScriptedRun()
    run.ready(0)
    run.ready(1)
    chosen = settings.load()
    show_run(chosen.screen, run, chosen.sessions_dir)
    for call in run.calls:
        print(json.dumps(call, default=str, ensure_ascii=False))
