"""Whoever wrote a session chose its times: nothing waits for them longer than a minute."""

import json
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import recorded_header
from tui import cli, sessions
from tui import events as ev
from tui.cli.support.session_player import make_player
from tui.engines.base import Message, Request
from tui.engines.recorded import RecordedEngine
from tui.events.waits import LONGEST_WAIT_S
from tui.sessions.journal import Journal

CENTURIES_US = (1 << 53) - 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A session of one answer, whose second token comes after 285 years."""
    head = recorded_header(["a@bf16"], [{"id": "one", "turns": ["?"]}])
    journal = Journal.create(tmp_path, head)
    journal.append(0, 0, ev.Asked(0, "one", "?"))
    journal.append(1, 0, ev.Started(0))
    journal.append(2, 0, ev.Delta(0, 1, "first "))
    journal.append(CENTURIES_US, 0, ev.Delta(0, 1, "second"))
    journal.append(CENTURIES_US + 1, 0, ev.Answered(0, "stop", 1, 2))
    journal.close()
    return journal.path


def test_a_replay_without_a_screen(path: Path) -> None:
    player = make_player(path)
    player.drain()
    wait = player.next_due_s
    assert wait is not None and 0 < wait <= LONGEST_WAIT_S
    assert make_player(path, max_gap=float("inf")).longest_wait_s == float("inf")


@pytest.mark.parametrize(
    "late", [(CENTURIES_US, ev.Asked(0, "one", "?")), (0, ev.Asked(CENTURIES_US, "one", "?"))]
)
def test_a_run_that_could_not_be_read_again_is_not_gone_on_with(
    late: tuple[int, ev.Body], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its next events would lie beyond what a session can hold."""
    head = recorded_header(["pasted:me"], [{"id": "one", "turns": ["?"]}])
    journal = Journal.create(tmp_path, head)
    journal.append(late[0], 0, late[1])
    journal.close()
    before = journal.path.read_bytes()
    assert cli.run_command_line(["run", "--resume", str(journal.path)]) == 2
    assert "near the end of what can be counted" in capsys.readouterr().err
    assert journal.path.read_bytes() == before


def test_a_recorded_model_in_a_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dues: list[int] = []
    monkeypatch.setattr(RecordedEngine, "_wait", lambda _self, due: dues.append(due) or set())
    engine = RecordedEngine(sessions.reader.read(path).events, 0)
    told = list(engine.answer([Request(7, (Message("user", "?"),), 9, question="one")]))
    assert isinstance(told[-1][1], ev.Answered)
    assert max(dues) - min(dues) <= LONGEST_WAIT_S * 1e9 * 1.01


def test_a_cast_that_is_played_elsewhere(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["report", str(path), "--format", "cast"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n")[0])["idle_time_limit"] <= LONGEST_WAIT_S
