"""Workers and screens that die in the middle of answers: what is lost, and who says so when.

    python -m tests.campaigns.worker_faults [--times 20] [--kinds KILL hang screen-HUP ...]
        [--model PATH]

Each fault of a worker strikes one of two models (by default a random checkpoint of 30
small layers, twice) at a random token of an answer. Counted are: how fast the
pane says so; whether every token that had come is in the session file and nothing else;
whether the other pane's answer is the one it always is; whether asking again brings the
model back. KILL, SEGV, ABRT are signals; `stop` is SIGSTOP; `hang` a computing thread that
waits for ever, `GIL-hang` one that does so with the interpreter's lock; `MemoryError` is
one. `over-limit` is a worker that takes and uses more and more memory, until the limit it
is held to stops it (RLIMIT_DATA); `over-group` the same with everything in a real control
group that is smaller still, where one can be made; `kernel-group` one that lifts its limit
first, while our own guard sleeps, until the kernel kills it for what the group uses. The
screen (on a real pseudo-terminal) is killed, told to end by a signal or by its keys, or loses
its terminal. What is told within a second is promised of the median only: the machine may be
busy for one.
"""

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.figures import row, spread
from benchmarks.support import tiny
from benchmarks.support.terminal import DUIBI, Terminal
from tests.campaigns import promises
from tests.campaigns.promises import expect, expect_counts
from tests.support import control_group
from tui.board import Answer, Board, fold
from tui.events import Failed, Note
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions
from tui.questions import QuestionSet
from tui.questions.question_set import Question
from tui.run import oom_guard, setup
from tui.run.conductor import Run
from tui.sessions import reader

FAULTS = Path(control_group.__file__).parent / "faults"
WORKER = {
    "KILL": signal.SIGKILL,
    "SEGV": signal.SIGSEGV,
    "ABRT": signal.SIGABRT,
    "stop": signal.SIGSTOP,
    "hang": signal.SIGUSR1,
    "GIL-hang": signal.SIGUSR2,
    "MemoryError": signal.SIGXCPU,
    "over-limit": signal.SIGXFSZ,
    "over-group": signal.SIGXFSZ,
    "kernel-group": signal.SIGPWR,
}
EATS = ("over-limit", "over-group", "kernel-group")
GROUPED = ("over-group", "kernel-group")
SCREEN = {
    "screen-KILL": signal.SIGKILL,
    "screen-TERM": signal.SIGTERM,
    "screen-HUP": signal.SIGHUP,
    "screen-closed": None,
    "screen-keys": None,
}
TOKENS = 160
GROUP = 1300 << 20
"""Bytes of the control group: both workers and some room, less than one may grow by."""
QUESTION = "Tell me of the sea."
SET = QuestionSet("one", "One", "en", (Question("q", "", (QUESTION,)),))


class Watch:
    """A run, its events as a screen drains them, and the board they make."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.board = Board()

    def look(self) -> list[tuple[int, object]]:
        """What is new, as (model, body)."""
        _, events = self.run.drain()
        fold(events, self.board)
        return [(event.model, event.body) for event in events]

    def newest(self, model: int) -> Answer:
        return max((a for a in self.board.answers.values() if a.model == model), key=lambda a: a.id)

    def until(self, seconds: float, *wanted: str) -> None:
        """Both newest answers are in one of the states, or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            if all(self.newest(model).state in wanted for model in (0, 1)):
                return
            time.sleep(0.01)
        found = [(self.newest(model).state, self.newest(model).failure) for model in (0, 1)]
        raise SystemExit(f"not {wanted} within {seconds} s: {found}")


def pid_of(run: Run, model: int) -> int:
    """The worker's process: of our children the one that writes to that lane's log."""
    engine = run._lanes[model].engine
    pid = getattr(engine, "pid", None)
    assert isinstance(pid, int)
    return pid


