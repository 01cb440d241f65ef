"""Chat templates as published and as fine-tuned: nothing of what is asked is lost, and an answer
ends where a turn of the template does."""

from collections.abc import Iterator

import pytest

from tui.checkpoints.errors import CheckpointError
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.template_style import TemplateStyle, find_style, turn_ends

LOOP = "{% for m in messages %}%s{% endfor %}{% if add_generation_prompt %}%s{% endif %}"
CHATML = LOOP.replace("%s", "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n", 1).replace(
    "%s", "<|im_start|>assistant\n"
)
# As in Phi-3-mini when it came out: no branch for the system role.
WITHOUT_SYSTEM = LOOP.replace(
    "%s",
    "{% if m.role == 'user' %}<|user|>\n{{ m.content }}<|end|>\n"
    "{% elif m.role == 'assistant' %}<|assistant|>\n{{ m.content }}<|end|>\n{% endif %}",
    1,
).replace("%s", "<|assistant|>\n")
PARTS = LOOP.replace(
    "%s",
    "<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}"
    "{% endif %}{% endfor %}<|im_end|>\n",
    1,
).replace("%s", "<|im_start|>assistant\n")
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + WITHOUT_SYSTEM
)
# gpt-oss: an answer is several messages, each with an end of its own.
CHANNELS = LOOP.replace(
    "%s",
    "<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>"
    "{{ m.content }}<|end|>",
    1,
).replace("%s", "<|start|>assistant")
# GLM-4: the next role's token ends a turn.
NEXT_ROLE = LOOP.replace("%s", "<|{{ m.role }}|>\n{{ m.content }}", 1).replace(
    "%s", "<|assistant|>\n"
)
THINKING = CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n")
CONTROLS = (
    "<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|start|>",
    "<|channel|>", "<|message|>", "<think>", "</think>",
)  # fmt: skip
ASKED = (("system", "Be brief."), ("user", "Why?"))


@pytest.fixture
def made() -> Iterator[list[ChatTemplate]]:
    opened: list[ChatTemplate] = []
    yield opened
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("source", "style"),
    [
        (CHATML, TemplateStyle()),
        (WITHOUT_SYSTEM, TemplateStyle(merges_system=True)),
        (REFUSES_SYSTEM, TemplateStyle(merges_system=True)),
        (PARTS, TemplateStyle(as_parts=True)),
    ],
)
def test_system_text_and_question_reach_the_prompt(
    made: list[ChatTemplate], source: str, style: TemplateStyle
) -> None:
    made.append(ChatTemplate(source, {}))
    assert find_style(made[0]) == style
    text = style.render(made[0], ASKED)
    assert text.index("Be brief.") < text.index("Why?")


def test_a_template_without_a_place_for_the_question_is_refused(made: list[ChatTemplate]) -> None:
    made.append(ChatTemplate("{% for m in messages %}<{{ m.text }}>{% endfor %}", {}))
    with pytest.raises(CheckpointError, match="leaves out the question"):
        find_style(made[0])


@pytest.mark.parametrize(
    ("source", "ends"),
    [
        (CHATML, {"<|im_end|>"}),
        (WITHOUT_SYSTEM, {"<|end|>"}),
        (THINKING, {"<|im_end|>"}),
        (NEXT_ROLE, {"<|user|>"}),
        (CHANNELS, set()),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", set()),
    ],
)
def test_what_ends_a_turn_ends_an_answer(
    made: list[ChatTemplate], source: str, ends: set[str]
) -> None:
    made.append(ChatTemplate(source, {}))
    assert turn_ends(made[0], find_style(made[0]), CONTROLS) == ends


def test_a_template_that_leaves_out_the_system_text_is_said_to(made: list[ChatTemplate]) -> None:
    loop = "{% for m in messages %}IF{{ m.content }}\n{% endfor %}"
    sources = (
        loop.replace("IF", ""),
        loop.replace("\n{", "{% endif %}\n{", 1).replace("IF", "{% if m.role != 'system' %}"),
    )
    made += [ChatTemplate(source, {}) for source in sources]
    plain, leaving = (find_style(one).remark for one in made)
    assert (plain, "no system text" in leaving) == ("", True)
