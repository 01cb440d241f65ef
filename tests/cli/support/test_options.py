"""What the commands that run models have in common."""

from dataclasses import replace

import pytest

from tui.cli.support import options
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
