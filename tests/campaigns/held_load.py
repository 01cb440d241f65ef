"""Held load: much of everything, for long, with faults; bounded time and memory.

    python -m tests.campaigns.held_load [--questions 2000] [--kills 5] [--kinds run library ...]

run        questions to an endpoint that fails at random, the program killed and resumed: nothing
           answered is asked again, nothing is lost, memory stays flat
library    500 sessions are listed and the last one is found
session    a session of 50 MB is verified, shown, replayed and reported
questions  a set of 10,000 lines is checked and asked of a file of answers
answer     an answer of 200,000 characters is recorded and reported
screens    two screens play one session while a third process judges it

A row tells what was done, how often, what came of it, and what is promised.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import row
from benchmarks.support.fault_server import FaultServer, Received, Reply, error_status, hang_up
from benchmarks.support.sessions import write_session
from benchmarks.support.terminal import DUIBI, Terminal
from tests.campaigns import promises
from tests.campaigns.promises import expect
from tui import events as ev
from tui.board import Board, fold
from tui.sessions import reader
from tui.sessions.journal import Journal

MIB = 1 << 20
FAULTS = ("429", "500", "cut", "hung up", "error in the stream")
FAULT_SHARE = 0.3


@dataclass
class Cost:
    """What a call of the program took: seconds, those of them in which it computed, and bytes of
    memory at most."""

    status: int
    seconds: float
    computed: float
    peak: int
    out: str


def duibi(*args: str) -> Cost:
    """Call the program to its end."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tui", *args],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        out.seek(0)
        said = out.read().decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    computed = used.ru_utime + used.ru_stime
    return Cost(code, time.monotonic() - began, computed, used.ru_maxrss * 1024, said)


def call(name: str, args: tuple[str, ...], most_s: float, most_mib: int) -> Cost:
    """`duibi` of a call that must succeed within bounds; prints its row. The bound is on the time
    in which it computed: others may have the cores meanwhile."""
    cost = duibi(*args)
    row(
        f"{name}, 1 time",
        f"exit {cost.status}, {cost.computed:.1f} of {cost.seconds:.1f} s, "
        f"{cost.peak / MIB:.0f} MiB",
        f"exit 0, {most_s:g} s, {most_mib} MiB",
    )
    expect(f"{name}, exit code", cost.status, 0)
    expect(f"{name}, within {most_s:g} s", cost.computed <= most_s, True)
    expect(f"{name}, within {most_mib} MiB", cost.peak <= most_mib * MIB, True)
    return cost


