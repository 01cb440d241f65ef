"""Numbers that no machine can have measured, in a file of others: they are left out everywhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui import events as ev
from tui.board import fold
from tui.sessions import lines, reader
from tui.sessions.journal import Journal
from tui.text.units import format_milliseconds


@pytest.fixture(params=[1.7e308, -1.7e308, 5e-324])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two models whose every figure is this number."""
    v: float = request.param
    head = recorded_header(["a@bf16", "b@fp32"], [{"id": "one", "category": "x", "turns": ["q"]}])
    journal = Journal.create(tmp_path, head)
    for m in (0, 1):
        journal.append(0, m, ev.Loaded(v, v, read_s=v, prepare_s=v, file_cache=v))
        measured = ev.Measured(5, 5, 1, v, v, v, v, load_s=v, file_cache=v, lost=v)
        journal.append(0, m, measured)
        journal.append(1, m, ev.Asked(m, "one", "q"))
        journal.append(2, m, ev.Started(m))
        journal.append(3, m, ev.Delta(m, text="words"))
        figures = ev.Answered(m, "stop", 5, 5, "usage", v, v, v, v, v, v, waited_ms=v, lost=v)
        journal.append(4, m, figures)
    journal.close("done")
    return journal.path


def test_every_output_bears_them(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [tmp_path / f"report.{ending}" for ending in ("html", "md", "csv", "cast")]
    for more in (
        *(("report", str(session), "--out", str(out)) for out in outs),
        ("replay", str(session), "--speed", "max"),
        ("sessions", "show", str(session)),
        ("rank", str(session)),
    ):
        assert cli.run_command_line(list(more)) in (0, 2), more
        assert "unexpected" not in capsys.readouterr().err, more
    assert "inf" not in outs[2].read_text("utf-8-sig")


def test_they_are_not_measured(session: Path) -> None:
    board = fold(reader.read(session).events)
    figures = board.answers[0].figures
    assert figures is not None and figures.output_tokens == 5
    assert figures.ttft_ms is figures.e2e_ms is figures.decode_tok_s is None
    assert board.models[0].loads[0].load_s == 0.0
    assert board.models[0].measures[0].ttft_ms is None


def _below_0(value: Any, name: str = "") -> Any:
    """The same with every number that measures something below 0."""
    if isinstance(value, dict):
        return {k: v if k == "settings" else _below_0(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_below_0(one, name) for one in value]
    named = name in ("v", "answer", "turn", "repeat")
    return value if named or type(value) not in (int, float) else -value


def test_numbers_below_0_are_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = recorded_header(["a@bf16", "b@fp32"], [{"id": "one", "category": "x", "turns": ["q"]}])
    path = record_session(tmp_path, head, lambda *_: "some words")
    rows = [json.loads(lines.strip_crc(line)) for line in path.read_bytes().splitlines(True)[:-1]]
    packed = [json.dumps([*row[:4], _below_0(row[4])]).encode() for row in rows]
    path.write_bytes(b"".join(map(lines.add_crc, packed)))
    told = ""
    for more in (
        ("report", str(path), "--out", str(tmp_path / "report.md")),
        ("report", str(path), "--out", str(tmp_path / "report.csv")),
        ("sessions", "show", str(path)),
        ("replay", str(path), "--speed", "max"),
    ):
        assert cli.run_command_line(list(more)) == 0, more
        told += capsys.readouterr().out
    for name in ("report.md", "report.csv"):
        told += (tmp_path / name).read_text("utf-8-sig")
    told = re.sub(r"at most -128", "", told)
    assert not re.findall(r".*(?<![\w.)-])-\d.*", told)


def test_a_time_of_any_length_is_written() -> None:
    assert format_milliseconds(1.7e308) == format_milliseconds(1e15)
    assert format_milliseconds(125_000) == "2:05"
