"""Real workers under a budget that does not hold them all: by turns, and never past it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support import tiny
from tui.board import fold
from tui.events import RUN, Memory, Unloaded
from tui.host import paths
from tui.sessions import reader
from tui.worker.kernels import build


@pytest.mark.slow
def test_three_models_answer_everything_by_turns_within_the_budget(tmp_path: Path) -> None:
    checkpoint = tiny.write_llama(tmp_path / "tiny", stop=319, num_hidden_layers=8)
    folders = [checkpoint, tmp_path / "second", tmp_path / "third"]
    for copy in folders[1:]:
        shutil.copytree(checkpoint, copy)
    build.variant_name()  # Compilers that run meanwhile would count.
    # The fork server and two workers, of which one leaves; what they share counts for each.
    limit = 1000 << 20
    told = subprocess.run(
        [
            *(sys.executable, "-m", "tui", "run", *[f"{folder}@fp32" for folder in folders]),
            *("--questions", "smoke", "--max-new-tokens", "8", "--greedy"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "DUIBI_MEMORY_LIMIT": str(limit), "OMP_NUM_THREADS": "1"},
        timeout=200,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    (path,) = paths.sessions_dir().glob("*.duibi")
    events = reader.read(path).events
    board = fold(events)
    assert [a.state for a in board.answers.values()] == ["answered"] * 9
    assert "take turns" in board.notes[0].text
    assert any(isinstance(event.body, Unloaded) for event in events)
    seen = [e.body for e in events if isinstance(e.body, Memory) and e.model == RUN]
    assert seen and max(body.used for body in seen) < limit
    assert {body.limit for body in seen} == {limit}
