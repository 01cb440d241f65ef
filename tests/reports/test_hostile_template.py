"""A template and an older report of others steer no terminal."""

from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui.text.sanitise import clean

SIGNS = "\x9d0;t\x07 \u202egnp \u2066 \u200b \x0b \x1b]8;;http://x\x1b"
TEMPLATE = "".join(
    f"{begin}x \x1bc {SIGNS}\n\n" for begin in ("## ", "- ", "", "[[place a]] ", "{{ title }}")
)
COMPUTED = "{{ title | replace('a', '\\x1bc') }}\n{{ '\\x9b2J' }}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    head = recorded_header(["a@bf16"], [{"id": "one", "turns": ["?"]}])
    return record_session(tmp_path / "s", head, lambda _m, _q: "answer")


@pytest.mark.parametrize("format", ["md", "html", "tex"])
@pytest.mark.parametrize("to_file", [True, False])
def test_nothing_that_a_template_writes_steers_a_terminal(
    format: str, to_file: bool, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its own text nor what it makes of a value."""
    template, out = tmp_path / "theirs.jinja", tmp_path / f"r.{format}"
    template.write_text(TEMPLATE + COMPUTED, "utf-8")
    where = ["--out", str(out)] if to_file else ["--format", format]
    command = ["report", str(path), "--no-pictures", "--template", str(template), *where]
    assert cli.run_command_line(command) == 0
    written = out.read_text("utf-8") if to_file else capsys.readouterr().out
    assert "gnp" in written and written == clean(written)


def test_an_error_of_a_template_steers_no_terminal(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = tmp_path / "theirs.jinja"
    template.write_text("{{ raise_exception('\\x1bc \\x9b2J gnp') }}", "utf-8")
    assert cli.run_command_line(["report", str(path), "--template", str(template)]) == 2
    told = capsys.readouterr().err
    assert "gnp" in told and told == clean(told)


def test_what_an_older_report_tells_of_the_title_page_steers_no_terminal(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.words.md").write_text(
        '<!-- duibi:state {} -->\n\n<!-- duibi:facts {"author": "\\u001bc gnp \\u009b2J"} -->\n'
    )
    for name in ("r.md", "r.html"):
        out = tmp_path / name
        assert cli.run_command_line(["report", str(path), "--no-pictures", "--out", str(out)]) == 0
        written = out.read_text("utf-8")
        assert "gnp" in written and written == clean(written)
    kept = (tmp_path / "r.words.md").read_text("utf-8")
    assert "gnp" in kept and "u001b" not in kept
