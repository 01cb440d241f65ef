"""Coverage-guided fuzzing of everything that reads a file somebody else may have written.

    pip install '.[fuzz]'                        (atheris: libFuzzer for Python, Linux only)
    python -m tests.campaigns.fuzz_atheris [--runs 100000] [--target reader|settings|questions]

Each input may give values or one `UserError` that begins with the file's path; anything else
stops the run with the input that did it. Sessions come twice: their bytes as they are, and as
JSON rows that are numbered and sealed here, so that what shows them is reached behind the
checksum. ``--runs`` counts for each target; libFuzzer's own figures stand between the rows.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import row

TARGETS = ("reader", "settings", "questions")
ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "data" / "sessions" / "v1.duibi"
MEMORY = Path("/dev/shm")
"""Where the files lie that are read once: no disk is worn."""
DUIBI_TOML = b"""\
questions = "tongji"
max_new_tokens = 512
temperature = 0.5
lang = "zh"
dimensions = ["logic", { id = "x", en = "y" }]
[aliases]
qwen = "./Qwen-7B-Chat"
[keys]
"question.next" = "right"
[services.mine]
base_url = "http://localhost:8000/v1"
"""
SUFFIXES = (".toml", ".jsonl", ".txt")


def rows_of(data: bytes) -> bytes:
    """Each line of ``data`` as a row of a session: numbered from 0 where it is one, sealed."""
    from tui.sessions import lines

    made = b""
    for seq, line in enumerate(data.split(b"\n")[:200]):
        body = re.sub(rb"^\[-?\d+,", b"[%d," % seq, line, count=1)
        made += lines.add_crc(body)
    return made


def read_session(data: bytes, folder: Path) -> None:
    """A session file: opened, folded, played, printed, made into a cast."""
    from tests.campaigns.fuzz_sessions import show

    path = folder / "case.duibi"
    path.write_bytes(rows_of(data[1:]) if data[:1] < b"\x80" else data[1:])
    show(path)


def read_settings(data: bytes, folder: Path) -> None:
    """A ``duibi.toml`` that lies in the current folder."""
    from tui import settings

    path = folder / settings.FILE_NAME
    path.write_bytes(data)
    with erring_with(path):
        made = settings.load({}, folder, {"DUIBI_LANG": "en"})
        json.dumps(made.run.header(), allow_nan=False)


def read_questions(data: bytes, folder: Path) -> None:
    """A question set of each format; what was read is what its header gives back."""
    from tui.questions.question_set import QuestionSet
    from tui.questions.readers import read

    path = folder / f"case{SUFFIXES[data[0] % 3 if data else 0]}"
    path.write_bytes(data[1:])
    with erring_with(path):
        made = read(path)
        again = QuestionSet.from_json(json.loads(json.dumps(made.to_json())))
        assert again.questions == made.questions


class erring_with:  # noqa: N801 (used as a function)
    """Within it a `UserError` is right if its one line begins with the path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        from tui.host.errors import UserError

        if not isinstance(error, UserError):
            return False
        assert error.message.startswith(f"{self.path}:"), error.message
        assert "\n" not in error.message, error.message
        return True


def seeds(target: str, folder: Path) -> None:
    """What the fuzzer begins with: real files."""
    if target == "reader":
        from tui.sessions import lines

        data = GOLDEN.read_bytes()
        bare = [line.rpartition(b"\t")[0] for line in data.split(b"\n")[:-1]]
        assert all(map(lines.has_valid_crc, data.splitlines(keepends=True)))
        (folder / "sealed").write_bytes(b"\xff" + data)
        (folder / "rows").write_bytes(b"\0" + b"\n".join(bare))
        for i, line in enumerate(bare[1:]):
            (folder / f"row{i}").write_bytes(b"\0" + bare[0] + b"\n" + line)
    elif target == "settings":
        (folder / "all").write_bytes(DUIBI_TOML)
    else:
        sets = ROOT / "tui" / "questions" / "sets"
        (folder / "toml").write_bytes(b"\0" + (sets / "smoke.toml").read_bytes())
        mine = {"id": "a", "turns": ["x", "y"], "reference": ["z"], "checks": [{"contains": "q"}]}
        bench = {"question_id": 81, "category": "writing", "turns": ["a", "b"]}
        (folder / "jsonl").write_bytes(b"\1" + f"{json.dumps(mine)}\n{json.dumps(bench)}".encode())
        (folder / "text").write_bytes(b"\2one\ntwo\n")


def fuzz(target: str, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tui"]):
        # It brings all that reads and shows sessions.
        import tests.campaigns.fuzz_sessions  # noqa: F401
        import tui.questions.readers
        import tui.settings  # noqa: F401
    from tui.host.errors import UserError

    read = {"reader": read_session, "settings": read_settings, "questions": read_questions}[target]
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))

    def one(data: bytes) -> None:
        try:
            read(data, folder)
        except UserError as error:
            if target != "reader":
                raise AssertionError(f"without its path: {error.message}") from error

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def main() -> None:
    """Each target in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TARGETS, help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install '.[fuzz]' (Linux, Python up to 3.13)")
    if given.only:
        fuzz(given.only, rest)
    for target in given.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix=f"fuzz-{target}-") as name:
            corpus, kept = Path(name), Path.cwd() / f"crash-{target}-"
            seeds(target, corpus)
            command = [sys.executable, "-m", "tests.campaigns.fuzz_atheris", "--only", target]
            command += [f"-runs={given.runs}", f"-seed={given.seed}", "-max_len=16384"]
            command += [f"-artifact_prefix={kept}", "-print_final_stats=1", str(corpus)]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            said = done.stderr
            if done.returncode:
                sys.exit(f"{said[-6000:]}\n{target}: failed; the input is kept as {kept}*")
            count = re.search(r"number_of_executed_units: (\d+)", said)
            covered = re.findall(r"cov: (\d+)", said)
            value = f"{count[1] if count else '?'} executions, {covered[-1]} branches, 0 crashes"
            row(f"atheris, {target}", value)


if __name__ == "__main__":
    main()
