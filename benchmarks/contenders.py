"""Who is timed in `benchmarks.versus`: duibi's formats, the usual script, llama.cpp."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tui.checkpoints.llama_cpp import FIRST_POOL
from tui.engines.local import LocalEngine
from tui.engines.standard_measure import run_round
from tui.host import cpu, memory, process
from tui.host.paths import log_file
from tui.worker.process.loop import NICE

SLOTS = 8
"""Answers that llama.cpp decodes together."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one answer: seconds until its first token, and milliseconds for each further one."""

    first_s: float
    token_ms: float

    def seconds(self, new: int) -> float:
        """What an answer of so many tokens takes."""
        return self.first_s + self.token_ms * (new - 1) / 1000


class Contender(Protocol):
    """What can be timed."""

    load_s: float
    """From the imports' end until it can be asked."""

    def ask(self, prompt: int, new: int) -> Answer:
        """One answer of ``new`` tokens to a prompt of so many, new each time."""
        ...

    def many(self, prompt: int, new: int, count: int) -> float:
        """Seconds for so many answers, as this contender does them best."""
        ...

    def step(self, prompt: int, new: int, count: int) -> float:
        """Milliseconds for a token of each of so many answers that are decoded together; 0: it
        decodes no two together."""
        ...

    def resident(self) -> int:
        """Bytes of memory it holds, mapped files among them."""
        ...

    def cpu_s(self) -> float:
        """Seconds of CPU time that it has taken so far, all threads."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


class Peak:
    """The highest private memory of a process, sampled by a thread until it is asked for."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine, self._highest, self._over = engine, 0, False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over:
            self._highest = max(self._highest, self._engine.memory()[0])
            time.sleep(0.02)

    def stop(self) -> int:
        """Bytes; the thread ends."""
        self._over = True
        self._thread.join()
        return self._highest


class Duibi:
    """A format of ours, through the ordinary worker."""

    def __init__(self, folder: Path, dtype: str, batch: int, threads: int) -> None:
        self._engine = LocalEngine(folder, dtype, threads, log_file(), batch=batch)
        self._engine.start()
        peak = Peak(self._engine)
        loaded = self._engine.load(lambda t_ns, body: None)
        self.load_s, self.loading_peak = loaded.load_s - loaded.import_s, peak.stop()
        for note in loaded.notes:
            print(f"  {dtype}: {note}")

    def ask(self, prompt: int, new: int) -> Answer:
        """See `Contender`."""
        seen = run_round(self._engine, prompt, new).answers[0]
        return Answer((seen.ttft_ms or 0.0) / 1000, seen.tpot_ms or 0.0)

    def many(self, prompt: int, new: int, count: int) -> float:
        """Decoded together."""
        return run_round(self._engine, prompt, new, count).seconds

    def step(self, prompt: int, new: int, count: int) -> float:
        """See `Contender`: of the answer that waited least for prompts of others."""
        seen = run_round(self._engine, prompt, new, count).answers
        return min(one.tpot_ms or 0.0 for one in seen)

    def resident(self) -> int:
        """See `Contender`; once it rests."""
        time.sleep(1.0)
        return sum(self._engine.memory())

    def cpu_s(self) -> float:
        """See `Contender`."""
        return _cpu_s(self._engine.pid)

    def close(self) -> None:
        """See `Contender`."""
        self._engine.close()


def _cpu_s(pid: int | None) -> float:
    seen = process.read_stat(pid) if pid else None
    return seen.cpu_s if seen else 0.0


class Other:
    """A child process that answers a line of JSON with a line of JSON; one at a time."""

    def __init__(self, *arguments: str, measured: int) -> None:
        command = [sys.executable, "-m", "benchmarks.contenders", *arguments]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._measured = measured
        self.load_s = float(self._told())

    def _told(self) -> Any:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            sys.exit("a contender died")
        return json.loads(line)

    def _asked(self, prompt: int, new: int, count: int) -> list[tuple[float, float]]:
        assert self._child.stdin is not None
        print(json.dumps([prompt, new, count]), file=self._child.stdin, flush=True)
        return [(first, total) for first, total in self._told()]

    def ask(self, prompt: int, new: int) -> Answer:
        """See `Contender`."""
        ((first, total),) = self._asked(prompt, new, 1)
        return Answer(first, (total - first) / (new - 1) * 1000)

    def step(self, prompt: int, new: int, count: int) -> float:
        """See `Contender`."""
        seen = self._asked(prompt, new, count)
        return min((total - first) / (new - 1) * 1000 for first, total in seen) if seen else 0.0

    def many(self, prompt: int, new: int, count: int) -> float:
        """One after another: all cost the same, so only some are measured."""
        some = min(count, self._measured)
        return sum(self.ask(prompt, new).seconds(new) for _ in range(some)) / some * count

    def resident(self) -> int:
        """See `Contender`."""
        return sum(memory.process_memory(self._child.pid))

    def cpu_s(self) -> float:
        """See `Contender`."""
        return _cpu_s(self._child.pid)

    def close(self) -> None:
        """See `Contender`."""
        self._child.terminate()
        self._child.wait()


