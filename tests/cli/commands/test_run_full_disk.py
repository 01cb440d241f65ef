"""`duibi run` into a disk that fills up: every answer comes, and none of it is lost."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tests.support.disks import small_disk
from tui.board import fold
from tui.sessions import reader


def test_all_answers_are_in_another_folder_at_the_end(tmp_path: Path) -> None:
    one = replace(HEADER, models=[{"name": "old", "label": "old"}])
    recorded = write_session(tmp_path / "old", models=1, tokens=60, header=one)
    questions = tmp_path / "two.jsonl"
    questions.write_text(
        '{"id": "q1", "text": "Is water wet?"}\n{"id": "q2", "text": "同济大学在哪里？"}\n'
    )
    with small_disk(64) as disk:
        if disk is None:
            pytest.skip("not allowed to mount")
        (disk / "ballast").write_bytes(b"x" * (56 << 10))
        flags = ("--json", "--questions", str(questions), "--sessions", str(disk))
        done = subprocess.run(
            [sys.executable, "-m", "tui", "run", f"session:{recorded}#old", *flags],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "DUIBI_CACHE_DIR": str(tmp_path / "cache")},
        )
        (left,) = disk.glob("*.duibi")
        assert reader.read(left).verdict == "interrupted", "what fitted is valid"
    assert done.returncode == 0, done.stderr
    assert "No space left on device: the whole session is in" in done.stderr
    (saved,) = (tmp_path / "cache" / "rescued").iterdir()
    reading = reader.read(saved)
    assert reading.verdict == "complete"
    told = [answer.text for answer in fold(reading.events).answers.values()]
    assert told == [answer.text for answer in fold(reader.read(recorded).events).answers.values()]