def strike(watch: Watch, number: signal.Signals, chance: random.Random) -> tuple[float, str]:
    """Ask, break model 0 at a random token, wait until it is said; how long, and what."""
    watch.run.ask("q", again=True)
    watch.until(120, "prefill", "decoding", "answered")
    goal = chance.randrange(5, TOKENS // 2)
    while watch.newest(0).tokens < goal:
        watch.look()
        if not watch.newest(0).is_open:
            raise SystemExit(f"an answer ended before its token {goal}")
        time.sleep(0.002)
    os.kill(pid_of(watch.run, 0), number)
    struck = time.monotonic()
    while time.monotonic() - struck < 30:
        for model, body in watch.look():
            if model == 0 and isinstance(body, Failed):
                return time.monotonic() - struck, body.message
            if model == 0 and isinstance(body, Note):
                return time.monotonic() - struck, body.text
        time.sleep(0.005)
    return time.monotonic() - struck, "nothing was said"


def expect_within_a_second(what: str, took: list[float]) -> None:
    """The median of the times, in seconds, is less than 1."""
    row(what, spread(took, "s"), "median < 1 s")
    expect(f"{what}, median below 1 s", statistics.median(took) < 1, True)


def workers(folder: Path, kind: str, times: int, model: Path, chance: random.Random) -> None:
    # Two folders: columns of one checkpoint would share a worker.
    other = folder / "copy"
    if model.is_dir() and not other.exists():
        shutil.copytree(model, other)
    folders = {"first": model, "second": other if model.is_dir() else model}
    # In fp32 the text does not depend on how many threads compute.
    models = [ResolvedModel(name, name, "local", at, "fp32") for name, at in folders.items()]
    # Together: in a small group they would take turns.
    settings = RunOptions(sampling="greedy", max_new_tokens=TOKENS, schedule="together")
    run = setup.begin(models, SET, settings, folder)
    watch, seen, took = Watch(run), Counter[str](), list[float]()
    try:
        run.start()
        run.ask("q")
        watch.look()
        watch.until(300, "answered")
        whole = [watch.newest(model).text for model in (0, 1)]
        for _ in range(times):
            seconds, said = strike(watch, WORKER[kind], chance)
            took.append(seconds)
            seen[re.sub(r"[0-9.]+ GB", "n GB", said)[:70]] += 1
            broken = watch.newest(0).id
            # Asking again is what a person does: it ends one that hangs, and restarts it.
            run.ask("q", again=True, models=[0])
            watch.look()
            watch.until(120, "answered")
            lost = watch.board.answers[broken]
            seen["partial answer right"] += bool(lost.text) and whole[0].startswith(lost.text)
            seen["other pane right"] += watch.newest(1).text == whole[1]
            seen["back after asking again"] += watch.newest(0).text == whole[0]
            on_disk = fold(reader.read(run.path).events).answers[broken]
            seen["tokens lost"] += lost.tokens - on_disk.tokens
            seen["tokens only on disk"] += on_disk.tokens - lost.tokens
    finally:
        run.close("done")
    verdict = reader.read(run.path).verdict
    # Eating up to a limit takes its time, and only then is there something to say.
    if kind in EATS:
        row(f"{kind} x {times}: said after", spread(took, "s"))
    else:
        expect_within_a_second(f"{kind} x {times}: said after", took)
    row("", ", ".join(f"{name} {count}" for name, count in seen.items()))
    row("", f"session {verdict}")
    promised = dict.fromkeys(
        ("partial answer right", "other pane right", "back after asking again"), times
    )
    expect_counts(kind, seen, promised | {"tokens lost": 0, "tokens only on disk": 0})
    expect_counts(kind, seen, {"nothing was said": 0})
    expect(f"{kind}, session", verdict, "complete")


@contextlib.contextmanager
def screen(folder: Path, model: Path) -> Iterator[Terminal]:
    command = (*DUIBI, f"{model}@fp32", f"{model}@bf16", "--questions", "smoke", "--greedy")
    with Terminal(
        (*command, "--max-new-tokens", "2000"),
        {"DUIBI_SESSIONS_DIR": str(folder), "DUIBI_LANG": "en"},
    ) as terminal:
        yield terminal


def screens(folder: Path, kind: str, times: int, model: Path, chance: random.Random) -> None:
    seen, took = Counter[str](), list[float]()
    for n in range(times):
        place = folder / f"{kind}-{n}"
        with screen(place, model) as terminal:
            terminal.wait(lambda text: text.count("decoding") >= 2, 120)
            terminal.read(chance.random())
            me = psutil.Process(terminal.process.pid)
            children = me.children(recursive=True)
            struck = time.monotonic()
            number = SCREEN[kind]
            if kind == "screen-closed":
                terminal.hang_up()
            elif number is None:
                # The first one asks, the second one ends it.
                terminal.send("\x03")
                terminal.read(0.5)
                struck = time.monotonic()
                terminal.send("\x03")
            else:
                me.send_signal(number)
            while me.is_running() and me.status() != psutil.STATUS_ZOMBIE:
                if kind != "screen-closed":
                    terminal.read(0.01)
                else:
                    time.sleep(0.01)
                if time.monotonic() - struck > 10:
                    break
            took.append(time.monotonic() - struck)
            _, alive = psutil.wait_procs(children, timeout=max(0.0, 3 - took[-1]))
            seen["orphans after 3 s"] += len(alive)
            if kind not in ("screen-closed", "screen-KILL"):
                terminal.read(0.2)
                seen["terminal restored"] += terminal.is_restored()
        (path,) = place.glob("*.duibi")
        reading = reader.read(path)
        seen[f"session {reading.verdict}"] += 1
        end = fold(reading.events).end
        seen[f"closed as {end.status}" if end else "no end written"] += 1
    expect_within_a_second(f"{kind} x {times}: gone after", took)
    row("", ", ".join(f"{name} {count}" for name, count in seen.items()))
    promised = {"orphans after 3 s": 0}
    if kind == "screen-KILL":
        expect(f"{kind}, damaged", seen["session damaged"] + seen["session complete"], 0)
    else:
        promised |= {"session complete": times, "no end written": 0}
        if kind != "screen-closed":
            promised["terminal restored"] = times
    expect_counts(kind, seen, promised)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", default=[*WORKER, *SCREEN])
    parser.add_argument("--model", type=Path, help="a checkpoint folder or .gguf file")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        # The faults are put on the path of the workers alone, from outside the current folder:
        # what lies in that is no module for a child.
        faults = shutil.copytree(FAULTS, Path(name) / "faults")
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(faults), os.environ.get("PYTHONPATH")))
        )
        os.environ["DUIBI_CACHE_DIR"] = os.environ.get("DUIBI_CACHE_DIR", str(Path(name) / "cache"))
        model = given.model
        if model is None:
            model = tiny.write_llama(
                Path(name) / "tiny", stop=319, num_hidden_layers=30, hidden_size=128
            )
        tick = oom_guard.CHECK_INTERVAL_S
        for kind in given.kinds:
            strike_at = workers if kind in WORKER else screens
            around = (
                control_group.memory_limited(GROUP) if kind in GROUPED else contextlib.nullcontext()
            )
            try:
                oom_guard.CHECK_INTERVAL_S = tick if kind != "kernel-group" else 3600.0
                with around:
                    strike_at(Path(name) / "sessions", kind, given.times, model, chance)
            except control_group.NoControlGroup as error:
                row(f"{kind}: left out", str(error))
        row("seed", str(given.seed))
    promises.end()


if __name__ == "__main__":
    main()
