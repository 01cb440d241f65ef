"""A GGUF file as published, through duibi and by llama.cpp's own server of the same library.

    python -m benchmarks.published FILE.gguf [--threads 2] [--prompt 256] [--new 64]
        [--rounds 5] [--questions 8] [--parts open,speed,same,screen]

open: a new worker of a file whose pages are in memory, until its first token, and what it writes.
speed: both loaded, by turns: reading a prompt, decoding, so many questions together, memory.
llama.cpp's figures are by its own clock, which counts neither JSON nor Python; duibi's are those
of its events. same: greedy answers to chats, ours by our template and its by its own; the text, and
the perplexity of the answer by each one's probabilities. screen: CPU time of the program with its
screen and its journal beside that of the worker.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.contenders import SLOTS, Answer, Contender, Duibi, Other, llama_server
from benchmarks.figures import row, spread
from benchmarks.support.terminal import DUIBI, Terminal
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Delta, Logprobs
from tui.host import cpu, page_cache, process
from tui.host.paths import cache_dir, log_file

PARTS = ("open", "speed", "same", "screen")
QUESTIONS = (
    "用一句话介绍上海。",
    "What is the capital of France?",
    "Write a Python function that reverses a list.",
    "一个袋子里有三个红球和两个蓝球，任取一个是红球的概率是多少？",
    "Explain why the sky is blue in two sentences.",
    "把“我今天很高兴”翻译成英文。",
    "写一首四句的诗。",
    "What is 17 * 23?",
)
LEAST, MOST_MEMORY, OPEN_S, SCREEN = 0.97, 1.05, 5.0, 0.03
"""Speed and memory against llama.cpp's, seconds to the first token, share of the screen."""
NEW_SCREEN_TOKENS = 256


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=cpu.cores())
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=SLOTS)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--llama-cpp-alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.llama_cpp_alone:
        print(json.dumps(llama_cpp_answers(given)))
        return
    parts = {"open": first_open, "speed": speeds, "same": same_answers, "screen": screen}
    for name in given.parts.split(","):
        parts[name](given)


def first_open(given: argparse.Namespace) -> None:
    """From no worker to the first token."""
    given.file.read_bytes()
    before, took = _bytes_below(cache_dir()), []
    for _ in range(3):
        began = time.monotonic()
        engine = LocalEngine(given.file, PUBLISHED, given.threads, log_file())
        engine.load(lambda t_ns, body: None)
        for _, body in engine.answer([_chat(0, QUESTIONS[0], 8)]):
            if isinstance(body, Delta):
                took.append(time.monotonic() - began)
                break
        written = _written(engine.pid)
        engine.close()
    cached = page_cache.cached_share([given.file])
    limit = f"< {OPEN_S:g} s for 1.1 GB"
    row(f"first open to first token ({cached or 0:.0%} in memory)", spread(took, "s"), limit)
    grown = _bytes_below(cache_dir()) - before
    row("  written by the worker, and kept", f"{written} and {grown} bytes", "0")


