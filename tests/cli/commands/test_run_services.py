"""`duibi run` against services: many questions at once, going on, exit codes, and no key left."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.support.fault_server import FaultServer, Received, Reply, error_status, good_answer
from tests.support.commands import run_with
from tests.support.endpoints import clear_proxies
from tests.support.waiting import until
from tui.board import fold
from tui.cli import run_command_line as run
from tui.events import Asked, Started
from tui.host import paths
from tui.sessions import reader

CANARY = "sk-canary-51e9d07b"
MANY = 500


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUIBI_API_KEY", raising=False)


def questions(count: int) -> str:
    Path("many.txt").write_text("".join(f"What is {n} plus one?\n" for n in range(count)))
    return "many.txt"


def echo(reply: Reply, received: Received) -> None:
    """Says what it was asked, a little later."""
    reply.head()
    time.sleep(0.004)
    for word in received.body["messages"][-1]["content"].split():
        reply.token(f"{word} ")
    reply.finish()
    reply.usage(9, 5)
    reply.done()


class Watched:
    """A `duibi` process and how much memory it held, ten times a second."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.held: list[int] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        seen = psutil.Process(self.process.pid)
        while self.process.poll() is None:
            try:
                self.held.append(seen.memory_info().rss)
            except psutil.Error:
                return
            time.sleep(0.1)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=120)
        self._thread.join(5)
        return self.process.returncode, out, err


