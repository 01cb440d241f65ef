"""Many questions to two models of one service.

    python -m tests.campaigns.endpoints [--questions 500]

The service is a server in a process of its own on loopback that streams 40 tokens an answer,
one each 2 ms, and now and then says 429 or 500 first. Printed: whether the concurrency held,
whether the questions were asked in order, whether every answer is whole, and how the memory
of the asking process grew between the first tenth and the end.
"""

import argparse
import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections import Counter, defaultdict

import psutil

from benchmarks.figures import row, spread
from benchmarks.support.fault_server import FaultServer, Received, Reply
from tests.campaigns import promises
from tests.campaigns.promises import expect
from tui.engines.base import Message, Request
from tui.engines.endpoint import EndpointEngine
from tui.engines.limiter import Limiter
from tui.events import Answered, Delta, Failed, Note, Started
from tui.services import Service

TOKENS, TOKEN_S = 40, 0.002
REFUSED_EACH = {97: 429, 61: 500}
"""One request in so many is refused once with this status."""


def behave(reply: Reply, received: Received) -> None:
    """The service: a steady stream, after a refusal now and then."""
    for each, status in REFUSED_EACH.items():
        if received.number % each == each - 1:
            return reply.whole(status, b"{}", Retry_After="0.05")
    reply.head()
    for number in range(TOKENS):
        reply.token(f"{number} ")
        time.sleep(TOKEN_S)
    reply.finish()
    reply.usage(10, TOKENS)
    return reply.done()


def serve(pipe: multiprocessing.connection.Connection) -> None:
    """Run the service until the pipe says so, then tell how many were open at once."""
    with FaultServer(behave, models=("a", "b")) as server:
        pipe.send(server.url)
        pipe.recv()
        pipe.send((server.most_open, server.connections, server.asked))


class Asker:
    """One model asked all questions, and what came of it."""

    def __init__(self, engine: EndpointEngine, questions: int) -> None:
        self.engine, self.questions = engine, questions
        self.order: list[int] = []
        self.ends: Counter[str] = Counter()
        self.texts: dict[int, int] = defaultdict(int)
        self.whole = self.notes = 0
        self.ttft_ms: list[float] = []
        self.in_order = True

    def run(self) -> None:
        """Ask everything in one request, as the conductor asks a question set."""
        self.engine.load(lambda _, __: None)
        asked = [
            Request(i, (Message("user", f"question {i}"),), 256) for i in range(self.questions)
        ]
        last: dict[int, int] = defaultdict(int)
        seen: set[int] = set()
        for at, body in self.engine.answer(asked):
            match body:
                case Started(answer=answer):
                    if answer not in seen:
                        self.order.append(answer)
                    seen.add(answer)
                case Delta(answer=answer, text=text):
                    self.texts[answer] += len(text.split())
                case Note():
                    self.notes += 1
                case Answered(answer=answer):
                    self.ends["answered"] += 1
                    self.whole += self.texts.pop(answer) == TOKENS == body.output_tokens
                    self.ttft_ms.append(body.ttft_ms or 0.0)
                case Failed(cause=cause):
                    self.ends[cause] += 1
            answer = getattr(body, "answer", -1)
            self.in_order &= at >= last[answer]
            last[answer] = at
        self.engine.close()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=4)
    given = parser.parse_args()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        os.environ.pop(name, None)
    here, there = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    child.start()
    service = Service("bench", base_url=here.recv(), key_required=False)
    limiter = Limiter(given.concurrency)
    askers = [
        Asker(EndpointEngine(service, name, limiter, environ={}), given.questions) for name in "ab"
    ]
    threads = [threading.Thread(target=asker.run) for asker in askers]
    process, began = psutil.Process(), time.monotonic()
    sizes: list[tuple[int, int]] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        done = sum(sum(asker.ends.values()) for asker in askers)
        sizes.append((done, process.memory_info().rss))
        time.sleep(0.05)
    took, cpu = time.monotonic() - began, sum(process.cpu_times()[:2])
    here.send(None)
    most_open, connections, asked = here.recv()
    child.join()

    total = given.questions * len(askers)
    early = max(rss for done, rss in sizes if done <= total // 10)
    row("answers, whole of all", f"{sum(a.whole for a in askers)} of {total}", "all")
    row("other ends", str(dict(sum((a.ends for a in askers), Counter()))), "answered only")
    row("open at once, most", str(most_open), f"{given.concurrency}")
    row("requests, and repetitions shown", f"{asked}, {sum(a.notes for a in askers)}")
    row("connections used", str(connections))
    row("asked in order", str(all(a.order == sorted(a.order) for a in askers)), "True")
    row("events in order of time", str(all(a.in_order for a in askers)), "True")
    row("TTFT", spread([t for a in askers for t in a.ttft_ms], "ms"))
    row("memory at a tenth, and grown since", f"{early / 2**20:.1f} MiB, "
        f"{(sizes[-1][1] - early) / 2**20:+.1f} MiB", "flat")  # fmt: skip
    tokens = total * TOKENS
    row("seconds, and CPU per token", f"{took:.1f} s, {cpu / tokens * 1e6:.0f} us")
    expect("whole answers", sum(a.whole for a in askers), total)
    expect("answers", sum(a.ends["answered"] for a in askers), total)
    expect("open at once", most_open, given.concurrency)
    expect("asked in order", all(a.order == sorted(a.order) for a in askers), True)
    expect("events in order of time", all(a.in_order for a in askers), True)
    promises.end()


if __name__ == "__main__":
    main()