def serve(load_s: float, answer: Any, together: Any = lambda *_: []) -> None:
    """The child's side: ``answer(prompt, new) -> (s until the first token, s in all)``, and
    ``together(prompt, new, count)`` a list of such."""
    print(load_s, flush=True)
    for line in sys.stdin:
        prompt, new, count = json.loads(line)
        seen = [answer(prompt, new)] if count == 1 else together(prompt, new, count)
        print(json.dumps(seen), flush=True)


def serve_script(folder: str, threads: int) -> None:
    """The script that people use."""
    from threading import Thread

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

    torch.set_num_threads(threads)
    began = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    load_s = time.perf_counter() - began
    torch.manual_seed(0)

    def answer(prompt: int, new: int) -> tuple[float, float]:
        ids = torch.randint(100, 40000, (1, prompt))
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
        more = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
        began = time.perf_counter()
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "streamer": streamer}
        times: list[float] = []
        hook = model.register_forward_hook(lambda *_: times.append(time.perf_counter() - began))
        thread = Thread(target=model.generate, kwargs=given | more)
        thread.start()
        for _ in streamer:
            pass
        thread.join()
        hook.remove()
        return times[0], times[-1]

    serve(load_s, answer)


def serve_llama(gguf: str, threads: int) -> None:
    """llama.cpp through llama-cpp-python, compiled for this CPU."""
    import random

    from llama_cpp import Llama

    began = time.perf_counter()
    model = Llama(gguf, n_ctx=2048, n_threads=threads, verbose=False)
    load_s = time.perf_counter() - began

    def answer(prompt: int, new: int) -> tuple[float, float]:
        ids = [random.randrange(100, 40000) for _ in range(prompt)]
        began, times = time.perf_counter(), []
        model.reset()
        for number, _ in enumerate(model.generate(ids, temp=0.0), 1):
            times.append(time.perf_counter() - began)
            if number == new:
                break
        return times[0], times[-1]

    serve(load_s, answer)


def llama_server(gguf: str, threads: int) -> Any:
    """xllamacpp's server as it is by default, but for its warm-up, with `SLOTS` slots and room for
    as many tokens as the worker of duibi has for as many."""
    import xllamacpp

    given = xllamacpp.CommonParams()
    given.model.path, given.n_parallel, given.kv_unified = gguf, SLOTS, True
    given.n_ctx = 2 * FIRST_POOL
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
    given.warmup = given.fit_params = given.ui = given.cache_idle_slots = False
    given.cache_ram_mib, given.verbosity = 0, -1
    with tempfile.TemporaryDirectory() as folder:
        given.hostnames = [f"{folder}/llama.sock"]
        return xllamacpp.Server(given)


def serve_wheel(gguf: str, threads: int) -> None:
    """llama.cpp through xllamacpp, whose wheel is compiled for AVX2; by its own clock, which
    counts neither JSON nor Python."""
    import random
    from concurrent.futures import ThreadPoolExecutor

    began = time.perf_counter()
    server = llama_server(gguf, threads)
    load_s = time.perf_counter() - began
    order = {"ignore_eos": True, "temperature": 0, "cache_prompt": False}

    def answer(prompt: int, new: int, slot: int = 0) -> tuple[float, float]:
        ids = [random.randrange(100, 40000) for _ in range(prompt)]
        told: list[Any] = []

        def take(piece: Any) -> bool:
            told.append(piece)
            return False

        # One after another in the same: a token looks over the cells of all that are in use.
        given = {"prompt": ids, "n_predict": new, "id_slot": slot}
        server.handle_completions({**order, **given}, take)
        took = told[-1]["timings"]
        first_s = took["prompt_ms"] / 1000
        return first_s, first_s + took["predicted_per_token_ms"] * (new - 1) / 1000

    def together(prompt: int, new: int, count: int) -> list[tuple[float, float]]:
        with ThreadPoolExecutor(count) as pool:
            each = itertools.repeat(prompt, count), itertools.repeat(new), range(count)
            return list(pool.map(answer, *each))

    serve(load_s, answer, together)


def quantised(bf16: Path, target: Path, kind: str) -> None:
    """llama.cpp's own quantisation of a GGUF file, by its recipe of that name."""
    import ctypes

    import llama_cpp

    given = llama_cpp.llama_model_quantize_default_params()
    given.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    given.nthread = cpu.cores()
    source, to = (str(path).encode() for path in (bf16, target))
    if llama_cpp.llama_model_quantize(source, to, ctypes.byref(given)):
        sys.exit(f"llama.cpp could not make {kind} of {bf16}")


SERVERS = {"script": serve_script, "native": serve_llama, "wheel": serve_wheel}

if __name__ == "__main__":
    # As duibi's workers are: on a busy machine the nicer process waits for the other.
    os.nice(NICE)
    SERVERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
