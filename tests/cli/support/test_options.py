"""What the commands that run models have in common."""

from dataclasses import replace
from pathlib import Path

import pytest

from tui.cli.support import options
from tui.host.errors import UserError
from tui.settings import Settings


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        (["demo@bf16", "ms:Qwen/Qwen3-0.6B"], "english"),
        (["ms:Qwen/Qwen3-0.6B"], "tongji"),
        (["mine=small"], "english"),
    ],
)
def test_the_question_set_is_in_a_language_of_the_models(models: list[str], chosen: str) -> None:
    settings = Settings(aliases={"small": "demo@fp32"})
    assert options.question_set_name(models, settings) == chosen
    assert options.question_set_name(models, replace(settings, questions="smoke")) == "smoke"


def test_a_typed_folder_that_is_not_there_is_told_before_the_screen_closes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        options.check_typed_reference(f"name={tmp_path}/nothing", Settings())
    options.check_typed_reference(f"name={tmp_path}", Settings())
    options.check_typed_reference("demo@int8", Settings())
