"""`duibi bench` on a tiny checkpoint, through the real worker."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from tui.checkpoints import build_cache, gguf_cache, quantised_cache
from tui.checkpoints.weight_files import weight_files
from tui.cli import run_command_line as run
from tui.cli.support import machine_speed
from tui.engines import standard_measure
from tui.engines.local import LocalEngine
from tui.host import cpu, format_speeds, page_cache


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """On a machine at rest, so that figures are kept."""
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 0.0)
    run_round = standard_measure.run_round

    def at_rest(*given: Any) -> Any:
        made = run_round(*given)
        ends = [replace(one, contended=False, contended_by="") for one in made.answers]
        return replace(made, answers=tuple(ends))

    monkeypatch.setattr(standard_measure, "run_round", at_rest)
    folder = tiny.write_llama(tmp_path / "tiny")
    (folder / "generation_config.json").write_text("{}")
    return str(folder)


@pytest.fixture
def known_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the memory of this machine does is not measured again."""
    monkeypatch.setattr(machine_speed, "bandwidth", lambda threads, device: 20e9)


def test_figures_of_each_batch_as_json(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--prompt", "100", "--new", "12", "--repeat", "2", "--batch", "1,3", "--json"]
    assert run(["bench", f"{model}@int8", *given]) == 0
    found = json.loads(capsys.readouterr().out)
    one, three = found["results"]
    known = format_speeds.read().batches
    (kept,) = known.values()
    assert kept == {1: one["all_tok_s"], 3: three["all_tok_s"]} and next(iter(known)).endswith(
        "@int8"
    )
    assert (one["batch"], three["batch"]) == (1, 3)
    assert one["prompt_tokens"] == 100
    assert one["new_tokens"] == three["new_tokens"] == 12
    for each in (one, three):
        assert each["decode_tok_s"] > 0 and each["prefill_tok_s"] > 0 and each["ttft_ms"] > 0
        assert each["all_tok_s"] > 0
        assert 0 < each["bandwidth_share"] < 1
        # Every weight is read once a step, but the embedding, which is looked up.
        assert 100_000 < each["bytes_read"] < 400_000
        assert each["read_bytes_s"] > 1e8
        assert each["device"] in ("cpu", "cuda")
        assert each["load_s"] > 0 and each["peak_private"] > 0 and each["peak_mapped"] > 0
        # Just written: it lies in memory.
        assert each["file_cache"] == 1


@pytest.mark.usefixtures("known_bandwidth")
def test_a_cold_load_is_from_the_disk_and_said(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["--cold", "--prompt", "20", "--new", "2", "--repeat", "1", "--batch", "1"]
    path = tmp_path / "tiny" / "model.safetensors"
    page_cache.drop([path])
    if page_cache.cached_share([path]):
        pytest.skip("this file system keeps every page")
    path.read_bytes()
    assert page_cache.cached_share([path]) == 1
    assert run(["bench", model, *given]) == 0
    head, row = capsys.readouterr().out.splitlines()
    said = row[head.index("FILE CACHE") :].split()[0]
    assert said == "cold"


def test_what_of_no_file_is_in_memory_is_not_known(tmp_path: Path) -> None:
    assert page_cache.cached_share([tmp_path / "gone"]) is None
    assert page_cache.cached_share([]) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "which models?"),
        (["demo", "--batch", "1,x"], "'1,x' is no list"),
        (["demo", "--batch", "0"], "'0' is no list"),
        (["pasted:me"], "is not computed here"),
    ],
)
def test_nonsense_is_refused(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *given]) == 2
    assert said in capsys.readouterr().err


def test_a_cold_load_counts_the_files_it_reads_not_those_they_were_made_of(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF" + bytes(60))
    assert weight_files(gguf, "int8") == [gguf]
    shutil.copytree(model, gguf_cache.entry_folder(gguf, "bf16"))
    plain = gguf_cache.entry_folder(gguf, "bf16") / "model.safetensors"
    assert weight_files(gguf, "bf16") == [plain]
    made = gguf_cache.entry_folder(gguf, "words")
    made.mkdir()
    assert weight_files(gguf, "int8") == [gguf]
    kept = quantised_cache.root() / f"k-int8-{quantised_cache.QUANTISER_VERSIONS['int8']}"
    kept.mkdir(parents=True)
    (kept / "model.safetensors").write_bytes(b"x")
    told = {"source": str(made.resolve()), "dtype": "int8"}
    (kept / build_cache.MANIFEST).write_text(json.dumps(told))
    assert weight_files(gguf, "int8") == [kept / "model.safetensors"]


def test_cores_that_others_use_are_left_to_them_and_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 8)
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 1.1)
    assert machine_speed.free_cores() == 7
    assert "other programs use 1.1 of 8 cores: measured with 7" in capsys.readouterr().err
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 0.1)
    assert (machine_speed.free_cores(), capsys.readouterr().err) == (8, "")


@pytest.mark.usefixtures("known_bandwidth")
def test_a_batch_that_is_slower_in_sum_is_said(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round of several answers that takes ten times as long as it does."""
    run_round = standard_measure.run_round

    def slow(engine: LocalEngine, prompt: int, new: int, answers: int) -> Any:
        made = run_round(engine, prompt, new, answers)
        return replace(made, seconds=made.seconds * (1 if answers == 1 else 10))

    monkeypatch.setattr(standard_measure, "run_round", slow)
    given = ["--prompt", "16", "--new", "4", "--repeat", "1", "--batch", "1,2"]
    assert run(["bench", f"{model}@fp32", *given]) == 0
    said = "2 answers together take longer than one after another: use --batch 1"
    assert said in capsys.readouterr().err
    (key,) = format_speeds.read().batches
    assert format_speeds.read().is_slower_together(key, "fp32", 2)


@pytest.mark.usefixtures("known_bandwidth")
def test_a_disturbed_row_is_marked_told_and_not_kept(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch 2 loses cores to other programs."""
    run_round = standard_measure.run_round

    def disturbed(engine: LocalEngine, prompt: int, new: int, answers: int) -> Any:
        made = run_round(engine, prompt, new, answers)
        by = "programs" if answers == 2 else ""
        ends = [replace(one, contended=bool(by), contended_by=by) for one in made.answers]
        return replace(made, answers=tuple(ends))

    monkeypatch.setattr(standard_measure, "run_round", disturbed)
    given = ["--prompt", "16", "--new", "4", "--repeat", "1", "--batch", "1,2"]
    assert run(["bench", f"{model}@fp32", *given]) == 0
    said = capsys.readouterr()
    head, one, two = said.out.splitlines()
    places = slice(head.index("PREFILL"), head.index("LOAD s"))
    assert one[places].count("*") == 0 and two[places].count("*") == 4
    note = "* it did not have its cores for itself; other programs took them"
    assert said.err.count(note) == 1
    (kept,) = format_speeds.read().batches.values()
    assert list(kept) == [1]
