"""What a shell completes, the pages of `duibi help`, versions as JSON and reports of faults."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tui
from benchmarks.support import tiny
from benchmarks.support.sessions import write_session
from benchmarks.support.terminal import Terminal
from tui import cli
from tui.cli.support import completion, help_pages
from tui.questions import BUILT_IN

FAKE_KEY = "sk-" + "abcdefgh12345678" * 2


def completed(*words: str) -> list[str]:
    return completion.candidates(words, cli.COMMANDS)


def test_commands_models_and_options_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_llama(tmp_path / "tiny")
    assert {"run", "demo", "./tiny", "openai:"} <= set(completed(""))
    assert completed("ru") == ["run"]
    assert completed("run", "./ti") == ["./tiny"]
    assert {"--questions", "--lang", "--help"} <= set(completed("run", "--"))
    assert completed("run", "demo", "--questions", "tong") == ["tongji"]
    assert set(completed("questions", "show", "")) >= set(BUILT_IN)
    assert "get" in completed("models", "") and "--yes" in completed("models", "get", "--y")
    assert completed("run", "nothing-like-it") == []
    assert completed("help", "serv") == ["services"]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("report x --template ", ["course", "brief", "data"]),
        ("report x --template b", ["brief"]),
        ("report x --format ", ["md", "html", "docx", "pdf", "tex", "csv", "jsonl", "cast"]),
        ("report --format=h", ["--format=html"]),
        ("report x --out ", []),
        ("run demo --vary temp", ["temperature="]),
        ("run demo --think ", ["on", "off", "low", "medium", "high"]),
        ("run --system ", []),
        ("run --resume eng", ["english"]),
        ("demo --lang ", ["en", "zh"]),
        ("demo --theme duibi-d", ["duibi-dark"]),
        ("models quantize demo --to ", ["int8", "int4"]),
        ("models list ", []),
        ("models rm dem", ["demo"]),
        ("sessions list ", []),
        ("sessions sh", ["show"]),
        ("replay english ", []),
        ("diff english tong", ["tongji"]),
        ("diff english tongji ", []),
        ("questions ", ["list", "show", "check"]),
        ("completion z", ["zsh"]),
    ],
)
def test_the_value_that_is_meant_is_completed_and_nothing_else(
    typed: str, wanted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed(*typed.split(" ")) == wanted


def test_a_command_with_others_below_it_takes_no_model_itself() -> None:
    found = completed("models", "")
    assert "get" in found and not {"demo", "openai:"} & set(found)


def test_sessions_are_completed_own_ones_and_bundled_ones(tmp_path: Path) -> None:
    folder = Path(os.environ["DUIBI_SESSIONS_DIR"])
    mine = write_session(folder)
    assert set(completed("replay", "")) == {"last", mine.stem, "english", "tongji"}
    assert completed("replay", "eng") == ["english"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_completes(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    assert (
        subprocess.run([program, "-n"], input=completion.SCRIPTS[shell], text=True).returncode == 0
    )


@pytest.fixture
def called(tmp_path: Path) -> dict[str, str]:
    """The variables of a shell that finds `duibi`, in an empty folder."""
    place, here = tmp_path / "bin", tmp_path / "here"
    place.mkdir()
    here.mkdir()
    duibi = place / "duibi"
    root = str(Path(tui.__file__).parent.parent)
    duibi.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m tui "$@"\n')
    duibi.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{place}:{os.environ['PATH']}",
        "HOME": str(here),
        "XDG_DATA_HOME": str(here / "data"),
    }


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("duibi rep", {"replay", "report"}),
        ("duibi run open", {"openai:", "openrouter:"}),
        ("duibi run openai:", set()),
        ("duibi report x --format=", {"md", "html", "docx", "pdf", "tex", "csv", "jsonl", "cast"}),
        ("duibi run demo --vary temp", {"temperature="}),
    ],
)
def test_bash_completes_what_is_typed(line: str, wanted: set[str], called: dict[str, str]) -> None:
    bash = shutil.which("bash")
    assert bash
    # As bash does: a colon is a word of its own.
    words = line.replace(":", " : ").replace("=", " = ").split()
    ask = (
        f"COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({' '.join(words)}) "
        f'COMP_CWORD={len(words) - 1}; _duibi; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        [bash, "-c", f"{completion.SCRIPTS['bash']}\n{ask}"],
        env=called,
        capture_output=True,
        text=True,
    )
    assert sorted(done.stdout.split()) == sorted(wanted), done.stderr


def test_fish_completes_what_is_typed_and_files_where_nothing_else_fits(
    called: dict[str, str],
) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    wanted = {
        "duibi rep": {"replay", "report"},
        "duibi run open": {"openai:", "openrouter:"},
        "duibi models ge": {"get"},
        "duibi report ./my": {"./my answers.txt"},
    }
    here = Path(called["HOME"])
    for name in ("my answers.txt", "replaced.txt"):
        (here / name).touch()
    asked = "; ".join(f"complete -C '{line}'; echo end" for line in wanted)
    done = subprocess.run(
        [fish, "--no-config", "-c", f"{completion.SCRIPTS['fish']}\n{asked}"],
        env=called,
        cwd=here,
        capture_output=True,
        text=True,
    )
    found = [set(part.split("\n")) - {""} for part in done.stdout.split("end\n")[:-1]]
    assert found == [*wanted.values()], done.stderr


def test_zsh_completes_what_is_typed(called: dict[str, str]) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed")
    (Path(called["HOME"]) / "my answers.txt").touch()
    # The prompt is one that no output holds.
    variables = {**called, "PS1": "now> "}
    with Terminal([zsh, "-f", "-i"], variables, 100, 30, cwd=Path(called["HOME"])) as terminal:
        terminal.send('autoload -Uz compinit && compinit -D; eval "$(duibi completion zsh)"\r')
        terminal.send("echo set up: $_comps[duibi]\r")
        terminal.wait("set up: _duibi")
        for typed, shown in {
            "duibi repl\t": "now> duibi replay",
            "duibi replay engl\t": "now> duibi replay english",
            "duibi run openr\t": "now> duibi run openrouter:",
            "duibi report my\t": "now> duibi report my\\ answers.txt",
            "duibi rep\t\t": "replay  report",
        }.items():
            terminal.send(f"\x15\x0c{typed}")
            terminal.wait(shown)


def test_pages_are_printed_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["help"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("formats", "services", "installing", "readme"))
    assert cli.run_command_line(["help", "services"]) == 0
    english = capsys.readouterr().out
    assert cli.run_command_line(["help", "services", "--lang", "zh"]) == 0
    chinese = capsys.readouterr().out
    assert english == help_pages.read(help_pages.find("en")["services"]).rstrip() + "\n"
    assert chinese != english and "服务" in chinese
    assert cli.run_command_line(["help", "nothing", "--lang", "en"]) == 2
    assert "there is no page" in capsys.readouterr().err


def test_help_of_a_command_is_what_the_command_says_of_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("run", "compare", "models"):
        said = []
        for line in (["help", name], [name, "--help"]):
            assert cli.run_command_line(line) == 0
            said.append(capsys.readouterr().out)
        assert said[0] == said[1] and "Usage: duibi" in said[0]


def test_versions_are_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["--version", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["duibi"] == tui.__version__ and told["packages"]["textual"]


def test_a_report_of_a_fault_holds_no_secret_and_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home-of-zhangsan"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "zhangsan")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("DUIBI_SESSIONS_DIR", str(tmp_path / "zhangsan" / "sessions_of_zhangsan"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://zhangsan:{FAKE_KEY}@127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", FAKE_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:1/{FAKE_KEY}")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(home / "ms"))
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", FAKE_KEY)
    cli.run_command_line(["doctor", "--report"])
    said = capsys.readouterr().out
    assert "## duibi doctor" in said and f"duibi {tui.__version__}" in said
    assert FAKE_KEY not in said
    assert "zhangsan" not in said and "~/ms" in said and "USER/sessions_of_USER" in said
    # A key in a file is refused, and not repeated.
    settings = Path(os.environ["DUIBI_CONFIG_DIR"]) / "duibi.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'api_key = "{FAKE_KEY[::-1]}"\n')
    cli.run_command_line(["doctor", "--report"])
    said = capsys.readouterr().out
    assert "does not belong into a file" in said and FAKE_KEY[::-1] not in said
