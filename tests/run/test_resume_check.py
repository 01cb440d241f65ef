"""A run goes on only with the models and questions it began with; the file stays as it was."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.support import tiny
from tests.support.commands import in_this_process
from tui import events as ev
from tui import questions as question_sets
from tui.checkpoints.fingerprint import fingerprint
from tui.models.reference import parse_reference
from tui.models.resolve import resolve
from tui.run.resume_check import SOURCE_KEY, portable_source
from tui.sessions.journal import Journal

ONE, TWO = ('[[question]]\nid = "a"\ntext = "one"\n', '[[question]]\nid = "b"\ntext = "two"\n')
SET = f'name = "mine"\n{ONE}{TWO}'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_llama(tmp_path_factory.mktemp("models") / "tiny", stop=319)


@pytest.fixture
def checkpoint(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "tiny"
    copy.mkdir()
    for file in made.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SET)
    return path


@pytest.fixture
def session(tmp_path: Path, checkpoint: Path, mine: Path) -> Path:
    """A run of one model that broke off before its first answer."""
    model = resolve(parse_reference(f"{checkpoint}@fp32"), lambda _: False, lambda *_: None)
    questions = question_sets.load(str(mine)).to_json() | {SOURCE_KEY: portable_source(str(mine))}
    header = ev.Session(1, "0", "2026-11-22T00:00:00Z", [model.to_json()], questions)
    journal = Journal.create(tmp_path / "s", header)
    journal.append(1, 0, ev.Asked(0, "a", "one"))
    journal.close()
    return journal.path


def go_on(session: Path, *flags: str) -> tuple[int, str]:
    code, _, told = in_this_process("run", "--resume", str(session), *flags)
    return code, told


def refused(session: Path, *flags: str) -> str:
    """The line it is refused with; nothing was appended."""
    before = session.read_bytes()
    code, told = go_on(session, *flags)
    assert code == 2 and session.read_bytes() == before, told
    line, step = told.strip().split("\n")
    assert line.startswith("duibi: ") and step.strip().startswith("->")
    return line


def test_other_weights_of_the_same_shape_are_another_model(session: Path, checkpoint: Path) -> None:
    (weights,) = checkpoint.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    line = refused(session)
    assert "tiny@fp32 is not the model" in line and "its files changed" in line


def test_another_prompt_format_is_another_model(session: Path, checkpoint: Path) -> None:
    (checkpoint / "chat_template.jinja").write_text("{{ messages[0].content }}!")
    assert "its files changed" in refused(session)


def test_a_changed_question_is_named(session: Path, mine: Path) -> None:
    mine.write_text(SET.replace("two", "three"))
    line = refused(session)
    assert f"question b was changed in {mine} since {session.name} began" in line


def test_a_question_more_or_less_is_named(session: Path, mine: Path) -> None:
    mine.write_text(SET + '\n[[question]]\nid = "c"\ntext = "three"\n')
    assert "question c is new" in refused(session)
    mine.write_text(SET.removesuffix(TWO))
    assert "question b is no longer there" in refused(session)


def test_a_set_that_is_named_again_must_be_the_same(
    session: Path, mine: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(SET.replace("one", "once"))
    assert "question a was changed in" in refused(session, "--questions", str(other))
    assert "no question set 'nix'" in refused(session, "--questions", "nix")
    assert "--resume goes on as it began" in refused(session, "--seed", "3")


def test_a_header_that_names_a_pipe_as_its_set_holds_up_nobody(
    session: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """Files that others wrote are not waited on; what is missing is asked all the same."""
    os.mkfifo(tmp_path / "pipe.toml")
    first, *rest = session.read_bytes().split(b"\n")
    row = json.loads(first.partition(b"\t")[0])
    row[4]["questions"][SOURCE_KEY] = str(tmp_path / "pipe.toml")
    row[4]["settings"] = {"max_new_tokens": 4}
    from tui.sessions import lines

    session.write_bytes(
        lines.add_crc(json.dumps(row, ensure_ascii=False).encode()) + b"\n".join(rest)
    )
    code, told = go_on(session)
    assert code == 0 and "2/2" in told


def test_a_copy_has_the_same_fingerprint_and_any_change_another(
    checkpoint: Path, made: Path
) -> None:
    was = fingerprint(made)
    assert len(was) == 16 and fingerprint(checkpoint) == was
    (checkpoint / "notes.md").write_text("not part of the model")
    assert fingerprint(checkpoint) == was
    config = checkpoint / "config.json"
    config.write_text(config.read_text() + " ")
    assert fingerprint(checkpoint) != was
    assert fingerprint(checkpoint / "nowhere") == ""
