"""However the screen ends: no worker is left, the session is whole, and it can go on."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from benchmarks.support import tiny
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support.streamed import streamed
from tests.support.waiting import process_gone, until
from tui.board import Board, fold
from tui.sessions.reader import read


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "tiny"
    return tiny.write_llama(made, stop=5000, num_hidden_layers=30, hidden_size=128)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    return {"DUIBI_SESSIONS_DIR": str(tmp_path / "s"), "DUIBI_LANG": "en", "OMP_NUM_THREADS": "1"}


def answering(checkpoint: Path, folders: dict[str, str], *flags: str) -> Terminal:
    terminal = Terminal(
        # A random model may repeat itself, which would end its answer.
        [
            *DUIBI,
            str(checkpoint),
            "--questions",
            "smoke",
            "--max-new-tokens",
            "3000",
            "--no-loop-stop",
            *flags,
        ],
        folders,
    )
    terminal.wait("1/3", 90)
    terminal.send("\r")
    terminal.wait("decoding", 90)
    return terminal


def board_of(folders: dict[str, str]) -> tuple[str, Board]:
    (path,) = Path(folders["DUIBI_SESSIONS_DIR"]).glob("*.duibi")
    reading = read(path)
    return reading.verdict, fold(reading.events)


def test_a_killed_screen_leaves_no_worker_and_the_run_goes_on_to_escape_and_ctrl_c_twice(
    checkpoint: Path, folders: dict[str, str]
) -> None:
    with answering(checkpoint, folders) as terminal:
        workers = psutil.Process(terminal.process.pid).children(recursive=True)
        assert workers
        terminal.process.kill(signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []
    verdict, board = board_of(folders)
    assert verdict in ("interrupted", "torn")
    (open_answer,) = board.answers.values()
    assert open_answer.tokens
    sessions = Path(folders["DUIBI_SESSIONS_DIR"])
    before = streamed(sessions)

    with Terminal([*DUIBI, "--resume", "last", "--no-loop-stop"], folders) as terminal:
        terminal.wait("decoding", 90)
        workers = psutil.Process(terminal.process.pid).children(recursive=True)
        # The first tokens of a random model may be bytes that make no letter yet.
        terminal.wait(lambda _: streamed(sessions) > before + 20)
        terminal.send("\x1b")
        terminal.wait("Esc again")
        terminal.send("\x1b")
        terminal.wait(lambda text: "decoding" not in text)
        terminal.send("n")
        terminal.wait("2/3")
        terminal.send("\r")
        terminal.wait("decoding")
        terminal.send("\x03")
        terminal.read(0.5)
        assert terminal.process.isalive(), "answers would be lost"
        terminal.send("\x03")
        assert terminal.wait_exit() == 130 and terminal.is_restored()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert workers and alive == []
    verdict, board = board_of(folders)
    assert verdict == "complete"
    assert [a.state for a in board.answers.values()] == ["cancelled"] * 3
    assert [a.question for a in board.answers.values()] == ["capital", "capital", "sum"]
    assert board.answers[0].text == open_answer.text
    assert board.answers[0].tokens == open_answer.tokens and board.answers[1].text


def test_a_session_that_cannot_go_on_is_said_so(folders: dict[str, str]) -> None:
    with Terminal([*DUIBI, "--resume", "nothing"], folders) as terminal:
        assert terminal.wait_exit() == 2
        assert "there is no session nothing" in terminal.text()
    with Terminal([*DUIBI, "demo", "--resume", "last"], folders) as terminal:
        assert terminal.wait_exit() == 2
        assert "--resume goes on as it began, without models" in terminal.text()


def test_sigterm_ends_a_live_run_with_its_reason(checkpoint: Path, folders: dict[str, str]) -> None:
    with answering(checkpoint, folders) as terminal:
        workers = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.process.kill(signal.SIGTERM)
        assert terminal.wait_exit() == 130 and terminal.is_restored()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []
    verdict, board = board_of(folders)
    assert verdict == "complete" and board.end and board.end.status == "sigterm"


def test_a_run_without_a_screen_outlives_its_terminal(
    checkpoint: Path, folders: dict[str, str]
) -> None:
    command = (*DUIBI, "run", str(checkpoint), "--questions", "smoke", "--max-new-tokens", "100")
    terminal = Terminal(command, folders)
    terminal.wait(lambda _: streamed(Path(folders["DUIBI_SESSIONS_DIR"])) > 0, 90)
    me = psutil.Process(terminal.process.pid)
    terminal.hang_up()
    until(lambda: process_gone(me.pid))
    os.waitpid(me.pid, 0)
    verdict, board = board_of(folders)
    assert verdict == "complete" and board.end and board.end.status == "done"
    assert [answer.state for answer in board.answers.values()] == ["answered"] * 3
