"""`duibi run` into a disk that fills up: every answer comes, and none of it is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tests.support.disks import small_disk
from tui.board import fold
from tui.cli import run_command_line
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


def test_what_could_not_be_saved_anywhere_is_no_success(
    limited: Callable[[int], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answers = tmp_path / "mine.toml"
    answers.write_text("".join(f'{id_} = "{id_ * 2000}"\n' for id_ in ("capital", "sum", "hello")))
    flags = ("--questions", "smoke", "--pasted", str(answers), "--json")
    limited(4096)
    status = run_command_line(["run", "pasted:me", *flags])
    limited(-1)
    told = capsys.readouterr()
    assert status == 1 and "not everything was saved: File too large" in told.err
    assert json.loads(told.out)["saved"] is False
