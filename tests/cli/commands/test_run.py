"""`duibi run` with real workers on a tiny checkpoint: figures, a stop, and going on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from tests.support.commands import in_this_process
from tests.support.figures_again import Again
from tests.support.small_gguf import write_gguf
from tests.support.waiting import process_gone
from tests.support.waiting import until as wait_until
from tui import cli
from tui.host import paths
from tui.host.process import process_tree
from tui.reports.messages import report_messages
from tui.reports.report import build_report
from tui.sessions import reader


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Many small layers, and a stop id that never comes: answers of a known length.
    made = tmp_path_factory.mktemp("models") / "tiny"
    return tiny.write_llama(made, stop=319, num_hidden_layers=30, hidden_size=128)


def start(*args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tui", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DUIBI_LANG": "en"},
        start_new_session=True,
    )


def result(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint for what is only computed."""
    return tiny.write_llama(tmp_path_factory.mktemp("models") / "small", stop=319)


SHORT = ("--questions", "smoke", "--max-new-tokens", "20", "--greedy", "--json")


@pytest.fixture(scope="module")
def two_models(
    small: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str, Path]:
    """A run of two models: its JSON, what it told, and the file it was asked to write."""
    place = tmp_path_factory.mktemp("two")
    out = place / "result.json"
    models = (f"{small}@bf16", f"{small}@fp32")
    code, printed, told = in_this_process(
        "run", *models, *SHORT, "--measure", "--out", str(out), "--sessions", str(place)
    )
    assert code == 0, told
    return json.loads(printed), told, out


def test_a_run_of_a_published_gguf_file_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = write_gguf(tmp_path / "tiny.gguf")
    folder = ("--sessions", str(tmp_path / "s"))
    code, printed, told = in_this_process("run", str(file), *SHORT, "--no-measure", *folder)
    assert code == 0, told
    session = json.loads(printed)["session"]
    code, printed, told = in_this_process("run", "--resume", session, "--json")
    assert code == 0, told
    (model,) = json.loads(printed)["models"]
    assert model["name"] == str(file) and len(model["answers"]) == 3


