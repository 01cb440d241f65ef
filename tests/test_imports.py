"""What may be loaded when: the command line starts without the heavy libraries."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "textual",
    "torch",
    "transformers",
    "modelscope",
    "modelscope_hub",
    "sentencepiece",
    "tiktoken",
    "httpx",
    "numpy",
}


def loaded_after(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_the_command_line_starts_light() -> None:
    assert loaded_after("import tui.cli") & HEAVY == set()


@pytest.mark.parametrize(
    "room", ["board", "settings", "run.conductor", "run.setup", "engines.local", "sessions.reader"]
)
def test_nothing_outside_the_worker_loads_torch_and_nothing_outside_app_textual(room: str) -> None:
    assert loaded_after(f"import tui.{room}") & HEAVY == set()


def test_the_screen_runs_without_torch() -> None:
    assert loaded_after("import tui.app.main, tui.app.app") & (HEAVY - {"textual"}) == set()