class Service:
    """An endpoint that fails at random, and knows what was already answered in the session."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._lock = chance, threading.Lock()
        self.answered: set[str] = set()
        self.seen: Counter[str] = Counter()

    def __call__(self, reply: Reply, received: Received) -> None:
        text = received.body["messages"][-1]["content"]
        with self._lock:
            self.seen["requests"] += 1
            self.seen["asked again though answered"] += text in self.answered
            fault = self._chance.choice(FAULTS) if self._chance.random() < FAULT_SHARE else ""
            self.seen[fault or "good"] += 1
        match fault:
            case "429" | "500":
                return error_status(int(fault), Retry_After="0.01")(reply, received)
            case "hung up":
                return hang_up(reply)
        reply.head()
        for word in text.split():
            reply.token(f"{word} ")
            if fault == "cut":
                return hang_up(reply)
        if fault:
            reply.data({"error": {"message": "overloaded"}})
            return hang_up(reply)
        reply.finish()
        reply.usage(9, 5)
        return reply.done()


def board_of(folder: Path) -> tuple[Path, Board, str]:
    """The one session of a folder."""
    (path,) = folder.glob("*.duibi")
    reading = reader.read(path)
    return path, fold(reading.events), reading.verdict


def answered(board: Board) -> dict[str, str]:
    """Text by what was asked, of the answers that are complete."""
    return {a.prompt: a.text for a in board.answers.values() if a.state == "answered"}


def run(folder: Path, questions: int, kills: int, chance: random.Random) -> None:
    """Questions to a service that fails at random; killed and resumed."""
    asked = [f"What is {n} plus one?" for n in range(questions)]
    file = folder / "many.txt"
    file.write_text("\n".join(asked))
    sessions, service = folder / "run", Service(chance)
    with FaultServer(service) as server:
        args: tuple[str, ...]
        args = ("run", f"{server.url}#m", "--questions", str(file), "--sessions", str(sessions))
        grown, starts, left = 0, 0, kills
        while starts < kills + 20:
            until = questions * (kills - left + 1) // (kills + 1) if left else questions + 1
            grown = max(grown, _segment(args, sessions, until))
            left, starts = max(0, left - 1), starts + 1
            path, board, verdict = board_of(sessions)
            service.answered = set(answered(board))
            if len(service.answered) == questions and not left:
                break
            args = ("run", "--resume", str(path))
    wrong = sum(text != f"{prompt} " for prompt, text in answered(board).items())
    told = ", ".join(f"{name} {service.seen[name]}" for name in FAULTS)
    row(f"endpoint with faults, {service.seen['requests']} requests", told)
    row(f"killed and resumed, {kills} of {starts} starts", f"session {verdict}", "complete")
    again = service.seen["asked again though answered"]
    row("asked again though answered", str(again), "0")
    row("answers, whole of all", f"{len(service.answered) - wrong} of {questions}", "all")
    row("memory grown within a start, most", f"{grown / MIB:.1f} MiB", "30 MiB")
    expect("asked again though answered", again, 0)
    expect("whole answers", len(service.answered) - wrong, questions)
    expect("verdict", verdict, "complete")
    expect("memory flat", grown < 30 * MIB, True)


def _segment(args: tuple[str, ...], sessions: Path, until: int) -> int:
    """Run until so many answers are recorded, then kill, or to the end; by how many bytes its
    memory grew after the first third."""
    held: list[int] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "tui", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen = psutil.Process(process.pid)
    while process.poll() is None:
        time.sleep(0.1)
        try:
            held.append(seen.memory_info().rss)
        except psutil.Error:
            break
        done = sum(p.read_bytes().count(b',"answered",{') for p in sessions.glob("*.duibi"))
        if done >= until:
            process.send_signal(signal.SIGKILL)
            process.wait()
    later = held[len(held) // 3 :]
    return max(later) - later[0] if later else 0


def library(folder: Path) -> None:
    """Many sessions in one folder."""
    place = folder / "library"
    for _ in range(500):
        write_session(place, models=2, tokens=20)
    where = ("--sessions", str(place))
    cost = call("list 500 sessions", ("sessions", "list", *where), 10, 150)
    listed = [line for line in cost.out.splitlines() if "-" in line.partition(" ")[0]]
    expect("sessions listed", len(listed), 500)
    call("find the last of 500", ("sessions", "verify", "last", *where), 10, 150)
    call("search 500, first", ("sessions", "list", "--search", "plus", *where), 60, 200)


def session(folder: Path) -> None:
    """One large session."""
    path = write_session(folder / "large", models=4, tokens=84_000)
    row("session", f"{path.stat().st_size / 1e6:.0f} MB", "50 MB")
    call("verify 50 MB", ("sessions", "verify", str(path)), 60, 150)
    call("show 50 MB", ("sessions", "show", str(path)), 60, 1000)
    call("replay 50 MB", ("replay", str(path), "--speed", "max"), 60, 1000)
    out = str(folder / "large.html")
    call("report 50 MB", ("report", str(path), "--no-pictures", "--out", out), 120, 1500)


def questions(folder: Path) -> None:
    """A set of as many questions as there may be."""
    file, pasted = folder / "set.txt", folder / "pasted.toml"
    file.write_text("\n".join(f"What is {n} plus one?" for n in range(10_000)))
    pasted.write_text("".join(f'{n + 1} = "{n + 1}"\n' for n in range(10_000)))
    call("check 10,000 questions", ("questions", "check", str(file)), 20, 150)
    flags = ("--questions", str(file), "--pasted", str(pasted), "--sessions", str(folder / "set"))
    call("ask 10,000 questions", ("run", "pasted:me", *flags), 120, 400)
    _, board, verdict = board_of(folder / "set")
    expect("answers to 10,000 questions", (len(answered(board)), verdict), (10_000, "complete"))


def answer(folder: Path) -> None:
    """One very long answer."""
    words = ["the quick brown fox "] * 10_000

    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        for number, word in enumerate(words):
            reply.token(f"{number % 977} {word[:-5]} ")
        reply.finish()
        reply.done()

    file = folder / "one.txt"
    file.write_text("Say much.")
    with FaultServer(behave) as server:
        flags = ("--questions", str(file), "--max-new-tokens", "100000")
        where = ("--sessions", str(folder / "answer"))
        call("record 200,000 characters", ("run", f"{server.url}#m", *flags, *where), 120, 300)
    path, board, _ = board_of(folder / "answer")
    (text,) = answered(board).values()
    expect("an answer of 190,000 characters or more", len(text) >= 190_000, True)
    out = str(folder / "answer.html")
    call("report it with pictures", ("report", str(path), "--out", out), 60, 500)


def screens(folder: Path) -> None:
    """Two screens on one session, which a third process judges meanwhile."""
    path = write_session(folder / "shared", models=4, tokens=5000)
    environ = {"DUIBI_SESSIONS_DIR": str(path.parent), "DUIBI_LANG": "en"}
    command = [*DUIBI, "replay", str(path)]
    with Terminal(command, environ) as one, Terminal(command, environ) as two:
        both = (one, two)
        for screen in both:
            screen.wait("playing", 60)
        journal = Journal.reopen(path)
        for number in range(200):
            journal.append(journal.last_us, -1, ev.Rated(number % 4, "humour", number % 5))
        journal.close()
        for screen in both:
            screen.read(2.0)
        peak = max(psutil.Process(s.process.pid).memory_info().rss for s in both)
        ends = []
        for screen in both:
            screen.send("\x03")
            screen.read(0.3)
            screen.send("q")
            ends.append(screen.wait_exit())
    verdict = reader.read(path).verdict
    row(
        "two screens on one session, 1 time",
        f"exit {ends}, {peak / MIB:.0f} MiB, session {verdict}",
        "exit [0, 0], 300 MiB, complete",
    )
    expect("two screens end", ends, [0, 0])
    expect("two screens, memory", peak < 300 * MIB, True)
    expect("session of two screens", verdict, "complete")


KINDS: dict[str, Callable[[Path], None]] = {
    "library": library,
    "session": session,
    "questions": questions,
    "answer": answer,
    "screens": screens,
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", default=["run", *KINDS], choices=["run", *KINDS])
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("CACHE", "CONFIG", "SESSIONS"):
            os.environ[f"DUIBI_{kind}_DIR"] = str(folder / kind.lower())
        for kind in given.kinds:
            if kind == "run":
                run(folder, given.questions, given.kills, random.Random(given.seed))
            else:
                KINDS[kind](folder)
    row("seed", str(given.seed))
    promises.end()


if __name__ == "__main__":
    main()
