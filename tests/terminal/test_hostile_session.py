"""A session file from somebody else: in the library, as a model, exported, by any name.

Its content and its file name are out for the terminal, for other folders and for a shell; each
way to it is gone on a real pseudo-terminal, whose bytes and whose files are looked at.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support.commands import in_one_process, outputs
from tui import events as ev
from tui.sessions.journal import Journal

ATTACK = "\x1b]52;c;UFdO\x07\x1b[7;7HPWN\x9b31m\u202ex\u2066\x08\x0e\x7f[/a][@click=app.quit]q[/]"
ESCAPE = "../../../escaped/$(touch pwned)`touch pwned`"
NAME = f"{ATTACK}{ESCAPE}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "sessions"


@pytest.fixture
def stranger(folder: Path) -> Iterator[Path]:
    """Everything a file can say is `NAME`; nothing but its folder may change."""
    outside = folder.parent.parent
    folder.parent.mkdir()
    questions = {
        "name": NAME,
        "title": NAME,
        "source": "/dev/zero",
        "questions": [{"id": NAME, "category": NAME, "turns": [NAME]}],
        "dimensions": [NAME],
    }
    models = [{"name": "m", "label": NAME, "checkpoint": "/etc/passwd", "dtype": NAME}]
    header = ev.Session(1, NAME, NAME, models, questions, {"cpu": {"model": NAME}}, {NAME: NAME})
    journal = Journal.create(folder, header)
    for body in (
        ev.Load(NAME, 1, 2),
        ev.Loaded(1.0, family=NAME, dtype=NAME, prompt_format=NAME, notes=[NAME]),
        ev.Asked(0, NAME, NAME),
        ev.Started(0, prompt_tokens=1),
        ev.Delta(0, text=NAME, reasoning=True),
        ev.Delta(0, text=NAME),
        ev.Answered(0, NAME, output_tokens=1, token_source=NAME),
        ev.Note(NAME, 0, "person"),
        ev.Asked(1, "a", "x"),
        ev.Started(1),
        ev.Delta(1, text=NAME),
        ev.Note(NAME, 1),
        ev.Answered(1, NAME),
        ev.Rated(0, NAME, 5),
        ev.Unknown("run", {"command": NAME}),
    ):
        journal.append(1000, 0, body)
    journal.close(NAME)
    # A slash is the one character that no file name can have; the tag's dots stay.
    path = journal.path.rename(folder / f"{NAME.replace('/', '')}.duibi")
    before = {p for p in outside.rglob("*") if not p.is_relative_to(folder)}
    yield path
    after = {p for p in outside.rglob("*") if not p.is_relative_to(folder)}
    new = {p for p in after - before if "duibi-" not in p.relative_to(outside).parts[0]}
    assert new == set(), "something was written outside the session's folder"
    assert not [p for p in outside.rglob("*") if p.name in ("pwned", "escaped")]


def in_terminal(stranger: Path, *args: str) -> Terminal:
    flags = ["--sessions", str(stranger.parent)]
    return Terminal([*DUIBI, *args, *flags], env={"DUIBI_LANG": "en"}, cwd=stranger.parent)


def harmless(raw: bytes) -> None:
    """Nothing of the attack stands in the bytes as it was sent."""
    raw = raw.replace(b"\x1b]22;default\x07", b"")  # Textual's own, for the mouse pointer
    for active in (b"\x1b]52", b"\x1b[7;7HPWN", b"\x0e", b"\x08", b"\x7f", b"\x9b31m"):
        # Continuation bytes of UTF-8 may be 0x9b: the whole sequence is looked for.
        assert active not in raw, active
    text = raw.decode("utf-8")
    assert not set(text) & set("\x9b\u202e\u2066\x07"), "would act, or reorder text"


COMMANDS = (
    ("sessions", "list"),
    ("sessions", "list", "--json"),
    ("sessions", "list", "--search", "PWN"),
    ("sessions", "show", "last"),
    ("sessions", "show", "last", "--json"),
    ("sessions", "verify", "last"),
    ("sessions", "verify", "last", "--json"),
    ("sessions", "path", "last"),
    ("sessions", "repair", "last"),
    ("replay", "last", "--plain"),
    ("report", "last"),
    ("report", "last", "--format", "html"),
    ("report", "last", "--format", "csv"),
    ("report", "last", "--format", "jsonl"),
    ("run", "--resume", "last"),
    ("sessions", "rm", "last"),
)


def test_commands(stranger: Path) -> None:
    flags = ("--sessions", str(stranger.parent))
    command = in_one_process(*(args + flags for args in COMMANDS))
    with Terminal(command, env={"DUIBI_LANG": "en"}, cwd=stranger.parent) as it:
        assert it.wait_exit(60) == 0
    for args, (status, printed) in zip(COMMANDS, outputs(bytes(it.raw)), strict=True):
        assert status in (0, 2) and printed.strip(), args
        harmless(printed)


def test_a_cast_moves_only_within_itself(stranger: Path) -> None:
    """Its own moves stand in JSON, where a terminal that prints the file sees no ESC."""
    with in_terminal(stranger, "report", "last", "--format", "cast") as it:
        assert it.wait_exit(60) == 0
        harmless(bytes(it.raw))
        assert b"\x1b" not in it.raw


def test_library_replay_and_all_that_is_exported_there(stranger: Path) -> None:
    with in_terminal(stranger, "replay", str(stranger), "--speed", "max") as it:
        it.wait("the end")
        it.send("l")
        it.wait("1 session")
        it.send("/PWN")
        it.wait("Found in 1 session")
        it.send("\r")
        it.wait("Enter open")
        it.send("\r")
        it.wait("the end")
        harmless(bytes(it.raw))
        it.send("S")
        it.wait("A picture of the screen is in")
        it.send("e")
        it.wait("The whole, to hand in")
        it.send("\r")
        it.wait("The report is in")
        it.send("?")
        it.wait("answer.copy")
        it.send("?")
        it.wait(lambda text: "answer.copy" not in text and "the end" in text)
        harmless(bytes(it.raw))
        it.send("y")
        it.wait("Copied")
        # The person asked for it: the clipboard's own sequence holds the text in base64.
        at = it.raw.index(b"\x1b]52;c;")
        rest = it.raw[it.raw.index(b"\x07", at) + 1 :]
        harmless(bytes(it.raw[:at] + rest))
        it.send("q")
        assert it.wait_exit() == 0 and it.is_restored()
    made = sorted(p.name for p in stranger.parent.iterdir() if p != stranger)
    assert len(made) >= 4 and {name.rpartition(".")[2] for name in made} >= {"svg", "md", "html"}
    for name in made:
        assert name.isprintable() and "/" not in name and not name.startswith(".")
        assert not set(name) & set("$`;&|<>()'\"\\* "), name
        assert (stranger.parent / name).stat().st_mode & 0o077 == 0


def test_as_a_model_of_a_new_run(stranger: Path) -> None:
    """``session:FILE#NAME``: the recorded answers stand in a pane of a run of one's own."""
    questions = stranger.parent / "one.jsonl"
    questions.write_text('{"id": "a", "text": "x"}\n')
    plain = stranger.parent / "plain.duibi"
    plain.write_bytes(stranger.read_bytes())
    args = (f"session:{plain}#m", "--questions", str(questions))
    with in_terminal(stranger, *args) as it:
        it.wait(lambda text: "PWN" in text and "Enter ask" in text)
        it.send("\r")
        it.wait(lambda text: "PWN" in text and "done" in text)
        harmless(bytes(it.raw))
        it.send("q")
        assert it.wait_exit() == 0
    for flags in ((), ("--json",)):
        with in_terminal(stranger, "run", *args, *flags) as it:
            assert it.wait_exit(60) == 0
            harmless(bytes(it.raw))
            assert "PWN" in it.text()
    with in_terminal(stranger, "run", f"session:{stranger}#{NAME}") as it:
        assert it.wait_exit(60) == 2
        harmless(bytes(it.raw))


