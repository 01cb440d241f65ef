"""`duibi models quantize` on tiny checkpoints, through the real worker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from tui.checkpoints import quantised_cache
from tui.cli import run_command_line as run


@pytest.fixture
def here(tmp_path: Path, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / "kernels").symlink_to(kernels)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *given: str) -> Any:
    assert run(["models", *given, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_made_kept_listed_and_removed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write_llama(here / "tiny", hidden_size=256, intermediate_size=512)
    left = here / "cache" / "formats" / "x-int4-1.999999999.part"
    left.mkdir(parents=True)
    made = told(capsys, "quantize", "./tiny", "--to", "int4")
    assert (made["dtype"], made["made"]) == ("int4", True)
    assert 0 < made["bytes"] < made["checkpoint_bytes"] / 2
    assert Path(made["path"]).is_dir() and not left.exists()
    again = told(capsys, "quantize", "./tiny", "--to", "int4")
    assert (again["made"], again["path"], again["bytes"]) == (False, made["path"], made["bytes"])
    assert run(["models", "quantize", "./tiny", "--to", "int8"]) == 0
    assert "./tiny@int8 made: " in capsys.readouterr().out
    (row,) = [row for row in told(capsys, "list") if row["reference"] == "./tiny"]
    assert row["kept"].keys() == {"int4", "int8"} and row["kept"]["int4"] == made["bytes"]
    assert run(["models", "list"]) == 0
    assert "int8 " in capsys.readouterr().out
    assert run(["models", "rm", "./tiny", "--yes"]) == 0
    assert not list(quantised_cache.entries()) and (here / "tiny" / "config.json").exists()


def test_nonsense_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write_llama(here / "tiny")
    assert run(["models", "quantize", "./tiny", "--to", "int3"]) == 2
    assert "use int8 or int4" in capsys.readouterr().err
    assert run(["models", "quantize", "./nothing"]) == 2
    assert run(["models", "quantize", "openai:gpt-4o"]) == 2


@pytest.mark.slow
def test_an_interrupted_one_leaves_nothing_and_can_be_asked_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_llama(here / "m", hidden_size=512, intermediate_size=2048, num_hidden_layers=12)
    formats = here / "cache" / "formats"
    command = [sys.executable, "-m", "tui", "models", "quantize", "./m", "--to", "int4"]
    root = str(Path(__file__).parents[3])
    # A shell ignores it for what it starts in the background, and so would the child.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root})
    finally:
        signal.signal(signal.SIGINT, before)
    end = time.monotonic() + 120
    while not list(formats.glob("*.part")) and child.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert not list(formats.glob("*.part")) and not list(quantised_cache.entries())
    assert told(capsys, "quantize", "./m", "--to", "int4")["made"]
