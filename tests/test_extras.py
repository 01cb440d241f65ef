"""The core without torch, and what is said of an extra that is not installed."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.support import tiny
from benchmarks.support.fault_server import FaultServer, good_answer
from tests.support.commands import in_one_process, outputs
from tests.support.lacking import EXTRAS, TORCH, without
from tests.support.small_gguf import write_gguf
from tui.host import extras, paths

ROOT = Path(__file__).parent.parent
ENGLISH = str(paths.bundled("sessions") / "english.duibi")


def run_without(
    packages: tuple[str, ...], folder: Path, *lines: list[str]
) -> list[tuple[int, str, str]]:
    """Exit status, stdout and stderr of commands where packages are not installed."""
    done = subprocess.run(
        in_one_process(*lines),
        env=os.environ | without(folder / "hiding", packages) | {"PYTHONUNBUFFERED": "1"},
        cwd=folder,
        capture_output=True,
        timeout=170,
    )
    told = [(status, said.decode(), "") for status, said in outputs(done.stdout)]
    return [(status, said, done.stderr.decode()) for status, said, _ in told]


def test_the_core_replays_rates_reports_and_looks_at_the_machine(tmp_path: Path) -> None:
    lines = [
        ["replay", ENGLISH, "--plain", "--speed", "max"],
        ["report", ENGLISH, "--out", "report.html"],
        ["report", ENGLISH, "--out", "report.md"],
        ["sessions", "show", ENGLISH],
        ["score", ENGLISH],
        ["questions", "list"],
        ["models", "list"],
        ["doctor"],
    ]
    told = run_without(EXTRAS, tmp_path, *lines)
    assert [status for status, _, _ in told] == [0] * len(lines), told[-1][2]
    assert "torch, transformers" in told[-1][1] and "pip install 'duibi[local]'" in told[-1][1]
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "Traceback" not in told[0][2]


def test_the_core_compares_services(tmp_path: Path) -> None:
    with FaultServer(good_answer("Paris", ".")) as server:
        ((status, said, err),) = run_without(
            EXTRAS, tmp_path, ["run", f"{server.url}#m", "--questions", "smoke", "--json"]
        )
    assert status == 0, err
    assert json.loads(said)["status"] == "done"


@pytest.mark.parametrize("extra", ["local", "gguf", "docx", "png"])
def test_a_missing_extra_is_one_sentence_with_the_command(extra: str, tmp_path: Path) -> None:
    model = tiny.write_llama(tmp_path / "tiny")
    file = str(write_gguf(tmp_path / "tiny.gguf"))
    lines = {
        "local": [
            ["run", str(model), "--questions", "smoke"],
            ["bench", str(model)],
            ["models", "quantize", str(model), "--to", "int8"],
            ["run", f"{file}@int8", "--questions", "smoke"],
            ["score", ENGLISH, "--encoder", str(model)],
            ["score", ENGLISH, "--judge", str(model)],
            [str(model)],
        ],
        "gguf": [["run", file, "--questions", "smoke"], ["run", "demo", "--questions", "smoke"]],
        "docx": [["report", ENGLISH, "--out", "report.docx"]],
        "png": [["report", ENGLISH, "--out", "report.md", "--png"]],
    }[extra]
    told = run_without(EXTRAS, tmp_path, *lines)
    assert [status for status, _, _ in told] == [2] * len(lines), told[-1][2]
    said = [line for line in told[-1][2].splitlines() if line.startswith(("duibi:", "  ->"))]
    assert len(said) == 2 * len(lines), told[-1][2]
    assert all("not installed" in line for line in said[::2])
    assert all(f"pip install 'duibi[{extra}]'" in line for line in said[1::2])


def test_a_gguf_file_is_answered_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = str(write_gguf(tmp_path / "tiny.gguf"))
    lines = [
        ["run", file, "--questions", "smoke", "--max-new-tokens", "4", "--json"],
        ["bench", file, "--prompt", "16", "--new", "2", "--repeat", "1", "--json"],
    ]
    (ran, said, err), (benched, figures, _) = run_without(TORCH, tmp_path, *lines)
    assert (ran, benched) == (0, 0), err
    assert json.loads(said)["status"] == "done"
    assert json.loads(figures)["results"][0]["bandwidth_share"] is None


def test_the_step_is_that_of_what_installed_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(extras, "_NVIDIA", ())
    by_pip = extras.install_step("local")
    assert by_pip.startswith("pip install 'duibi[local]' --extra-index-url https://")
    (tmp_path / "uv-receipt.toml").touch()
    assert extras.install_step("local").startswith("uv pip install --python ")
    (tmp_path / "pipx_metadata.json").touch()
    assert extras.install_step("png") == "pipx runpip duibi install 'duibi[png]'"
    monkeypatch.setattr(extras, "_NVIDIA", (tmp_path,))
    assert "--extra-index-url" not in extras.install_step("local")


def test_every_package_that_an_extra_is_told_by_is_declared_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for extra, modules in extras._MODULES.items():
        declared = " ".join(project["optional-dependencies"][extra])
        assert [name for name in modules.values() if name not in declared] == []
