"""`duibi doctor`: what it sees of processor, disks, terminal and GPU, each trouble with a step."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.support.terminal import DUIBI, Terminal
from tui.cli import run_command_line as run
from tui.cli.support import machine_checks
from tui.host import paths

VNNI = {"avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return tmp_path


def seen(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Name of each check -> its state and words, with the next step."""
    capsys.readouterr()
    run(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    return {c["name"]: f"{c['state']} {c['seen']} -> {c['next_step']}" for c in told["checks"]}


def test_what_survives_a_restart_is_told_for_every_folder(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = alone / "disk"
    disk.mkdir()
    monkeypatch.setenv("DUIBI_PERSISTENT_DIR", str(disk))
    monkeypatch.setenv("DUIBI_SESSIONS_DIR", str(disk / "sessions"))
    run(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    by_use = {one["use"]: one for one in told["disks"]}
    assert by_use["sessions"]["survives_restart"] is True
    assert by_use["ModelScope cache"]["survives_restart"] is False
    assert by_use["clones"]["path"] == str(disk)
    assert all(one["free"] > 0 and one["kind"] for one in told["disks"])
    checks = seen(capsys)
    assert "survives a restart" in checks["disk: sessions"]
    assert checks["disk: sessions"].startswith("ok")
    assert "gone after a restart" in checks["disk: ModelScope cache"]
    assert f"export MODELSCOPE_CACHE={disk}" in checks["disk: ModelScope cache"]
    monkeypatch.setenv("DUIBI_PERSISTENT_DIR", str(alone / "nowhere"))
    assert "after a restart" not in str(seen(capsys)) and "survives a" not in str(seen(capsys))


@pytest.mark.parametrize(
    ("flags", "state", "step", "name"),
    [
        ({*VNNI, "avx512_bf16"}, "ok", "", "AVX-512 VNNI"),
        (VNNI, "ok", "", "AVX-512 VNNI"),
        ({"avx2", "fma", "avx_vnni"}, "ok", "", "AVX-VNNI"),
        ({"avx2", "fma"}, "ok", "", "AVX2"),
        ({"avx2", "fma", "avx512f"}, "ok", "", "AVX2"),
        ({"asimd", "bf16", "i8mm"}, "ok", "", ""),
        ({"asimd", "asimddp"}, "note", "bf16 is emulated", ""),
        ({"avx2", "avx512_bf16"}, "note", "no VNNI or AMX", ""),
        ({"sse4_2"}, "note", "no AVX2", ""),
    ],
)
def test_instructions_that_matter_are_named_and_missing_ones_have_a_step(
    flags: set[str], state: str, step: str, name: str
) -> None:
    found, own = machine_checks.instructions(frozenset(flags))
    assert found.state == state and step in found.next_step and bool(step) == bool(found.next_step)
    unnamed = {"sse4_2", "fma", "avx512bw", "avx512vl"}
    assert set(found.seen.split()) == flags - unnamed or found.seen == "none known"
    assert (own.state, own.name) == ("ok" if name else "note", "kernels")
    assert own.seen == (f"our own for {name}, compiled at first use" if name else "torch's")
    assert bool(own.next_step) == (not name)


def test_a_gpu_that_this_torch_cannot_use_has_a_step(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = alone / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('NVIDIA A10, 23028 MiB')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(alone))
    version = "tui.cli.support.machine_checks.metadata.version"
    monkeypatch.setattr(version, lambda name: "2.13.0+cpu")
    found = machine_checks.gpu()
    assert found.state == "note" and "NVIDIA A10" in found.seen and "CUDA" in found.next_step
    monkeypatch.setattr(version, lambda name: "2.13.0")
    assert machine_checks.gpu().state == "ok"
    program.write_text(f"#!{sys.executable}\nraise SystemExit(9)\n")
    assert machine_checks.gpu().seen == "none: the CPU computes"
    program.unlink()
    assert machine_checks.gpu().seen == "none: the CPU computes"


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({"COLORTERM": "truecolor"}, ("ok    terminal", "120x36", "all colours", "mouse off")),
        ({"COLORTERM": "", "TMUX": "/tmp/x,1,0"}, ("inside tmux", "256 colours", "set -as")),
        ({"TERM": "dumb"}, ("problem", "export TERM=xterm-256color")),
        ({"LC_ALL": "zh_CN.GBK"}, ("问题  编码", "zh_CN.GBK", "LANG=C.UTF-8")),
        ({"DUIBI_MOUSE": "1"}, ("mouse on",)),
    ],
)
def test_the_terminal_is_described(env: dict[str, str], wanted: tuple[str, ...]) -> None:
    with Terminal([*DUIBI, "doctor"], env=env) as terminal:
        terminal.wait_exit(60)
        text = terminal.text()
    assert all(" ".join(word.split()) in " ".join(text.split()) for word in wanted), text


def test_the_theme_and_the_keys_of_the_settings_are_checked(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seen(capsys)["screen"].startswith("ok theme duibi-dark, 0 keys")
    (paths.config_dir() / "duibi.toml").write_text(
        'theme = "purple"\n[keys]\n"app.theme" = "ctlr+t"\n"app.thme" = "T"\n'
    )
    capsys.readouterr()
    assert run(["doctor"]) == 2
    told = capsys.readouterr().out
    assert "no theme purple" in told and "ctlr+t, which is no key" in told
    assert "did you mean app.theme?" in told