def speeds(given: argparse.Namespace) -> None:
    """Both by turns."""
    wheel = ("wheel", str(given.file), str(given.threads))
    both: dict[str, Contender] = {
        "duibi": Duibi(given.file, PUBLISHED, given.questions, given.threads),
        "llama.cpp": Other(*wheel, measured=2),
    }
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in both.values():
        one.ask(16, 4)
    for turn in range(given.rounds):
        # Who comes first meets another machine than who comes second.
        for name in sorted(both, reverse=bool(turn % 2)):
            seen: Answer = both[name].ask(given.prompt, given.new)
            found["decode, tokens/s"][name].append(1000 / seen.token_ms)
            found["prefill, tokens/s"][name].append(given.prompt / seen.first_s)
    for turn in range(max(2, given.rounds // 2) if given.questions > 1 else 0):
        for name in sorted(both, reverse=bool(turn % 2)):
            began = time.monotonic()
            both[name].step(64, given.new, given.questions)
            tokens = given.questions * given.new / (time.monotonic() - began)
            found[f"{given.questions} together, tokens/s"][name].append(tokens)
    for name, one in both.items():
        found["resident, MB"][name].append(one.resident() / 1e6)
        one.close()
    for what, of in found.items():
        ours, theirs = of["duibi"], of["llama.cpp"]
        for name, values in of.items():
            row(f"{what}: {name}", spread(values, ""))
        ratio = statistics.median(ours) / statistics.median(theirs)
        least = 1.0 if "together" in what else LEAST
        limit = f"<= {MOST_MEMORY}x" if "resident" in what else f">= {least}x"
        row(f"{what}: duibi against llama.cpp", f"{ratio:.3f}x", limit)


def same_answers(given: argparse.Namespace) -> None:
    """The text, and the mean probability of its tokens."""
    theirs = _in_a_child(given)
    engine = LocalEngine(given.file, PUBLISHED, given.threads, log_file())
    engine.load(lambda t_ns, body: None)
    equal, ours, other = 0, [0.0], [0.0]
    for number, question in enumerate(QUESTIONS):
        text, steps = "", []
        for _, body in engine.answer([_chat(number, question, given.new, logprobs=1)]):
            if isinstance(body, Delta):
                text += body.text
            # llama.cpp does not tell of the token that ends an answer in its chats.
            if isinstance(body, Logprobs) and body.token and body.logprob is not None:
                steps.append(body.logprob)
        equal += text == theirs[number][0]
        if text != theirs[number][0]:
            print(f"  differs: {text!r}\n           {theirs[number][0]!r}")
        ours += steps
        other += theirs[number][1]
    engine.close()
    row("greedy answers with the same text", f"{equal} of {len(QUESTIONS)}", "all")
    mine, its = (math.exp(-sum(values) / max(1, len(values) - 1)) for values in (ours, other))
    row("perplexity of them: duibi, llama.cpp", f"{mine:.4f}, {its:.4f}", "equal")


def screen(given: argparse.Namespace) -> None:
    """The program's own CPU time while the worker decodes, of the time of both."""
    with tempfile.TemporaryDirectory() as folder:
        file, asked = Path(folder) / "q.txt", "Write a binary tree in Python and explain each line."
        file.write_text(f"{asked}\n", encoding="utf-8")
        options = ("--questions", str(file), "--max-new-tokens", str(NEW_SCREEN_TOKENS))
        more = ("--no-measure", "--sessions", folder, "--greedy")
        with Terminal([*DUIBI, str(given.file), *options, *more]) as terminal:
            began: tuple[float, float] | None = None
            ours, worker = 0.0, 0.0
            terminal.wait("1/1")
            terminal.send("a")
            while not (files := list(Path(folder).glob("*.duibi"))) or not _is_over(files[0]):
                terminal.read(0.1)
                pids = [terminal.process.pid, *_below(terminal.process.pid)]
                used = [seen.cpu_s if (seen := process.read_stat(pid)) else 0.0 for pid in pids]
                if files and began is None and b'"delta"' in files[0].read_bytes():
                    began = used[0], sum(used[1:])
                if began:
                    ours, worker = used[0] - began[0], sum(used[1:]) - began[1]
        share = ours / (ours + worker) if worker else math.nan
    row(
        "screen and journal, of all CPU time",
        f"{share:.1%} of {ours + worker:.1f} s",
        f"< {SCREEN:.0%}",
    )


def _is_over(file: Path) -> bool:
    return b'"answered"' in file.read_bytes()


def _below(pid: int) -> list[int]:
    """All processes that descend from this one."""
    import psutil

    return [one.pid for one in psutil.Process(pid).children(recursive=True)]


def _chat(id_: int, text: str, new: int, logprobs: int = 0) -> Request:
    greedy = SamplingOptions(greedy=True, logprobs=logprobs)
    return Request(id_, (Message("user", text),), new, greedy)


def _written(pid: int | None) -> int:
    told = Path(f"/proc/{pid}/io").read_text() if pid else ""
    return next((int(line.split()[1]) for line in told.splitlines() if "write_bytes" in line), 0)


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _in_a_child(given: argparse.Namespace) -> Any:
    """What a process that has only llama.cpp answers: as `llama_cpp_answers`."""
    more = ("--threads", str(given.threads), "--new", str(given.new), "--llama-cpp-alone")
    command = [sys.executable, "-m", "benchmarks.published", str(given.file), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def llama_cpp_answers(given: argparse.Namespace) -> list[tuple[str, list[float]]]:
    """For each question its greedy answer by llama.cpp's own template, and the logarithm of the
    probability of each of its tokens."""
    server = llama_server(str(given.file), given.threads)
    return [_llama_cpp_answer(server, question, given.new) for question in QUESTIONS]


def _llama_cpp_answer(server: Any, question: str, new: int) -> tuple[str, list[float]]:
    pieces: list[str] = []
    steps: list[float] = []

    def take(piece: Any) -> bool:
        for choice in piece.get("choices") or ():
            pieces.append((choice.get("delta") or {}).get("content") or "")
            told = (choice.get("logprobs") or {}).get("content") or ()
            steps.extend(step["logprob"] for step in told)
        return False

    messages = [{"role": "user", "content": question}]
    order = {"messages": messages, "max_tokens": new, "temperature": 0, "stream": True}
    server.handle_chat_completions({**order, "logprobs": True, "top_logprobs": 1}, take)
    return "".join(pieces), steps


if __name__ == "__main__":
    main()
