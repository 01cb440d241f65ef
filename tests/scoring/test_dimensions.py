"""Dimensions come from the question set or from duibi.toml, and stand in the session."""

from pathlib import Path

import pytest

from tui import questions
from tui import settings as settings_of
from tui.host import paths
from tui.host.errors import UserError
from tui.options import RunOptions
from tui.questions import QuestionSet
from tui.scoring.dimensions import resolve_dimensions

SET = """
name = "mine"
dimensions = ["逻辑", { id = "幽默", en = "Humour" }]
[[question]]
id = "a"
text = "?"
"""


def test_a_question_set_names_them(tmp_path: Path) -> None:
    file = tmp_path / "set.toml"
    file.write_text(SET)
    loaded = questions.load(str(file))
    there = QuestionSet.from_json(loaded.to_json())
    assert there == loaded
    assert [d.name("en") for d in resolve_dimensions(there.to_json()["dimensions"])] == [
        "逻辑",
        "Humour",
    ]


@pytest.mark.parametrize("bad", ["3", "[1]", '[""]', '[{ en = "x" }]', "[" + '"a",' * 10 + "]"])
def test_what_is_none_is_told(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "set.toml"
    file.write_text(f'dimensions = {bad}\n[[question]]\nid = "a"\ntext = "?"\n')
    with pytest.raises(UserError, match="dimensions"):
        questions.load(str(file))
    (paths.config_dir() / "duibi.toml").write_text(f"dimensions = {bad}\n")
    with pytest.raises(UserError, match="dimensions"):
        settings_of.load({}, cwd=tmp_path, environ={})


def test_settings_name_them_for_the_head_of_a_session(tmp_path: Path) -> None:
    (tmp_path / "duibi.toml").write_text('dimensions = ["甲", { id = "乙", en = "B" }]\n')
    loaded = settings_of.load({}, cwd=tmp_path, environ={})
    given = loaded.run.header()["dimensions"]
    assert [d.name("en") for d in resolve_dimensions(given)] == ["甲", "B"]
    assert settings_of.load({"dimensions": list(given)}, tmp_path, {}).run.dimensions == given
    assert "dimensions" not in RunOptions().header()