def test_500_questions_to_two_services_stopped_and_gone_on_with() -> None:
    def lingering(reply: Reply, received: Received) -> None:
        # An answer that is gone before the fourth is asked would hide how many may be open.
        time.sleep(0.01)
        echo(reply, received)

    with FaultServer(lingering) as one, FaultServer(lingering) as two:
        models = (f"{one.url}#m", f"{two.url}#m")
        place = Path("a place").absolute()
        flags = ("--questions", questions(MANY), "--sessions", str(place))
        watched = Watched("run", *models, *flags, "--json")
        until(lambda: min(one.asked, two.asked) >= 120)
        assert watched.process.poll() is None
        watched.process.send_signal(signal.SIGINT)
        code, printed, told = watched.end()
        (path,) = place.glob("*.duibi")
        assert code == 130 and f"`duibi run --resume '{path}'` asks the rest" in told
        assert json.loads(printed)["status"] == "interrupted"
        before = fold(reader.read(path).events)
        done = sum(a.state == "answered" for a in before.answers.values())
        assert 200 <= done < 2 * MANY
        asked_before = one.asked + two.asked

        watched = Watched("run", "--resume", str(path), "--json")
        code, printed, told = watched.end()
        assert code == 0, told[-2000:]
        # What was answered is not asked again: only what was under way when it was stopped.
        assert one.asked + two.asked - asked_before == 2 * MANY - done
        assert (one.most_open, two.most_open) == (4, 4)
    made: dict[str, Any] = json.loads(printed)
    for model in made["models"]:
        answers = {a["question"]: a for a in model["answers"]}
        assert len(answers) == MANY
        assert all(a["state"] == "answered" for a in answers.values())
        assert all(a["text"] == f"{a['prompt']} " for a in answers.values())
    _in_order(path)
    # From the first to the last answer: the board of a thousand answers, no more.
    held = watched.held[len(watched.held) // 3 :]
    assert max(held) - held[0] < 30_000_000


def _in_order(path: Path) -> None:
    """Work began in the order asked, up to the four at a time."""
    events = reader.read(path).events
    for model in (0, 1):
        asked = [e.body.answer for e in events if e.model == model and isinstance(e.body, Asked)]
        began = [e.body.answer for e in events if e.model == model and isinstance(e.body, Started)]
        assert asked == sorted(asked)
        again = began.index(min(a for a in began if a >= MANY * 2)) if began[-1] >= MANY * 2 else 0
        for part in (began[:again], began[again:]):
            place = {answer: n for n, answer in enumerate(sorted(part))}
            assert all(abs(place[answer] - n) <= 8 for n, answer in enumerate(part))


def test_what_a_run_ends_with(capsys: pytest.CaptureFixture[str]) -> None:
    def moody(reply: Reply, received: Received) -> None:
        (error_status(400, "no") if received.number == 1 else good_answer("yes"))(reply, received)

    with FaultServer(good_answer("yes")) as server:
        assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 0
    with FaultServer(moody) as server:
        assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 1
    for code in (401, 402, 404, 400):
        with FaultServer(error_status(code)) as server:
            assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 3, code
    assert run(["run", "http://127.0.0.1:1/v1#m", "--questions", "smoke"]) == 3
    told = capsys.readouterr().err
    assert "nothing listens at 127.0.0.1:1" in told and "Traceback" not in told
    assert run(["run", "openai:", "--questions", "smoke"]) == 2


def test_going_on_asks_only_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def moody(reply: Reply, received: Received) -> None:
        (error_status(400, "no") if received.number == 1 else good_answer("yes"))(reply, received)

    with FaultServer(moody) as server:
        assert run(["run", f"{server.url}#m", "--questions", "smoke", "--json"]) == 1
        (model,) = json.loads(capsys.readouterr().out)["models"]
        causes = [answer["cause"] for answer in model["answers"]]
        assert sorted(causes, key=str) == [None, None, "bad_request"]
        assert run(["run", "--resume", "last", "--json"]) == 0
        assert server.asked == 4
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert [a["state"] for a in model["answers"]] == ["answered"] * 3
    assert {a["text"] for a in model["answers"]} == {"yes"}


def test_a_key_that_goes_unencrypted_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUIBI_API_KEY", CANARY)
    with FaultServer(good_answer("yes")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        reference = "http://gpu-box.invalid:8000/v1#m"
        assert run(["run", reference, "--questions", "smoke"]) == 0
    told = capsys.readouterr().err
    assert "the key goes to gpu-box.invalid:8000 unencrypted: use https" in told
    assert CANARY not in told


def test_a_missing_key_ends_it_before_a_session_is_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    assert run(["run", "deepseek:deepseek-chat", "--questions", "smoke"]) == 2
    assert "DEEPSEEK_API_KEY is not set" in capsys.readouterr().err
    assert not list(paths.sessions_dir().iterdir())


def test_pasted_answers_come_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text('capital = "Paris"\nsum = "4"\nhello = "Hello!"\n')
    flags = ["--questions", "smoke", "--json"]
    assert run(["run", "pasted:ChatGPT-4o", "--pasted", "mine.toml", *flags]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["label"] == "ChatGPT-4o (pasted)"
    for answer in model["answers"]:
        assert answer["ttft_ms"] is answer["e2e_ms"] is answer["decode_tok_s"] is None
        assert answer["token_source"] == "estimate"
    assert run(["report", "last"]) == 0
    report = capsys.readouterr().out
    assert "~2 tok" in report and "TTFT 0" not in report
    assert "3 with an estimated token count" in report
    Path("mine.toml").write_text('capital = "Paris"\n')
    assert run(["run", "pasted:ChatGPT-4o", "--pasted", "mine.toml", *flags]) == 1
    Path("mine.toml").write_text('capitol = "Paris"\n')
    capsys.readouterr()
    assert run(["run", "pasted:ChatGPT-4o", "--pasted", "mine.toml", *flags]) == 2
    assert "mine.toml:1: 'capitol'" in capsys.readouterr().err


def test_a_key_is_left_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DUIBI_API_KEY", CANARY)

    def gossip(reply: Reply, received: Received) -> None:
        """Gives the key back, in an error or in mid stream."""
        key = received.headers["authorization"]
        if received.number % 2:
            reply.head()
            reply.data({"error": {"message": f"{key} is worn out"}})
            reply.done()
        else:
            error_status(400, f"what is {key}?")(reply, received)

    shown: list[str] = []
    with FaultServer(gossip) as server:
        watched = Watched("run", f"{server.url}#m", "--questions", "smoke", "--json")
        code, out, err = watched.end()
        assert code == 3 and "***" in err
        assert all(r.headers["authorization"] == f"Bearer {CANARY}" for r in server.requests)
        shown += [out, err]
    (path,) = paths.sessions_dir().glob("*.duibi")
    formats = ("md", "html", "csv", "jsonl")
    reports = [["report", str(path), "--format", one, "--out", f"r.{one}"] for one in formats]
    codes, outs, err = run_with({}, tmp_path, *reports)
    assert codes == [0] * len(formats), err
    shown += [*outs, err]
    assert CANARY not in "".join(shown)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert path in files and len(files) >= 5
    assert not [file for file in files if CANARY.encode() in file.read_bytes()]
    assert os.environ["DUIBI_API_KEY"] == CANARY
