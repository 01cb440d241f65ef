"""Streams that are closed or full, a folder that is gone, no home: a run goes on, or one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tui.host import paths
from tui.sessions import reader

RUN = ("run", "pasted:me", "--questions", "smoke", "--pasted", "mine.toml", "--json")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('capital = "Paris"\nsum = "4"\nhello = "Hello!"\n')
    return tmp_path


def duibi(
    *args: str, how: str = "", code: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """The program called by a shell with the redirections ``how``, after ``code`` in its process;
    an empty value takes a variable out."""
    call = [sys.executable, "-c", f"{code}\nfrom tui.cli import main; main()", *args]
    root = str(Path(paths.__file__).parent.parent.parent)
    env = os.environ | {"PYTHONPATH": root} | environ
    return subprocess.run(
        ["bash", "-c", f'exec "$@" {how}', "bash", *call],
        capture_output=True,
        text=True,
        timeout=170,
        env={name: value for name, value in env.items() if value},
    )


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (">&-", 2),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 2),
        ("2>/dev/full", 0),
        (">/dev/full", 2),
        (">/dev/full 2>/dev/full", 2),
    ],
)
def test_a_run_is_saved_whatever_its_streams_are(how: str, status: int) -> None:
    done = duibi(*RUN, how=how)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr and "unexpected" not in done.stderr
    if how == ">/dev/full":
        assert "duibi: cannot write to stdout: No space left on device\n  -> " in done.stderr
    (session,) = paths.sessions_dir().glob("*.duibi")
    assert reader.read(session).verdict == "complete"


PRINTING = [
    ("--version",),
    ("--version", "--json"),
    ("--help",),
    ("run", "--help"),
    ("help", "services"),
    ("questions", "show", "smoke"),
    ("sessions", "show", "english"),
    ("sessions", "list", "--json"),
    ("report", "english", "--format", "csv"),
    ("report", "english", "--no-pictures"),
    ("replay", "english", "--speed", "max"),
    ("completion", "bash"),
    ("complete", "--", "run", ""),
    ("doctor", "--report"),
]
"""Each way to write to stdout."""
CLOSED = """
import os, sys
from tui import cli
from tui.host import terminal
words = iter(sys.argv[1:])
for line in sys.argv[1:]:
    if os.fork() == 0:
        cli.main(line.split())
    _, status = os.wait()
    print(line, os.waitstatus_to_exitcode(status), sep="\\t", file=sys.stderr, flush=True)
sys.exit()
"""


@pytest.mark.parametrize(
    ("how", "why", "asked"),
    [
        (">&-", "it is closed", PRINTING),
        (">/dev/full", "No space left on device", PRINTING[:1] + PRINTING[5:6]),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(
    how: str, why: str, asked: list[tuple[str, ...]]
) -> None:
    """Of every command, in processes that share the imports."""
    done = duibi(*map(" ".join, asked), how=how, code=CLOSED)
    told = [line for line in done.stderr.splitlines() if "stdout" in line or "\t" in line]
    for args, said, status in zip(asked, told[::2], told[1::2], strict=True):
        assert said == f"duibi: cannot write to stdout: {why}", args
        assert status == f"{' '.join(args)}\t2"


def test_a_folder_that_is_gone_is_one_line(here: Path) -> None:
    gone = here / "gone"
    gone.mkdir()
    code = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})"
    done = duibi("sessions", "list", code=code)
    assert done.returncode == 2
    assert done.stderr == "duibi: the current folder is gone\n  -> cd to one that is there\n"


NO_HOME = """
import os, pwd
del os.environ["HOME"]
def getpwuid(uid):
    raise KeyError(uid)
pwd.getpwuid = getpwuid  # a container's user that the system does not know
"""


@pytest.mark.parametrize("home", ["read-only", "none"])
def test_without_a_home_all_is_kept_for_a_while_and_said(home: str, here: Path) -> None:
    temporary = here / "temporary"
    temporary.mkdir()
    environ = {
        "TMPDIR": str(temporary),
        "HOME": "/proc",  # where nothing can be made, by root neither
        **dict.fromkeys(("DUIBI_SESSIONS_DIR", "DUIBI_CACHE_DIR", "DUIBI_CONFIG_DIR"), ""),
    }
    code = NO_HOME if home == "none" else ""
    done = duibi(*RUN, code=code, **environ)
    assert done.returncode == 0, done.stderr
    kept = temporary / f"duibi-{os.getuid()}"
    assert f"no home folder can be written: sessions and caches are in {kept}" in done.stderr
    (session,) = (kept / "sessions").glob("*.duibi")
    assert reader.read(session).verdict == "complete"
    done = duibi("replay", "last", "--speed", "max", code=code, **environ)
    assert done.returncode == 0 and "Paris" in done.stdout
    # Else the speeds of the formats would be measured for ten seconds.
    shutil.copytree(paths.cache_dir() / "speeds", kept / "cache" / "speeds")
    done = duibi("doctor", "--json", code=code, **environ)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert str(kept) in checks["home folder"]["seen"]
    assert not (here / "~").exists()


def test_the_folder_of_another_user_is_not_taken(here: Path) -> None:
    (here / f"duibi-{os.getuid()}").mkdir(mode=0o755)
    environ = {"TMPDIR": str(here), "HOME": "/proc", "DUIBI_SESSIONS_DIR": ""}
    done = duibi("sessions", "list", **environ)
    assert done.returncode == 2
    assert "is not yours alone" in done.stderr and "DUIBI_SESSIONS_DIR" in done.stderr


def test_no_memory_is_one_line() -> None:
    code = "import tui.cli; tui.cli._invoke = lambda *_: bytearray(1 << 62)"
    done = duibi("sessions", "list", code=code)
    assert done.returncode == 4
    assert done.stderr.startswith("duibi: there is no memory left for this\n  -> ")


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "gbk"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_json_is_utf8_and_nothing_fails_whatever_the_locale(locale: dict[str, str]) -> None:
    Path("q.txt").write_text("\u4f60\u597d \U0001f60a", "utf-8")
    told = duibi("questions", "show", "q.txt", "--json", how=">data", **locale)
    assert told.returncode == 0, told.stderr
    data = json.loads(Path("data").read_text("utf-8"))
    assert data["questions"][0]["turns"] == ["\u4f60\u597d \U0001f60a"]
    told = duibi("questions", "show", "q.txt", how=">text", **locale)
    assert told.returncode == 0, told.stderr
    assert b"\\U0001f60a" in Path("text").read_bytes()
