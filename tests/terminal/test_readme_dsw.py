"""The README's page for a notebook, every command typed as it is written into a real shell."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.support import tiny
from benchmarks.support.demo import link_demo
from benchmarks.support.terminal import Terminal
from tests.support.file_server import serving
from tests.support.hub import FakeHub, hub_environment

ROOT = Path(__file__).parents[2]
SHIPPED = ("tui", "themes", "sessions", "Makefile", "pyproject.toml", "constraints.txt")
WAIT_S = 240
HEADING = "## In a ModelScope notebook (PAI-DSW)"
HEADING_ZH = "## 在 ModelScope 笔记本（PAI-DSW）里使用"


def commands(readme: str, heading: str) -> list[str]:
    """The commands of the first shell block under a heading, without their remarks."""
    page = (ROOT / readme).read_text("utf-8").partition(heading)[2]
    block = re.search(r"```sh\n(.*?)```", page, re.S)
    assert block, f"{readme} has no commands under {heading}"
    return [line.partition("  #")[0].rstrip() for line in block[1].splitlines() if line.strip()]


def published(folder: Path) -> dict[str, bytes]:
    """A checkpoint folder as a hub's files, with the code that is published beside it."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return files | {"modeling_it.py": b"raise SystemExit('never run')"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The models that the page names, small ones in their place."""
    models = {
        "Qwen/Qwen2.5-0.5B-Instruct": published(tiny.write_llama(tmp_path / "tiny")),
        "qwen/Qwen-7B-Chat": published(tiny.write_llama(tmp_path / "second", seed=1)),
        "ZhipuAI/chatglm3-6b": published(tiny.write_llama(tmp_path / "third", seed=2)),
    }
    with serving(FakeHub(models)) as server:
        yield hub_environment(server, tmp_path)


def repository(tmp_path: Path) -> Path:
    """What there is to clone."""
    source = tmp_path / "source"
    source.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    git = ["git", "-C", str(source), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    return source


def ready(clone: Path) -> None:
    """The environment that `make` would fill for minutes, with the packages that are here."""
    place = clone / ".venv" / "bin"
    place.mkdir(parents=True)
    for name, module in (("duibi", "-m tui"), ("python", "")):
        script = f'#!/bin/sh\nPYTHONPATH="{clone}" exec "{sys.executable}" {module} "$@"\n'
        (place / name).write_text(script)
        (place / name).chmod(0o755)
    (clone / ".venv" / ".ready").touch()


class Shell:
    def __init__(self, terminal: Terminal) -> None:
        self.terminal, self.count = terminal, 1

    def at_prompt(self, text: str) -> bool:
        """Anywhere: the emulated terminal has no second screen that a program could leave."""
        return re.search(rf"<{self.count}:\d+>", text) is not None

    def type(self, command: str, meanwhile: Callable[[Terminal], None] | None = None) -> int:
        """Type a command, do what it wants ``meanwhile``, and wait for its exit code."""
        self.terminal.wait(self.at_prompt, WAIT_S)
        self.terminal.send(f"{command}\r")
        if meanwhile is not None:
            meanwhile(self.terminal)
        self.count += 1
        self.terminal.wait(self.at_prompt, WAIT_S)
        ended = re.search(rf"<{self.count}:(\d+)>", self.terminal.text())
        assert ended
        return int(ended[1])


def leave(terminal: Terminal) -> None:
    """The screen is seen, answers come, and q leaves (asking twice while they come)."""
    terminal.wait("demo@fp32", WAIT_S)
    terminal.wait(lambda text: "tok/s" in text, WAIT_S)
    terminal.send("q")
    terminal.read(1.0)
    terminal.send("q")


def agree(terminal: Terminal) -> None:
    terminal.wait("Fetch it now? [Y/n]", WAIT_S)
    terminal.send("y\r")


def test_both_pages_have_the_same_commands() -> None:
    assert commands("README.md", HEADING) == commands("README.zh.md", HEADING_ZH)


@pytest.mark.slow
def test_every_command_of_the_page_works(tmp_path: Path, hub: dict[str, str]) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    workspace.mkdir()
    home.mkdir()
    link_demo(workspace / ".cache" / "duibi")
    source = repository(tmp_path)
    env = hub | {
        "HOME": str(home),
        "DUIBI_PERSISTENT_DIR": str(workspace),
        "DUIBI_MAX_NEW_TOKENS": "8",
        "OMP_NUM_THREADS": "2",
        "OLLAMA_HOST": "127.0.0.1:1",
        "LC_ALL": "C.UTF-8",
        "PS1": r"<\#:$?>",
    }
    for name in ("MODELSCOPE_CACHE", "DUIBI_CACHE_DIR", "DUIBI_CONFIG_DIR", "DUIBI_SESSIONS_DIR"):
        env.pop(name, None)
    bash = [
        "env",
        *(f"-u{n}" for n in os.environ if n.startswith(("DUIBI_", "MODELSCOPE_", "PS1"))),
    ]
    given = [f"{name}={value}" for name, value in env.items()]
    with Terminal([*bash, *given, "bash", "--norc", "--noprofile", "-i"], columns=150) as terminal:
        shell = Shell(terminal)
        typed = commands("README.md", HEADING)
        for command in typed:
            as_here = command.replace("/mnt/workspace", str(workspace))
            as_here = as_here.replace("REPOSITORY", str(source))
            meanwhile = {"make run": leave}.get(command)
            if command.startswith("duibi models get"):
                meanwhile = agree
            code = shell.type(as_here, meanwhile)
            if command.startswith("git clone"):
                ready(workspace / "duibi")
            if command != "duibi doctor":  # this machine may well have troubles
                assert code == 0, f"{command}: {code}\n{terminal.text()}"
    assert {"make run", "duibi doctor", "duibi models list"} < set(typed)
    assert not list(home.rglob("*.safetensors"))
    models = workspace / ".cache" / "modelscope" / "models"
    assert len(list(models.iterdir())) == sum("models get" in command for command in typed)
    assert not list(models.rglob("*.py"))
    assert len(list((workspace / "duibi-sessions").glob("*.duibi"))) == 2  # make run and run
    report = (workspace / "duibi" / "report.html").read_text("utf-8")
    assert "Qwen-7B-Chat" in report and "chatglm3-6b" in report
