"""`duibi replay` and `duibi sessions`, as a person or a program calls them."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from benchmarks.support.sessions import HEADER, write_session
from tui import events as ev
from tui.board import fold
from tui.cli.commands import replay as replay_cli
from tui.cli.commands import sessions as sessions_cli
from tui.host import paths
from tui.host.errors import UserError
from tui.run import results
from tui.sessions import lines, reader
from tui.sessions.journal import Journal
from tui.text import translation

HOSTILE = "\x1b]52;c;aGk=\x07\x9b31m[/foo]\u202e\x7f"

REPLAY = (
    "import sys; from tui.cli.commands.replay import command; command.main(standalone_mode=False)"
)


def call(command: Any, *args: str) -> int:
    return command.main(list(args), standalone_mode=False) or 0


def run(*args: str) -> int:
    return call(sessions_cli.command, *args)


@pytest.fixture
def session() -> Path:
    return write_session(paths.sessions_dir())


@pytest.fixture
def hostile() -> Path:
    """A session whose every text is out to get the terminal."""
    header = ev.Session(
        1,
        HOSTILE,
        HOSTILE,
        [{"name": HOSTILE, "label": HOSTILE}],
        {"title": HOSTILE, "questions": [{"id": HOSTILE, "category": HOSTILE, "turns": [HOSTILE]}]},
        {"cpu": HOSTILE},
    )
    journal = Journal.create(paths.sessions_dir(), header)
    journal.append(0, 0, ev.Failed(HOSTILE, HOSTILE, HOSTILE))
    journal.append(0, 0, ev.Asked(0, HOSTILE, HOSTILE))
    journal.append(0, 0, ev.Started(0))
    journal.append(0, 0, ev.Delta(0, text=HOSTILE))
    journal.append(0, 0, ev.Rated(0, HOSTILE, 2**62))
    journal.append(0, 0, ev.Answered(0, HOSTILE, token_source=HOSTILE))
    journal.append(0, 0, ev.Asked(1, "q", "again"))
    journal.append(0, 0, ev.Failed(HOSTILE, HOSTILE, answer=1))
    journal.close(HOSTILE)
    return journal.path.rename(journal.path.with_name(f"\x1b[2J{journal.path.name}"))


def test_list(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.startswith("SESSION")
    assert row.startswith(session.stem)
    assert "4/8" in row
    assert "partly failed" in row
    assert run("list", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["verdict"]) == (session.stem, "complete")


def test_show_marks_what_was_disturbed_or_of_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.create(tmp_path, recorded_header(["a@bf16"], [{"id": "q", "turns": ["?"]}]))
    journal.append(0, 0, ev.Asked(0, "q", "?"))
    told = ev.Answered(0, "stop", ttft_ms=12.0, decode_tok_s=9.0, contended=True, batch=2)
    journal.append(0, 0, told)
    journal.close("done")
    assert run("show", str(journal.path)) == 0
    out, err = capsys.readouterr()
    assert "TTFT 12 ms*+  9.0 tok/s*+" in out
    assert "\n* it did not have its cores for itself" in err
    assert "\n+ several answers were decoded" in err
    translation.speak("zh")
    assert run("show", str(journal.path)) == 0
    out, err = capsys.readouterr()
    assert "运行结果    完整" in out and "outcome" not in out and "* 未能独占" in err


def test_show_has_the_table_and_the_notes_of_a_run_with_the_standard_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = recorded_header(["a@bf16"], [{"id": "q", "turns": ["?"]}])
    measured = ev.Measured(256, 64, rounds=3, ttft_ms=400.0, tpot_ms=12.5, decode_tok_s=80.0)
    disturbed = ev.Answered(1, "stop", e2e_ms=9000.0, contended=True)
    extra: list[tuple[int, ev.Body]] = [
        (0, measured),
        (0, ev.Asked(1, "q", "?", repeat=1)),
        (0, disturbed),
    ]
    path = record_session(tmp_path, header, lambda m, q: "ab" * 5, extra)
    board = fold(reader.read(path).events)
    assert run("show", str(path)) == 0
    out, err = capsys.readouterr()
    head, row = (line.split() for line in out.split("\n\n")[1].splitlines())
    assert "12.5" in row and "80.0" in row
    (shown,) = results.figure_tables(board)
    assert [" ".join(cells.split()) for cells in map(" ".join, shown)] == [
        " ".join(head),
        " ".join(row),
    ]
    assert "LOAD to tok/s are of the standard measure (256 + 64 tokens" in err
    assert err.count("* it did not have its cores") == 1, "of an answer that counts for no figure"
    assert run("show", str(path), "--json") == 0
    (figures,) = json.loads(capsys.readouterr().out)["figures"]
    assert (figures["model"], figures["measured"]["tpot_ms"]) == ("a@bf16", 12.5)
    told = figures["figures"]["tpot"]
    assert (told["value"], told["standard_measure"]) == (12.5, True)


@pytest.mark.parametrize(
    ("status", "answered", "outcome"),
    [
        ("done", 2, "complete"),
        ("done", 1, "partly failed"),
        ("done", 0, "failed"),
        ("failed", 0, "failed"),
        ("closed", 1, "ended early"),
        ("interrupted", 1, "ended early"),
    ],
)
def test_list_says_how_a_run_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: str, answered: int, outcome: str
) -> None:
    questions = [{"id": f"q{i}", "turns": ["?"]} for i in range(2)]
    header = recorded_header(["a@bf16"], questions)
    journal = Journal.create(tmp_path, header)
    for id_ in range(answered):
        journal.append(0, 0, ev.Asked(id_, f"q{id_}", "?"))
        journal.append(0, 0, ev.Answered(id_, "stop"))
    journal.close(status)
    assert run("list", "--sessions", str(tmp_path)) == 0
    assert f" {answered}/2 " in (out := capsys.readouterr().out) and f" {outcome} " in out
    for command in (["list"], ["show", str(journal.path)]):
        assert run(*command, "--json", "--sessions", str(tmp_path)) == 0
        found = json.loads(capsys.readouterr().out)
        one = found[0] if isinstance(found, list) else found
        assert (one["verdict"], one["outcome"]) == ("complete", outcome)


def test_list_with_a_search(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--search", "同济大", "--json") == 0
    (hit,) = json.loads(capsys.readouterr().out)
    assert hit == {
        "session": session.stem,
        "question": "q2",
        "model": "",
        "excerpt": "语言 同济大学在哪里？",
    }
    assert run("list", "--search", "word1") == 0
    assert "demo@fp32" in capsys.readouterr().out
    assert run("list", "--search", "nowhere") == 0
    assert capsys.readouterr().out == ""


def test_an_empty_list_is_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no sessions in" in captured.err


def test_show(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "last") == 0
    text = capsys.readouterr().out
    assert "同济大学在哪里？" in text
    assert "demo@fp32" in text
    assert run("show", session.name, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [a["text"] for a in shown["answers"]][:2] == [
        "".join(f"word{m}.{i} " for i in range(5)) for m in (0, 1)
    ]


def test_what_repair_rm_and_path_did_is_data_too(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*args: str) -> Any:
        assert run(*args, "--json") == 0
        return json.loads(capsys.readouterr().out)

    assert told("path", "last") == {"path": str(session)}
    assert told("path") == {"path": str(session.parent)}
    deleted = told("rm", "last")["deleted"]
    assert [each["file"] for each in deleted] == [str(session)]
    assert Path(deleted[0]["trash"]).exists() and not session.exists()
    assert told("rm", "--undo")["restored"] == [str(session)] and session.exists()
    rows = session.read_bytes().split(b"\n")
    session.write_bytes(b"\n".join(rows[:20] + rows[21:]))
    made = told("repair", "last")
    assert (made["file"], made["events"]) == (str(session), 20)
    assert made["bytes_dropped"] == sum(len(row) + 1 for row in rows[21:-1])
    assert reader.read(Path(made["recovered"])).verdict == "interrupted"
    told("rm", made["recovered"])
    assert told("rm", "--empty-trash")["deleted_for_good"] == 1


def test_several_are_verified_as_a_line_each(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "last", session.name, "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["verdict"] for row in rows] == ["complete"] * 2


def test_one_that_is_refused_hides_no_other(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = session.with_name("empty.duibi")
    empty.touch()
    assert run("verify", "nowhere", str(empty), session.name, "--json") == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["verdict"] for row in rows] == ["refused", "torn", "complete"]
    assert run("verify", "nowhere", session.name) == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "nowhere: refused: there is no session nowhere"
    assert "complete, 38 events" in printed[1]


def test_a_version_of_many_digits_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "x.duibi"
    path.write_bytes(lines.add_crc(b'[0,0,-1,"session",{"v":%s}]' % (b"9" * 4000)))
    with pytest.raises(UserError, match="newer duibi") as refused:
        reader.read(path)
    assert len(refused.value.message) < 200


def test_a_large_file_is_verified_and_repaired_in_little_memory(session: Path) -> None:
    os.truncate(session, 700 << 20)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (500 << 20,) * 2);"
        "from tui.cli import run_command_line as run;"
        "assert run(['sessions', 'verify', sys.argv[1]]) == 2;"
        "sys.exit(run(['sessions', 'repair', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(session)], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"torn, 38 events" in done.stdout
    assert reader.read(session.with_suffix(".recovered.duibi")).verdict == "complete"


def test_verify(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "last", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result == {
        "file": str(session),
        "verdict": "complete",
        "events": 38,
        "bytes_dropped": 0,
        "answers": 4,
        "line": 0,
        "problem": "",
    }
    data = session.read_bytes()
    session.write_bytes(data[:-4])
    assert run("verify", str(session)) == 2
    assert "torn, 37 events, 4 answers" in capsys.readouterr().out
    session.write_bytes(data[:200] + b"#" + data[201:])
    assert run("verify", str(session), "--json") == 2
    assert json.loads(capsys.readouterr().out)["verdict"] == "damaged"


def test_repair_rm_and_undo(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("repair", session.stem) == 0
    recovered = Path(capsys.readouterr().out.strip())
    assert recovered.read_bytes() == session.read_bytes()
    assert run("rm", str(recovered), session.stem) == 0
    assert not session.exists()
    assert run("rm", "--undo") == 0
    assert run("path", session.stem) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(session)
    assert run("path") == 0
    assert capsys.readouterr().out.strip() == str(paths.sessions_dir())
    assert run("rm", "--empty-trash") == 0
    with pytest.raises(UserError, match="trash"):
        run("rm", "--undo")
    with pytest.raises(UserError, match="nothing to delete"):
        run("rm")


def test_plain_replay_gives_every_answer_whole(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(replay_cli.command, "last", "--plain", "--speed", "max") == 0
    text = capsys.readouterr().out
    parts = ["".join(f"word{m}.{i} " for i in range(5)) for m in (0, 1)]
    for model, part in zip(("bf16", "fp32"), parts, strict=True):
        assert f"[demo@{model}]\n{part}\n[demo@{model}: 5 tokens · stop]" in text
    assert text.index(parts[0]) < text.index(parts[1]) < text.index("## q2 · 语言")


def test_plain_replay_of_one_question(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(replay_cli.command, "last", "--plain", "--speed", "max", "--question", "q2") == 0
    text = capsys.readouterr().out
    assert "答0.4" in text
    assert "word" not in text


def test_replay_keeps_the_original_timing_on_a_pipe() -> None:
    journal = Journal.create(paths.sessions_dir(), HEADER)
    journal.append(0, 0, ev.Asked(0, "q1", "?"))
    times = [0.3, 0.45, 0.5, 0.8, 1.0]
    for i, t in enumerate(times):
        journal.append(int(t * 1e6), 0, ev.Delta(0, text=f"<{i}>"))
    journal.append(1_000_000, 0, ev.Answered(0, "stop"))
    journal.close("done")
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", REPLAY, str(journal.path)], stdout=subprocess.PIPE
    ) as replay:
        came: dict[int, float] = {}
        text = ""
        assert replay.stdout is not None
        while part := os.read(replay.stdout.fileno(), 4096).decode():
            now, text = time.monotonic(), text + part
            for i in range(len(times)):
                if f"<{i}>" in text:
                    came.setdefault(i, now)
    assert replay.returncode == 0
    for i, t in enumerate(times):
        assert came[i] - started >= t


def test_a_reader_that_goes_away_is_no_error(session: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -c '{REPLAY}' {session} --speed 8 | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("# Two questions")
    assert done.stderr == ""


def test_bad_options_are_one_error(session: Path) -> None:
    for options in (["--speed", "3"], ["--question", "q7"], ["--follow", "--loop"]):
        with pytest.raises(UserError):
            call(replay_cli.command, "last", "--plain", *options)
    with pytest.raises(UserError, match="no session other"):
        call(replay_cli.command, "other")


def test_following_an_ended_session_prints_it(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(replay_cli.command, "last", "--follow", "--plain") == 0
    assert "word1.4" in capsys.readouterr().out


@pytest.mark.parametrize(
    "args",
    [
        ("sessions", "list"),
        ("sessions", "list", "--json"),
        ("sessions", "list", "--search", "foo"),
        ("sessions", "show", "last"),
        ("sessions", "show", "last", "--json"),
        ("sessions", "verify", "last"),
        ("sessions", "verify", "last", "--json"),
        ("replay", "last", "--plain"),
        ("sessions", "rm", "last"),
    ],
)
def test_a_hostile_session_cannot_write_to_the_terminal(
    hostile: Path, args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = sessions_cli.command if args[0] == "sessions" else replay_cli.command
    call(command, *args[1:])
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert text
    assert not [c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]
    assert "\u202e" not in text


def test_a_damaged_session_says_what_is_left_out(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = session.read_bytes().split(b"\n")
    session.write_bytes(b"\n".join(rows[:20] + rows[21:]))
    assert call(replay_cli.command, "last", "--plain", "--speed", "max") == 0
    captured = capsys.readouterr()
    assert "is damaged" in captured.err
    assert "unfinished" in captured.out


def test_what_is_being_recorded_is_followed_without_its_name(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="nothing is being recorded"):
        call(replay_cli.command, "--follow", "--plain")
    with pytest.raises(UserError, match="which session"):
        call(replay_cli.command, "--plain")
    journal = Journal.create(session.parent, HEADER)
    journal.append(1, 0, ev.Asked(0, "q1", "Right now?"))
    journal.append(2, 0, ev.Answered(0, "stop"))
    ending = threading.Timer(0.5, journal.close, ("done",))
    ending.start()
    assert call(replay_cli.command, "--follow", "--plain") == 0
    ending.join()
    assert "Right now?" in capsys.readouterr().out


def test_long_pauses_are_skipped_on_request(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.reopen(session)
    journal.append(3_600_000_000, 0, ev.Asked(50, "q1", "An hour later?", 1))
    journal.append(7_200_000_000, 0, ev.Delta(50, text="yes"))
    journal.append(7_200_000_000, 0, ev.Answered(50, "stop"))
    journal.close("done")
    assert call(replay_cli.command, "last", "--plain", "--max-gap", "0.01") == 0
    assert "An hour later?" in capsys.readouterr().out


def test_an_unreadable_session_is_one_error() -> None:
    path = paths.sessions_dir() / f"x{lines.SUFFIX}"
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="no session header"):
        call(replay_cli.command, "x", "--plain")
    assert run("verify", "x") == 2