def test_a_complete_run_has_nothing_to_go_on_with(
    two_models: tuple[dict[str, Any], str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    made, _, _ = two_models
    before = Path(made["session"]).read_bytes()
    assert cli.run_command_line(["run", "--resume", made["session"], "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == made
    assert "every answer is there; nothing to do, nothing changed" in told.err
    assert Path(made["session"]).read_bytes() == before


def test_more_models_than_a_session_names_are_refused(tmp_path: Path) -> None:
    models = [f"pasted:{number}" for number in range(65)]
    code, _, told = in_this_process("run", *models, *SHORT, "--sessions", str(tmp_path))
    assert code == 2 and "65 models in one run" in told
    assert not list(tmp_path.glob("*.duibi"))


def test_columns_of_one_checkpoint_are_one_worker(small: Path, tmp_path: Path) -> None:
    vary = ("--vary", "max_new_tokens=5,9", "--vary", "seed=1,2")
    folder = ("--sessions", str(tmp_path))
    code, printed, told = in_this_process(
        "run", f"{small}@bf16", *vary, *SHORT[:2], "--json", *folder
    )
    assert code == 0, told
    models = json.loads(printed)["models"]
    assert [model["weights_of"] for model in models] == [None, 0, 0, 0]
    assert [model["settings"]["seed"] for model in models] == [1, 2, 1, 2]
    assert {a["output_tokens"] for a in models[0]["answers"]} == {5}
    assert {a["output_tokens"] for a in models[3]["answers"]} == {9}
    assert len({model["load_s"] for model in models}) == 1, "it was loaded once"
    first, *others = (model["label"] for model in models)
    assert f"{', '.join(others)} use the weights of {first}, in one worker" in told
    (file,) = tmp_path.glob("*.duibi")
    report = tmp_path / "report.md"
    code, _, told = in_this_process("report", str(file), "--format", "md", "--out", str(report))
    assert code == 0, told
    assert "holds the weights once" in report.read_text()
    assert report.read_text().count("max_new_tokens=9 seed=2") > 1
    code, _, told = in_this_process("run", f"{small}?temprature=1", *folder)
    assert code == 2 and "did you mean temperature?" in told


def test_two_models_as_a_json_document_and_a_session(
    two_models: tuple[dict[str, Any], str, Path],
) -> None:
    made, told, out = two_models
    assert json.loads(out.read_text()) == made
    assert (made["status"], made["saved"]) == ("done", True)
    assert [model["dtype"] for model in made["models"]] == ["bf16", "fp32"]
    assert made["settings"]["sampling"] == "greedy"
    for model in made["models"]:
        assert model["load_s"] > 0
        assert model["peak_ram_bytes"] > 100 << 20
        assert [a["question"] for a in model["answers"]] == ["capital", "sum", "hello"]
        assert max(a["batch"] for a in model["answers"]) > 1
        for answer in model["answers"]:
            assert answer["finish_reason"] in ("length", "stop")
            assert 0 < answer["output_tokens"] <= 20
            assert 0 < answer["ttft_ms"] <= answer["e2e_ms"]
            assert answer["token_source"] == "tokenizer"
    reading = reader.read(Path(made["session"]))
    assert reading.verdict == "complete"
    assert "6/6" in told


def test_a_default_run_ends_in_a_full_cost_table(
    two_models: tuple[dict[str, Any], str, Path],
) -> None:
    made, told, _ = two_models
    assert "standard measure (256 + 64 tokens, one answer at a time)" in told
    path = Path(made["session"])
    again = Again(path)
    for number, model in enumerate(made["models"]):
        measured = model["measured"]
        assert (measured["prompt_tokens"], measured["output_tokens"]) == (256, 64)
        # Other programs may take cores, and threads then change; the other model computes not.
        assert measured["contended_by"] not in ("model", "question")
        figures = {name: one["value"] for name, one in model["figures"].items()}
        assert figures == pytest.approx(again.figures(number))
        assert {name for name, value in figures.items() if not value} <= {"answer_ttft", "thought"}
        assert {a["contended_by"] for a in model["answers"]}.isdisjoint(("model", "question"))
    for lang in ("en", "zh"):
        document = build_report([reader.read(path)], lang)
        title = report_messages(lang)("costs")
        (table,) = [t for t in document.comparison if t.title == title]
        assert len(table.rows) == 2 and len(table.head) == 13
        assert not [cell for row in table.rows for cell in row if cell.text in ("", "–")]
        listed = {cell.text for t in document.run for row in t.rows for cell in row}
        words = {word for text in listed for word in re.split(r"[\s,;：；]+", text)}
        assert words & {"True", "False", "auto", "None"} == set() and "template" not in listed


def test_a_batch_says_so_and_says_the_same(
    small: Path, two_models: tuple[dict[str, Any], str, Path]
) -> None:
    together, told, _ = two_models
    assert "decoded together" in told
    code, printed, told = in_this_process("run", f"{small}@fp32", *SHORT, "--batch", "1")
    assert code == 0, told
    assert "decoded together" not in told
    (alone,) = json.loads(printed)["models"]
    _, fp32 = together["models"]
    assert [a["text"] for a in alone["answers"]] == [a["text"] for a in fp32["answers"]]


def test_a_stop_saves_what_came_and_the_rest_is_asked_later(checkpoint: Path) -> None:
    process = start(
        *("run", str(checkpoint), "--questions", "smoke", "--max-new-tokens", "400"),
        *("--batch", "1"),
    )
    folder = paths.sessions_dir()
    until = time.monotonic() + 90
    answered: list[str] = []
    while not answered:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
        for file in folder.glob("*.duibi"):
            if b'"answered"' in file.read_bytes():
                answered.append(file.name)
    _, *children = process_tree(process.pid)
    assert children
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    code, printed, told = result(process)
    assert code == 130
    assert f"duibi run --resume {answered[0]}" in told
    assert "1/3" in printed
    wait_until(lambda: all(process_gone(pid) for pid in children))
    path = folder / answered[0]
    before = reader.read(path)
    assert before.verdict == "complete"

    code, printed, told = in_this_process("run", "--resume", answered[0], "--json")
    assert code == 0, told
    answers = json.loads(printed)["models"][0]["answers"]
    assert [a["state"] for a in answers] == ["answered"] * 3
    assert "capital" not in told, "what was there before is not told again"
    after = reader.read(path)
    assert after.verdict == "complete"
    assert after.events[: len(before.events)] == before.events


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "200M")
    code, printed, told = result(start("run", str(checkpoint), "--questions", "smoke"))
    assert (code, printed) == (4, "")
    assert "needs 0.4 GB (" in told and "DUIBI_MEMORY_LIMIT" in told
    assert not list(paths.sessions_dir().iterdir())
