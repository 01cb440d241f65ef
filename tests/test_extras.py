"""The core without torch, and what is said of an extra that is not installed."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from benchmarks.support.fault_server import FaultServer, good_answer
from tests.support.commands import run_with
from tests.support.lacking import EXTRAS, TORCH, without
from tests.support.small_gguf import write_gguf
from tui.host import extras, paths

ROOT = Path(__file__).parent.parent
ENGLISH = str(paths.bundled("sessions") / "english.duibi")


def run_without(
    packages: tuple[str, ...], folder: Path, *lines: list[str]
) -> tuple[list[int], list[str], str]:
    """Exit statuses and stdout of commands where packages are not installed, and their stderr."""
    return run_with(without(folder / "hiding", packages), folder, *lines)


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
    statuses, said, err = run_without(EXTRAS, tmp_path, *lines)
    assert statuses == [0] * len(lines), err
    assert "torch, transformers" in said[-1] and "pip install 'duibi[local]'" in said[-1]
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "Traceback" not in err


def test_the_core_compares_services(tmp_path: Path) -> None:
    with FaultServer(good_answer("Paris", ".")) as server:
        statuses, (said,), err = run_without(
            EXTRAS, tmp_path, ["run", f"{server.url}#m", "--questions", "smoke", "--json"]
        )
    assert statuses == [0], err
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
    statuses, _, err = run_without(EXTRAS, tmp_path, *lines)
    assert statuses == [2] * len(lines), err
    said = [line for line in err.splitlines() if line.startswith(("duibi:", "  ->"))]
    assert len(said) == 2 * len(lines), err
    assert all("not installed" in line for line in said[::2])
    assert all(f"pip install 'duibi[{extra}]'" in line for line in said[1::2])


def test_a_gguf_file_is_answered_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = str(write_gguf(tmp_path / "tiny.gguf"))
    lines = [
        ["run", file, "--questions", "smoke", "--max-new-tokens", "4", "--json"],
        ["bench", file, "--prompt", "16", "--new", "2", "--repeat", "1", "--json"],
    ]
    statuses, (said, figures), err = run_without(TORCH, tmp_path, *lines)
    assert statuses == [0, 0], err
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


def test_every_package_is_declared_and_used() -> None:
    """None comes only because another one needs it today, and none is installed for nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = [line for name in ("local", *EXTRA_NAMES) for line in _declared(project, name)]
    core = [re.split(r"[<>=]", line)[0] for line in project["dependencies"]]
    owners = packages_distributions()
    assert set(core) | set(extra) == {
        *(
            owners[module][0].lower().replace("_", "-")
            for module in _imported() - set(sys.stdlib_module_names)
        ),
        # By its name, and by its command, which fills the cache that is shared with others.
        *("xllamacpp", "modelscope"),
    }


EXTRA_NAMES = ("gguf", "png", "docx")


def _declared(project: dict[str, Any], extra: str) -> list[str]:
    return [re.split(r"[<>=]", line)[0] for line in project["optional-dependencies"][extra]]


def _imported() -> set[str]:
    found = set()
    for path in (ROOT / "tui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - {"tui"}


def test_addresses_of_the_project_are_real_ones_or_none() -> None:
    """No address is known where the project lives, so none is given: an invented one would send
    people and what went wrong for them to strangers. Where there is one, all of these are meant."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    urls = project.get("urls", {})
    assert not urls or {"Homepage", "Documentation", "Issues", "Changelog"} <= urls.keys()
    assert all(url.startswith("https://") and "example" not in url for url in urls.values())
