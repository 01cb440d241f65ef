"""The command line from outside: what is answered at once, and how errors are told."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tui
from benchmarks.support.sessions import write_session
from tests.support.commands import in_this_process
from tui import cli
from tui.cli.support import logs
from tui.host import paths


def duibi(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(tui.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {root!r}); from tui.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_version_and_help_list_what_there_is() -> None:
    assert duibi("--version").stdout == f"duibi {tui.__version__}\n"
    told = duibi("--help").stdout
    for name in cli.COMMANDS:
        assert f"\n  {name} " in told
        assert (Path(cli.__file__).parent / "commands" / f"{name}.py").exists()


@pytest.mark.parametrize(
    ("args", "message", "step"),
    [
        (("sesions", "list"), "no command and no model 'sesions'", "did you mean `duibi sessions`"),
        (("run",), "which models?", "duibi run demo"),
        (("run", "--nix"), "No such option: --nix", "duibi run --help"),
        (("run", "demo", "--questions", "nix"), "no question set 'nix'", "tongji"),
        (("run", "demo", "--questions", "./x.toml"), "there is no file ./x.toml", "tongji"),
        (("run", "demo", "--questions", "./x"), "there is no file ./x", "tongji"),
        (("run", "demo", "--questions", "x.jsonl"), "there is no file x.jsonl", "tongji"),
        (("report", "x", "--out", "-"), "--out - is no file", "without --out it goes to stdout"),
        (
            ("report", "x", "--format", "odt"),
            "Invalid value for '--format': 'odt' is not one of 'md',",
            "duibi report --help",
        ),
        (
            ("run", "pasted:me", "--pasted", "gone.toml"),
            "gone.toml: No such file or directory",
            "a TOML file with a line per question",
        ),
        (
            ("run", "demo", "--pasted", "gone.toml"),
            "gone.toml: No such file or directory",
            "a TOML file with a line per question",
        ),
        (("run", "demo", "--sample", "--greedy"), "--sample and --greedy exclude", ""),
        (("run", "demo", "--max-new-tokens", "0"), "--max-new-tokens: 0 is not", "whole number"),
        (("run", "demo", "--out", "no/where"), "there is no folder", "make it first"),
        (("run", "demo", "--resume", "x"), "--resume goes on as it began", "duibi run --resume x"),
        (("run", "--resume", "nowhere"), "nowhere", "duibi sessions list"),
        (("run", "./nowhere"), "there is no folder ./nowhere", ""),
        (("sessions", "list", "--sessions", "/proc/x"), "cannot make the folder", "--sessions DIR"),
        ((), "which models?", "duibi --help"),
        (("run", "foo"), "unknown model 'foo'", "`duibi --help` lists the commands"),
        (("report", "x", "--out", "x.odt"), "a report is not written as .odt", ".html"),
        (("report", "x", "--out", "/dev/null"), "--out /dev/null is no file", "stdout"),
        (("run", "demo", "--out", "x.duibi"), "--out x.duibi is a session", "another file"),
        (("run", "demo", "--max-new-tokens", "x"), "'--max-new-tokens': it is a whole number", ""),
        (("replay", "x", "--max-gap", "-3"), "'--max-gap': at least 0", "duibi replay --help"),
        (("sessions", "list", "x"), "Got unexpected extra argument (x)", "duibi sessions --help"),
        (("questions",), "Missing command", "duibi questions --help"),
        (("questions", "check", "nix"), "no question set", "tongji"),
    ],
)
def test_a_mistake_is_one_line_and_the_next_step(
    here: Path, args: tuple[str, ...], message: str, step: str
) -> None:
    status, printed, told = in_this_process(*args)
    assert (status, printed) == (2, ""), told
    first, _, rest = told.partition("\n")
    assert first.startswith("duibi: ") and message in first
    assert step in rest
    assert "Traceback" not in told


def test_a_mistake_ends_the_program_so_too(tmp_path: Path) -> None:
    done = duibi("run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("duibi: which models?") and "Traceback" not in done.stderr


def test_a_session_by_itself_is_played_and_is_no_model(here: Path) -> None:
    path = write_session(here, tokens=5)
    alone, named = in_this_process(str(path)), in_this_process("replay", str(path))
    assert alone[0] == 0 and alone[1] == named[1] != ""
    status, _, told = in_this_process("run", "demo", path.name)
    assert status == 2 and f"{path.name} is a recorded session" in told
    assert f"session:{path.name}#NAME" in told


def test_settings_are_read_and_their_mistakes_told(here: Path) -> None:
    (paths.config_dir() / "duibi.toml").write_text('quesions = "smoke"')
    status, _, told = in_this_process("run", "demo")
    assert status == 2
    assert "duibi.toml:1: unknown key 'quesions'" in told
    assert "did you mean 'questions'?" in told


def test_the_unexpected_is_one_line_and_a_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_args: list[str]) -> int:
        secret = "sk-live"
        raise RuntimeError(f"broken {len(secret)} {os.environ['SOME_TOKEN']}")

    monkeypatch.setenv("SOME_TOKEN", "canary-of-a-token")
    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.run_command_line([]) == 1
    told = capfd.readouterr().err
    assert told.startswith("duibi: unexpected RuntimeError") and "Traceback" not in told
    log = paths.log_file().read_text()
    assert "RuntimeError: broken 7" in log
    assert "sk-live" not in log and "canary" not in told + log


def test_what_is_logged_with_a_traceback_shows_no_key_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary-of-a-key")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    logs.configure()
    try:
        raise ValueError("refused canary-of-a-key")
    except ValueError:
        logging.getLogger("tui.run.lane").exception("model %d said canary-of-a-key", 0)
    log = paths.log_file().read_text()
    assert "model 0 said ***" in log and "ValueError: refused ***" in log
    assert "canary" not in log
    root.handlers[0].close()


def test_ctrl_c_and_a_reader_that_went_away_are_no_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_args: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    assert cli.run_command_line([]) == 130


@pytest.mark.parametrize("flag", ["--questions", "--pasted"])
def test_a_run_writes_over_nothing_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[[question]]\ntext = 'Why?'\n")
    before = file.read_text()
    command = ["run", "pasted:x", flag, str(file), "--out", str(file)]
    assert cli.run_command_line(command) == 2
    assert "is a file that this command reads" in capsys.readouterr().err
    assert file.read_text() == before


def test_questions_list_and_show_are_data_on_stdout() -> None:
    assert "tongji   8" in in_this_process("questions", "list")[1]
    assert "他知道我知道你知道他不知道吗" in in_this_process("questions", "show", "tongji")[1]
    assert '"id": "capital"' in in_this_process("questions", "show", "smoke", "--json")[1]


def test_the_doctor_sees_the_machine_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    healthy = duibi("doctor", "--json", cwd=tmp_path)
    seen = json.loads(healthy.stdout)
    assert seen["cpu"]["cores"] >= 1
    assert seen["memory"]["limit"] > seen["memory"]["used"] > 0
    states = {check["name"]: check["state"] for check in seen["checks"]}
    assert states["demo model"] == "note"
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "300M")
    (paths.config_dir() / "duibi.toml").write_text("seed = -1")
    ill = duibi("doctor", cwd=tmp_path)
    assert ill.returncode == 2
    assert "problem: memory -> stop other programs" in ill.stdout
    assert ill.stdout.count("seed: -1 is not a whole number") == 1
    assert "problem: settings -> give a whole number" in ill.stdout
