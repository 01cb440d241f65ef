"""Children get a listed environment and take no code of the current folder."""

import ast
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tui
from tests.support.file_server import serving
from tests.support.hub import MODEL, FakeHub, use_hub
from tui.host import child_process
from tui.models import hub, package_index
from tui.scoring import sandbox

PROGRAM = Path(tui.__file__).parent
THE_PLACE = PROGRAM / "host" / "child_process.py"
COPIES = {"worker/fork_server.py": ["os.fork"]}
"""What starts no interpreter but copies the process it is in, its environment included."""
STARTERS = {
    "subprocess": {
        *("Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")
    },
    "os": {
        *("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"),
        *(f"exec{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
        *(f"spawn{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    },
    "pty": {"spawn", "fork"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "futures": {"ProcessPoolExecutor"},
}
WHOLE = {"multiprocessing", "pexpect", "ptyprocess", "sh", "plumbum"}
"""Libraries that only start others."""


def starts(source: str) -> Iterator[str]:
    """What in a source starts another process; a type such as ``Popen[bytes]`` does not."""
    tree = ast.parse(source)
    types = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if id(node) in types:
            continue
        match node:
            case ast.Attribute(value=ast.Name(id=room) | ast.Attribute(attr=room), attr=name):
                if name in STARTERS.get(room, ()):
                    yield f"{room}.{name}"
            case ast.ImportFrom(module=str(room), names=names):
                room = room.rpartition(".")[2]
                yield from (f"{room}.{n.name}" for n in names if n.name in STARTERS.get(room, ()))
                yield from [room] if room.partition(".")[0] in WHOLE else []
            case ast.Import(names=names):
                yield from (n.name for n in names if n.name.partition(".")[0] in WHOLE)


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['x'])",
        "from subprocess import Popen",
        "import os\nos.execvp('python', ['python'])",
        "import asyncio\nasyncio.create_subprocess_exec('x')",
        "import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor()",
        "import multiprocessing as m",
    ],
)
def test_a_start_is_found_however_it_is_written(source: str) -> None:
    assert list(starts(source))


def test_every_process_is_started_at_one_place() -> None:
    """Where environments are made; so none is started with modules of the current folder."""
    found = {
        str(path.relative_to(PROGRAM)): began
        for path in PROGRAM.rglob("*.py")
        if path != THE_PLACE and (began := sorted(starts(path.read_text("utf-8"))))
    }
    assert found == COPIES
    assert "subprocess.Popen" in set(starts(THE_PLACE.read_text("utf-8")))


@pytest.fixture
def hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of every name that Python could look for there and
    programs beside them. What runs leaves its name in ``ran``."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    (tmp_path / "ran").mkdir()
    code = f"import os, sys\nopen({str(tmp_path / 'ran')!r} + '/' + __name__, 'w')\n"
    names = {*sys.stdlib_module_names, "pip", "modelscope_hub", "tokenizers", "torch", "tui"}
    for name in names - {"os", "sys"}:
        (folder / f"{name}.py").write_text(code)
    for name in ("cc", "gcc", "nvidia-smi", "python3"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran/{name}\n")
        (folder / name).chmod(0o700)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("", ".", os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("PATH", os.pathsep.join(("", ".", os.environ["PATH"])))
    return folder


def ran(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "ran").iterdir()]


def test_a_child_imports_nothing_of_the_current_folder(
    hostile_folder: Path, tmp_path: Path
) -> None:
    done = child_process.run([sys.executable, "-c", "import json, pip"], capture_output=True)
    assert (done.returncode, ran(tmp_path)) == (0, []), done.stderr
    with child_process.start([sys.executable, "-m", "pip", "--version"], stdout=-3) as child:
        assert (child.wait(), ran(tmp_path)) == (0, [])


def test_pip_is_not_the_one_of_the_current_folder(hostile_folder: Path, tmp_path: Path) -> None:
    assert package_index.read_pip_settings().indexes
    assert ran(tmp_path) == []


def test_the_process_with_the_token_imports_nothing_of_the_current_folder(
    hostile_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FakeHub()) as server:
        use_hub(server, tmp_path, monkeypatch)
        request = {"do": "list", "id": MODEL, "revision": "master"}
        (reply,) = hub.ask(MODEL, request, threading.Event())
    assert reply["files"] and ran(tmp_path) == []


def test_a_check_of_a_question_imports_nothing_of_the_current_folder(
    hostile_folder: Path, tmp_path: Path
) -> None:
    assert sandbox.run_jobs([("regex", "a", "cat")]) == [sandbox.PASSED]
    assert ran(tmp_path) == []


def test_a_program_is_not_the_one_of_the_current_folder(hostile_folder: Path) -> None:
    for name in ("cc", "gcc", "nvidia-smi"):
        found = child_process.find_program(name)
        assert found is None or Path(found).is_absolute()


def test_a_search_path_leads_into_no_folder_of_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However PATH writes it; the interpreter's own folder and those of the home folder stay."""
    home, clone = tmp_path / "home", tmp_path / "home" / "clone"
    programs, inner, own = home / "bin", clone / "tools" / "bin", clone / ".venv"
    for folder in (programs, inner, own / "bin", own / "src" / "theirs"):
        folder.mkdir(parents=True)
        (folder / "gcc").write_text("#!/bin/sh\n")
        (folder / "gcc").chmod(0o755)
    (clone / "gcc").symlink_to(inner / "gcc")
    (tmp_path / "link").symlink_to(clone)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "prefix", str(own))

    def found(*path: Path | str) -> str | None:
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, path)))
        kept = child_process.environment()["PATH"]
        assert (child_process.find_program("gcc") is None) == (not kept)
        return kept or None

    monkeypatch.chdir(clone)
    strangers = (clone, f"{clone}/", f"{clone}/tools/..", tmp_path / "link", inner, "", ".")
    assert found(*strangers, tmp_path / "link" / "tools" / "bin") is None
    assert found(own / "bin") == str(own / "bin")
    assert found(programs, clone) == str(programs)
    monkeypatch.chdir(own / "src" / "theirs")
    assert found(own / "src" / "theirs") is None
    monkeypatch.chdir(home)
    assert found(home, programs) == str(programs)
    monkeypatch.chdir("/")
    assert found("/", programs) == str(programs)


def test_a_child_gets_what_is_listed_and_no_secret() -> None:
    given = {
        "PATH": "/bin::relative:/usr/bin",
        "HOME": "/home/me",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "2",
        "DUIBI_CACHE_DIR": "/c",
        "HF_HUB_CACHE": "/hf",
        "DUIBI_API_KEY": "s1",
        "HF_TOKEN": "s2",
        "MODELSCOPE_API_TOKEN": "s3",
        "SLACK_WEBHOOK": "https://s4",
        "PGPASSFILE": "s5",
        "HTTPS_PROXY": "http://me:s6@proxy",
        "PYTHONPATH": ":.:/lib/mine",
    }
    assert child_process.environment(environ=given) == {
        "PATH": "/bin:/usr/bin",
        "HOME": "/home/me",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "2",
        "DUIBI_CACHE_DIR": "/c",
        "HF_HUB_CACHE": "/hf",
        "PYTHONPATH": "/lib/mine",
        "PYTHONSAFEPATH": "1",
    }
    more = child_process.environment(("MODELSCOPE_API_TOKEN", "HTTPS_PROXY"), given)
    assert more.keys() - child_process.environment(environ=given).keys() == {
        "MODELSCOPE_API_TOKEN",
        "HTTPS_PROXY",
    }