def test_what_is_no_session_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    places = ["/dev/zero", "/dev/stdin", "/etc/passwd", f"{tmp_path}/pipe", f"{tmp_path}/link"]
    command = in_one_process(*(("run", f"session:{place}#x") for place in places))
    with Terminal(command, env={"DUIBI_LANG": "en"}) as it:
        assert it.wait_exit(60) == 0
    for place, (status, printed) in zip(places, outputs(bytes(it.raw)), strict=True):
        assert status == 2, place
        assert b"root:" not in printed
        assert Path(place).name.encode() in printed.replace(b"\r\n", b"")


def test_a_reference_of_the_file_leads_nowhere(tmp_path: Path) -> None:
    """What a header names (checkpoints, a set) is shown, never opened."""
    header = ev.Session(
        1,
        "0",
        "2026",
        [{"name": "m", "checkpoint": "/dev/zero", "session": "/dev/zero"}],
        HEADER.questions | {"source": "/dev/zero"},
    )
    journal = Journal.create(tmp_path / "s", header)
    journal.append(0, 0, ev.Asked(0, "q1", "?"))
    journal.append(0, 0, ev.Answered(0, "stop"))
    journal.close("done")
    with Terminal([*DUIBI, "replay", str(journal.path), "--speed", "max"]) as it:
        it.wait("the end")
        opened = [f.readlink() for f in Path(f"/proc/{it.process.pid}/fd").iterdir()]
        assert Path("/dev/zero") not in opened
        it.send("q")
        assert it.wait_exit() == 0
