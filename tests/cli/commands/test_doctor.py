"""`duibi doctor`: what it sees of processor, disks, terminal and GPU, each trouble with a step."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.support.terminal import DUIBI, Terminal
from tui.cli import run_command_line as run
from tui.cli.support import machine_checks, machine_speed
from tui.host import cpu, format_speeds, kernel_compiler, paths
from tui.host.instruction_sets import INSTRUCTION_SETS
from tui.text.translation import translate

NEEDS = "our own, which are faster, need AVX2 with FMA, or NEON with dot products"
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
    ("flags", "state", "name"),
    [
        ({*VNNI, "avx512_bf16"}, "ok", "AVX-512 VNNI"),
        (VNNI, "ok", "AVX-512 VNNI"),
        ({"avx2", "fma", "avx_vnni"}, "ok", "AVX-VNNI"),
        ({"avx2", "fma"}, "ok", "AVX2"),
        ({"avx2", "fma", "avx512f"}, "ok", "AVX2"),
        ({"asimd", "asimddp", "bf16", "i8mm"}, "ok", "NEON dotprod"),
        ({"asimd", "bf16"}, "ok", ""),
        ({"avx2", "avx512_bf16"}, "ok", ""),
        ({"sse4_2"}, "note", ""),
    ],
)
def test_instructions_are_named_and_what_is_missing_for_our_kernels_is_a_step(
    alone: Path, flags: set[str], state: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_compiler, "compilers", lambda: ["gcc"])
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    found = machine_checks.instructions(frozenset(flags))
    assert (found.state, bool(found.next_step)) == (state, state != "ok")
    unnamed = {"sse4_2", "fma", "avx512bw", "avx512vl"}
    assert set(found.seen.split()) == flags - unnamed or found.seen == "none known"
    own = machine_checks.kernels(frozenset(flags))
    assert own.state == ("ok" if name else "note")
    assert own.seen.startswith(f"our own for {name}, compiled " if name else "torch's")
    assert own.next_step == ("" if name else NEEDS)
    monkeypatch.setattr(kernel_compiler, "compilers", list)
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(alone / "nowhere"))
    without = machine_checks.kernels(frozenset(flags))
    step = "our own, which are faster, need a C compiler (apt install gcc)"
    assert without.next_step == (step if name else NEEDS)


def test_where_the_kernels_come_from_is_said(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags, variant = frozenset({"avx2", "fma"}), INSTRUCTION_SETS[2]
    monkeypatch.setattr(kernel_compiler, "PREBUILT", alone)
    (alone / kernel_compiler.library_file_name(variant)).write_bytes(b"")
    assert machine_checks.kernels(flags).seen == "our own for AVX2, which came with the program"
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert machine_checks.kernels(flags).seen == "torch's"


def test_the_best_format_is_named_with_what_was_kept_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = seen(capsys)["formats"]
    assert said.startswith("ok @int4 is the fastest; @int8 against @bf16: 2.0x alone, ")
    assert "3.0x in prompts; measured 2026-11-29 with own kernels, AVX2" in said


def test_a_format_is_called_the_fastest_in_what_was_measured() -> None:
    rates = {"bf16": {1: 1.0, 8: 8.0, 256: 9.0}, "int8": {1: 1.5, 8: 9.0, 256: 4.0}}
    rates["int4"] = {1: 1.8, 8: 4.8, 256: 2.7}
    said = machine_checks.formats(format_speeds.FormatSpeeds("torch", "2026-11-29", rates)).seen
    best = "fastest: @int4 for one answer, @int8 for eight together, @bf16 in prompts; "
    assert said.startswith(best)
    best = "最快的：单独回答用 @int4，八题一起用 @int8，读提示用 @bf16；"
    assert translate(said, "zh").startswith(best)


def test_hidden_instructions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_checks.hidden_instructions() == []
    known = min(cpu.flags())
    monkeypatch.setenv("DUIBI_HIDE_CPU_FLAGS", f"{known}, nonsense")
    (found,) = machine_checks.hidden_instructions()
    assert found.seen == known and found.next_step.endswith("has not got: nonsense")


@pytest.mark.parametrize(("free", "said"), [(0, "ten seconds, once"), (-1, "it is not kept")])
def test_figures_of_a_busy_machine_are_not_said_to_be_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, free: int, said: str
) -> None:
    rates = {name: {1: 1e9, 8: 8e9, 256: 9e9} for name in ("bf16", "int8", "int4")}
    found = format_speeds.FormatSpeeds("torch", "2026-11-29", rates)
    monkeypatch.setattr(machine_speed, "free_cores", lambda: cpu.cores() + free)
    monkeypatch.setattr(machine_speed, "measure_formats", lambda _: found)
    format_speeds.place().unlink()
    run(["doctor", "--json"])
    assert said in capsys.readouterr().err
    assert format_speeds.place().exists() is (free == 0)


@pytest.mark.slow
def test_formats_are_measured_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 0.0)
    format_speeds.place().unlink()
    run(["doctor", "--json"])
    told = capsys.readouterr()
    assert "measuring how fast each format is computed" in told.err
    found = format_speeds.read()
    assert set(found.weights_s) == {"bf16", "int8", "int4"} and found.kernels
    assert all(set(rows) == {1, 2, 4, 8, 256} for rows in found.weights_s.values())
    assert all(value > 1e6 for rows in found.weights_s.values() for value in rows.values())
    run(["doctor", "--json"])
    again = capsys.readouterr()
    assert "measuring" not in again.err
    formats = [[c for c in json.loads(one.out)["checks"] if c["name"] == "formats"]
               for one in (told, again)]  # fmt: skip
    assert formats[0] == formats[1]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kernels": 1}', "[" * 100_000])
def test_damaged_figures_are_as_none(text: str) -> None:
    format_speeds.place().write_text(text)
    assert format_speeds.read() == format_speeds.FormatSpeeds()


def test_a_gpu_that_this_torch_cannot_use_has_a_step(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not below the current folder, whose programs are not run.
    program = tmp_path_factory.mktemp("bin") / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('NVIDIA A10, 23028 MiB')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
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


def test_a_llama_cpp_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(said: str, status: int = 0) -> machine_checks.Finding:
        return machine_checks.llama_cpp_build(said, status, frozenset({"avx2"}))

    monkeypatch.delenv("DUIBI_LLAMA_CPP", raising=False)
    found = told("", -4)
    assert found.state == "problem" and "built for another" in found.seen
    assert "--force-reinstall xllamacpp" in found.next_step
    monkeypatch.setenv("DUIBI_LLAMA_CPP", "/opt/llama")
    assert told("", 1).next_step.endswith("or unset DUIBI_LLAMA_CPP")
    found = told('{"error": "it does not start", "next_step": "build it"}')
    assert (found.seen, found.next_step) == ("it does not start", "build it")
    found = told('{"version": "2026.10.1", "kernels": "AVX2", "device": "cpu"}')
    assert found.state == "ok" and found.seen.endswith("in /opt/llama: kernels for AVX2, on cpu")


@pytest.mark.parametrize(
    ("device", "flags", "has_nvidia", "state", "step"),
    [
        ("cpu", {"avx2"}, True, "note", "this build leaves the GPU idle; `pip install"),
        ("cpu", {"avx2", "avx512f"}, False, "note", "this CPU has AVX-512"),
        ("CUDA0 (NVIDIA A10)", {"avx2", "avx512f"}, True, "ok", ""),
        ("cpu", {"avx2"}, False, "ok", ""),
    ],
)
def test_what_llama_cpp_computes_on_is_told(
    device: str, flags: set[str], has_nvidia: bool, state: str, step: str
) -> None:
    said = json.dumps({"version": "2026.10.1", "kernels": "AVX2", "device": device})
    found = machine_checks.llama_cpp_build(said, 0, frozenset(flags), has_nvidia)
    assert (found.state, found.next_step[: len(step)]) == (state, step)
    assert bool(found.next_step) == bool(step) and found.seen.endswith(f"on {device}")


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
