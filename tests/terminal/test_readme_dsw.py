"""The README's commands, from the clone to a report, typed as written into a real shell: its first
pages, and its page for a notebook."""

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
START, START_ZH = "## Start", "## 开始"
JOB, JOB_ZH = "## A course job, from a clone to a report", "## 一次课程作业：从克隆到报告"
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
        "Qwen/Qwen2.5-1.5B-Instruct": published(tiny.write_llama(tmp_path / "fourth", seed=3)),
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
        # `make` knows by its first lines where an environment was made.
        of = f"#!/bin/sh\n# {place}/{name}\n"
        script = f'{of}PYTHONPATH="{clone}" exec "{sys.executable}" {module} "$@"\n'
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
    """A recording is seen, which says how to go on, and q leaves."""
    terminal.wait("This is a recording", WAIT_S)
    terminal.wait("f fetches Qwen3 0.6B", WAIT_S)
    terminal.send("q")


def judge(terminal: Terminal) -> None:
    """Stars are asked for; q pauses."""
    terminal.wait("1-5 stars", WAIT_S)
    terminal.send("4")
    terminal.send("q")


def agree(terminal: Terminal) -> None:
    terminal.wait("Fetch it now? [Y/n]", WAIT_S)
    terminal.send("y\r")


def test_both_pages_have_the_same_commands() -> None:
    for heading, chinese in ((HEADING, HEADING_ZH), (START, START_ZH), (JOB, JOB_ZH)):
        assert commands("README.md", heading) == commands("README.zh.md", chinese)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headings", "models"),
    [([HEADING], 3), ([START, JOB], 2)],
    ids=["notebook", "course"],
)
def test_every_command_of_the_page_works(
    tmp_path: Path, hub: dict[str, str], headings: list[str], models: int
) -> None:
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
        shell.type(f"cd {workspace}")
        typed = [command for heading in headings for command in commands("README.md", heading)]
        for command in typed:
            as_here = command.replace("/mnt/workspace", str(workspace))
            as_here = as_here.replace("REPOSITORY", str(source))
            meanwhile = {"make run": leave, "duibi rate last --blind": judge}.get(command)
            if command.startswith("duibi models get"):
                meanwhile = agree
            code = shell.type(as_here, meanwhile)
            if command.startswith("git clone"):
                ready(workspace / "duibi")
            if command != "duibi doctor":  # this machine may well have troubles
                assert code == 0, f"{command}: {code}\n{terminal.text()}"
    assert {"make run", "duibi doctor"} < set(typed)
    assert not list(home.rglob("*.safetensors"))
    folder = workspace / ".cache" / "modelscope" / "models"
    assert len(list(folder.iterdir())) == models
    assert not list(folder.rglob("*.py"))
    assert len(list((workspace / "duibi-sessions").glob("*.duibi"))) == 1
    report = (workspace / "duibi" / "report.html").read_text("utf-8")
    names = re.findall(r"ms:\S+/(\S+)", next(c for c in typed if c.startswith("duibi run")))
    assert len(names) == 2 and all(name in report for name in names)
