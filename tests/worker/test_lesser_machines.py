"""A CPU without the newest instructions, a full disk, a model that computes no numbers: each
through the real worker process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tests.support import disks
from tests.support.bodies import text_of
from tests.support.kernels import needs_kernels
from tests.support.waiting import until
from tui.engines import fork_server
from tui.engines.worker_process import WorkerExit, WorkerProcess
from tui.events import Answered, Body, Cancelled, Delta, Failed, Loaded
from tui.worker.kernels import build
from tui.worker_protocol import AnswerOrder, DecodeRequest, LoadOrder

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DUIBI_HIDE_CPU_FLAGS": "avx_vnni",
}
OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
NO_COMPILER = {"PATH": "/nowhere", "DUIBI_CACHE_DIR": "empty"}
"""Nor a cache in which kernels were compiled before."""
ACCURACY = """
import os, sys
import torch
from tui.worker.quant import torch_linear as tl
for isa in sys.argv[1:]:
    # oneDNN reads it when it first computes, which is in the copy of this process.
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0, isa
        continue
    os.environ["ONEDNN_MAX_CPU_ISA"] = isa
    torch.manual_seed(0)
    weight, x = 1 + torch.rand(64, 256) / 8, 1 + torch.rand(24, 256) / 8
    kind = tl.TorchInt8Linear if tl.has_vnni() else tl.WidenedInt8Linear
    layer = kind(kind.pack(weight, None))
    print(max(float((layer(part) - part @ weight.T).norm() / (part @ weight.T).norm())
              for part in (x, x[:3])), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tiny.write_llama(tmp_path_factory.mktemp("tiny"))
    (made / "generation_config.json").write_text("{}")
    return made


class Worker:
    """A worker process that answers by one model after another: its libraries are imported
    once for all of them."""

    def __init__(self, log: Path) -> None:
        self._process = WorkerProcess(1, log)

    def answered(self, folder: Path, dtype: str, lookup: bool = False) -> tuple[Loaded, list[Body]]:
        self._process.send(LoadOrder(str(folder), dtype, 1, lookup=lookup))
        loaded = self._until(Loaded, Failed)[-1]
        assert isinstance(loaded, Loaded) and loaded.dtype == dtype, loaded
        asked = DecodeRequest(1, (("user", "hello"),), 6, {"greedy": True})
        self._process.send(AnswerOrder((asked,)))
        return loaded, self._until(Answered, Failed, Cancelled)

    def _until(self, *ends: type[Body]) -> list[Body]:
        found: list[Body] = []
        while not isinstance(found[-1] if found else None, ends):
            item = self._process.inbox.get(timeout=120)
            assert not isinstance(item, WorkerExit), item
            found.append(item[1])
        return found

    def close(self) -> None:
        self._process.close()


@pytest.fixture
def take_away(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], None]]:
    """Sets variables for the workers that are started from now on. They get a fork server of their
    own, which is gone afterwards, and the other tests keep theirs."""
    with pytest.MonkeyPatch.context() as patch:

        def take(less: dict[str, str]) -> None:
            patch.setattr(fork_server, "_servers", [])
            for name, value in less.items():
                patch.setenv(name, str(tmp_path / value) if value == "empty" else value)

        yield take
        until(lambda: all(is_closed(server) for server in fork_server._servers))


def is_closed(server: Any) -> bool:
    server.close_if_unused()
    return bool(server.is_gone)


@pytest.mark.parametrize(
    ("less", "said"),
    [
        (AVX2 | NO_COMPILER, "there is no C compiler (apt install gcc)"),
        (OLDEST, "torch keeps to DEFAULT here (ATEN_CPU_CAPABILITY)"),
    ],
    ids=["no compiler", "oldest"],
)
def test_a_cpu_with_less_answers_and_it_is_said(
    folder: Path,
    less: dict[str, str],
    said: str,
    tmp_path: Path,
    take_away: Callable[[dict[str, str]], None],
) -> None:
    take_away(less)
    with closing(Worker(tmp_path / "log")) as worker:
        texts = {}
        for dtype in ("bf16", "int8", "int4"):
            loaded, bodies = worker.answered(folder, dtype)
            assert (loaded.kernels, loaded.kernels_note) == ("torch", said)
            slow = less is OLDEST and dtype == "int4"
            assert [note for note in loaded.notes if "int4 is slow" in note] == loaded.notes
            assert len(loaded.notes) == int(slow)
            end = bodies[-1]
            assert isinstance(end, Answered) and end.output_tokens == 6, dtype
            texts[dtype] = text_of(bodies)
        if less is not OLDEST:
            # What rounds several tokens unlike one guesses none, and says so.
            loaded, bodies = worker.answered(folder, "int8", lookup=True)
            assert len([note for note in loaded.notes if "--lookup" in note]) == 1
            assert text_of(bodies) == texts["int8"] != ""


@needs_kernels
def test_avx2_is_enough_for_our_kernels_and_for_the_same_words(
    folder: Path, tmp_path: Path, take_away: Callable[[dict[str, str]], None]
) -> None:
    found = []
    for less in ({}, AVX2):
        if less:
            take_away(less)
        with closing(Worker(tmp_path / "log")) as worker:
            for dtype in ("bf16", "int8", "int4"):
                loaded, bodies = worker.answered(folder, dtype, lookup=bool(less))
                assert (loaded.notes, loaded.kernels_note) == ([], "")
                assert loaded.kernels == ("AVX2" if less else build.variant_name())
                found.append((dtype, text_of(bodies)))
    assert found[:3] == found[3:]
    assert all(text for _, text in found)


def test_sums_of_bytes_do_not_overflow_whatever_onednn_may_use() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ACCURACY, "DEFAULT", "AVX512_CORE", "AVX2", "SSE41"],
        capture_output=True,
        text=True,
        env=os.environ | AVX2 | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    errors = [float(line) for line in done.stdout.splitlines()]
    assert len(errors) == 4 and max(errors) < 0.02


def test_a_full_disk_costs_the_next_load_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Worker(tmp_path / "log")) as worker:
        wanted, usual = worker.answered(folder, "int8")
    assert wanted.notes == []
    with disks.small_disk(64) as disk:
        if disk is None:
            pytest.skip("a file system cannot be mounted here")
        # Not even the kernels find room there.
        monkeypatch.setenv("DUIBI_CACHE_DIR", str(disk))
        with closing(Worker(tmp_path / "log")) as worker:
            loaded, bodies = worker.answered(folder, "int8")
        assert shutil.disk_usage(disk).total < 100_000
        assert not list(disk.rglob("*.safetensors"))
        assert not list(disk.rglob("*.part"))
    first, *rest = [note for note in loaded.notes if note not in wanted.notes]
    assert first.startswith("int8 weights are not kept for the next load: no space for ")
    assert rest == []
    assert text_of(bodies) == text_of(usual) != ""


def test_no_number_is_a_failure_in_every_format(tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    broken = LlamaForCausalLM(tiny.config())
    with torch.no_grad():
        # A number, as every weight of a checkpoint must be; what is computed with it is none.
        broken.model.norm.weight.fill_(3e38)
    broken.save_pretrained(tmp_path / "broken")
    tiny.write_tokenizer(tmp_path / "broken")
    with closing(Worker(tmp_path / "log")) as worker:
        for dtype in ("fp32", "bf16", "int8", "int4"):
            _, bodies = worker.answered(tmp_path / "broken", dtype)
            end = bodies[-1]
            assert isinstance(end, Failed) and end.cause == "nan", dtype
            assert "NaN" in end.message and end.next_step
            assert not any(isinstance(body, Delta) for body in bodies)
