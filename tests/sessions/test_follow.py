"""Following a session that another process writes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support.bodies import expect
from tests.support.clock import Clock
from tui import events as ev
from tui.host.errors import UserError
from tui.sessions import reader
from tui.sessions.follow import Follower, TailReader
from tui.sessions.journal import Journal

WRITER = """
import sys, time
from pathlib import Path
from benchmarks.support.sessions import HEADER
from tui import events as ev
from tui.sessions.journal import Journal
journal = Journal.create(Path(sys.argv[1]), HEADER)
print(journal.path, flush=True)
journal.append(0, 0, ev.Asked(0, "q1", "?"))
for i in range(20):
    journal.append(i, 0, ev.Delta(0, text=str(time.monotonic())))
    time.sleep(0.02)
journal.append(20, 0, ev.Answered(0, "stop"))
journal.close("done")
"""


def test_a_follower_sees_what_comes_while_it_is_written(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        path = Path(writer.stdout.readline().strip())
        follower = Follower(path)
        seen = []
        while not follower.has_ended:
            reset, due = follower.drain()
            assert not reset
            seen += due
            time.sleep(min(0.05, follower.next_due_s or 0))
    assert writer.returncode == 0
    assert seen == reader.read(path).events
    assert sum(isinstance(event.body, ev.Delta) for event in seen) == 20


def test_a_viewer_that_goes_back_catches_up_again(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    journal.append(1_000_000, 0, ev.Note("one"))
    follower = Follower(journal.path, Clock(step=0.2))
    assert len(follower.drain()[1]) == 2
    follower.seek(0)
    follower.pause()
    reset, due = follower.drain()
    assert (reset, len(due)) == (True, 1)
    journal.append(2_000_000, 0, ev.Note("two"))
    assert follower.drain() == (False, [])
    follower.set_speed(float("inf"))
    follower.play()
    assert [expect(ev.Note, e.body).text for e in follower.drain()[1]] == ["one", "two"]
    assert not follower.has_ended
    journal.close("done")
    follower.drain()
    follower.drain()
    assert follower.has_ended


def test_a_line_that_is_not_whole_yet_is_waited_for(tmp_path: Path) -> None:
    path = write_session(tmp_path, status="")
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    tail = TailReader(path)
    before = tail.read()
    assert tail.read() == []
    path.write_bytes(whole)
    assert before + tail.read() == reader.read(path).events


def test_a_bad_line_stops_the_tail_but_not_the_viewer(tmp_path: Path) -> None:
    path = write_session(tmp_path, status="")
    events = reader.read(path).events
    tail = TailReader(path)
    assert tail.read() == events
    with path.open("ab") as file:
        file.write(b"garbage\n")
    assert tail.read() == []
    assert tail.problem


def test_following_what_ended_long_ago_ends_at_once(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    follower = Follower(path)
    assert follower.drain()[1] == reader.read(path).events
    assert follower.has_ended
    assert follower.next_due_s is None


def test_following_nothing_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no session"):
        Follower(tmp_path / "none.duibi")


def test_a_session_that_leaves_its_place_at_the_end_is_seen_to_its_end(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    follower = Follower(journal.path, Clock(step=0.2))
    follower.drain()
    journal.append(1, 0, ev.Note("last words"))
    journal.close("done")
    journal.path.rename(tmp_path / "elsewhere")
    seen = [event.body for _ in range(3) for event in follower.drain()[1]]
    assert [type(body) for body in seen] == [ev.Note, ev.End]
    assert follower.has_ended


STREAM = """
import select, sys, time
from pathlib import Path
from benchmarks.support.sessions import HEADER
from tui import events as ev
from tui.sessions.journal import Journal
journal = Journal.create(Path(sys.argv[1]), HEADER)
print(journal.path, flush=True)
journal.append(0, 0, ev.Asked(0, "q1", "?"))
journal.append(0, 0, ev.Started(0))
count, last = 0, 10**9
while count < last:
    journal.append(count * 10_000, 0, ev.Delta(0, text=f"word{count}\\n"))
    count += 1
    if last == 10**9 and select.select([sys.stdin], [], [], 0)[0]:
        last = count + 50
    time.sleep(0.01)
journal.append(10**10, 0, ev.Answered(0, "stop", output_tokens=count))
print(journal.close("done").saved, count, flush=True)
"""


def test_viewers_that_are_dropped_change_nothing_for_the_run(tmp_path: Path) -> None:
    """Killed, hung up on, or quit by key, in the screen and on a pipe, while it streams."""
    with subprocess.Popen(
        [sys.executable, "-c", STREAM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        path = Path(writer.stdout.readline().strip())
        command = [*DUIBI, "replay", str(path), "--follow"]
        with Terminal(command) as one, Terminal(command) as two, Terminal(command) as three:
            pipe = subprocess.Popen([*command, "--plain"], stdout=subprocess.PIPE)
            for viewer in (one, two, three):
                viewer.wait(lambda text: "word1" in text)
            assert pipe.stdout is not None and b"word0" in pipe.stdout.read(4096)
            one.process.kill(signal.SIGKILL)
            two.hang_up()
            pipe.kill()
            pipe.wait()
            # It streams until it is told so, and then fifty words more.
            assert writer.poll() is None
            writer.stdin.write("enough\n")
            writer.stdin.flush()
            saved, written = writer.stdout.readline().split()
            count = int(written)
            three.wait(f"word{count - 1}")
            three.wait("the end")
            three.send("q")
            assert three.wait_exit() == 0
        assert saved == "True"
    assert writer.returncode == 0
    reading = reader.read(path)
    assert reading.verdict == "complete"
    said = [event.body.text for event in reading.events if isinstance(event.body, ev.Delta)]
    assert said == [f"word{i}\n" for i in range(count)]
