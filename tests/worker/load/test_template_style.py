"""Chat templates as published and as fine-tuned: nothing of what is asked is lost, and an answer
ends where a turn of the template does."""

from collections.abc import Iterator

import pytest

from tui.checkpoints.errors import CheckpointError
from tui.text.chinese import find_chinese
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.template_style import TemplateStyle, find_style, require_asked, turn_ends

LOOP = "{% for m in messages %}%s{% endfor %}{% if add_generation_prompt %}%s{% endif %}"


def _in_turn(turn: str, begin: str) -> str:
    """A template that writes each message ``m`` as ``turn``, an answer from ``begin`` on."""
    return LOOP.replace("%s", turn, 1).replace("%s", begin)


CHATML = _in_turn(
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n", "<|im_start|>assistant\n"
)
# As in Phi-3-mini when it came out: no branch for the system role.
WITHOUT_SYSTEM = _in_turn(
    "{% if m.role == 'user' %}<|user|>\n{{ m.content }}<|end|>\n"
    "{% elif m.role == 'assistant' %}<|assistant|>\n{{ m.content }}<|end|>\n{% endif %}",
    "<|assistant|>\n",
)
PARTS = _in_turn(
    "<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}"
    "{% endif %}{% endfor %}<|im_end|>\n",
    "<|im_start|>assistant\n",
)
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + WITHOUT_SYSTEM
)
# gpt-oss: an answer is several messages, each with an end of its own.
CHANNELS = _in_turn(
    "<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>"
    "{{ m.content }}<|end|>",
    "<|start|>assistant",
)
# GLM-4: the next role's token ends a turn.
NEXT_ROLE = _in_turn("<|{{ m.role }}|>\n{{ m.content }}", "<|assistant|>\n")
THINKING = CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n")
PARTS_OF_USERS = _in_turn(
    "<|im_start|>{{ m.role }}\n{% if m.role == 'user' %}{% for c in m.content %}{{ c.text }}"
    "{% endfor %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n",
    "<|im_start|>assistant\n",
)
PARTS_OF_SYSTEM = _in_turn(
    "<|im_start|>{{ m.role }}\n{% if m.role == 'system' %}{{ m.content[0].text }}{% else %}"
    "{{ m.content }}{% endif %}<|im_end|>\n",
    "<|im_start|>assistant\n",
)
LAST_ONLY = "[INST]{{ messages[-1].content }}[/INST]"
FIRST_ONLY = "[INST]{{ messages[0].content }}[/INST]"
DATED = (
    "{% set today = strftime_now('%Y-%m-%d') %}<|system|>今天是{{ today }}<|end|>" + WITHOUT_SYSTEM
)
MACRO = (
    "{% macro show(c) %}{% if c is string %}{{ c }}{% else %}{% for p in c %}{{ p.text }}"
    "{% endfor %}{% endif %}{% endmacro %}" + CHATML.replace("m.content", "show(m.content)")
)
NAMESPACE = (
    "{%- set ns = namespace(system='') -%}{%- for m in messages if m.role == 'system' -%}"
    "{%- set ns.system = ns.system ~ m.content -%}{%- endfor -%}"
    "{%- for m in messages if m.role != 'system' -%}{%- if m.role == 'user' -%}"
    "[INST]{% if loop.first %}{{ ns.system }}\n{% endif %}{{ m.content }}[/INST]"
    "{%- else -%}{{ m.content }}</s>{%- endif -%}{%- endfor -%}"
)
TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML.replace(
    "<|im_start|>{{", "{% if m.role == 'tool' %}{% continue %}{% endif %}<|im_start|>{{"
)
TRAINED = _in_turn(
    "<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n",
    "<|im_start|>assistant\n",
)
# What begins every message begins no answer by itself.
BEGUN_ALIKE = "<s>" + CHATML.replace("<|im_start|>{{", "<s><|im_start|>{{")
NEVER_BEGUN = CHATML.partition("{% if add_generation_prompt")[0]
SHOUTED = CHATML.replace("m.content", "m.content.strip().upper()")
CONTROLS = (
    "[INST]", "[/INST]", "<s>", "</s>",
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
        (PARTS, TemplateStyle(frozenset(("user", "system", "assistant")))),
        (PARTS_OF_USERS, TemplateStyle(frozenset(("user",)))),
        (PARTS_OF_SYSTEM, TemplateStyle(frozenset(("system",)))),
        (LAST_ONLY, TemplateStyle(merges_system=True, asks_alone=True)),
        (FIRST_ONLY, TemplateStyle(merges_system=True, asks_alone=True)),
        (DATED, TemplateStyle(merges_system=True)),
        (MACRO, TemplateStyle()),
        (NAMESPACE, TemplateStyle()),
        (TOOLS, TemplateStyle()),
        (TRAINED, TemplateStyle()),
        (NEVER_BEGUN, TemplateStyle(beginning="<|im_start|>assistant\n")),
        (NEVER_BEGUN + "<|im_start|>assistant\n", TemplateStyle()),
        ("{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}", TemplateStyle()),
        (SHOUTED, TemplateStyle()),
    ],
)
def test_system_text_and_question_reach_the_prompt(
    made: list[ChatTemplate], source: str, style: TemplateStyle
) -> None:
    made.append(ChatTemplate(source, {}))
    assert find_style(made[0], CONTROLS) == style
    text = style.render(made[0], ASKED).lower()
    assert text.index("be brief.") < text.index("why?")
    told = style.render(made[0], (*ASKED, ("assistant", "Rayleigh."), ("user", "Who?"))).lower()
    assert "who?" in told and "'type'" not in told
    assert style.asks_alone or "rayleigh." in told


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
        (TRAINED, {"<|im_end|>"}),
        (BEGUN_ALIKE, {"<|im_end|>"}),
        (NEVER_BEGUN, {"<|im_end|>"}),
        (NAMESPACE, {"</s>"}),
        (LAST_ONLY, set()),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", set()),
    ],
)
def test_what_ends_a_turn_ends_an_answer(
    made: list[ChatTemplate], source: str, ends: set[str]
) -> None:
    made.append(ChatTemplate(source, {}))
    assert turn_ends(made[0], find_style(made[0], CONTROLS), CONTROLS) == ends


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (CHATML, ""),
        (WITHOUT_SYSTEM, "no system text"),
        (PARTS_OF_USERS, ""),
        (LAST_ONLY, "one question only"),
        (NEVER_BEGUN, "does not begin an answer"),
    ],
)
def test_what_a_template_leaves_out_is_said(
    made: list[ChatTemplate], source: str, said: str
) -> None:
    made.append(ChatTemplate(source, {}))
    remarks = find_style(made[0], CONTROLS).remarks
    assert said in "; ".join(remarks) and bool(remarks) == bool(said)
    assert all(find_chinese(remark) for remark in remarks)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for m in messages %}{{ m.content | from_json }}{% endfor %}", "No filter named"),
        ("{% include 'other' %}", "no loader"),
        ("{{ raise_exception('only for images') }}", "only for images"),
        ("{{ persona.tone.mood }}{% for m in messages %}{{ m.content }}{% endfor %}", "persona"),
        ("hello", "leaves out the question"),
        (CHATML.replace("m.content", "m.content[:200]"), "leaves out the question"),
    ],
)
def test_a_template_that_cannot_be_is_one_sentence(
    made: list[ChatTemplate], source: str, said: str
) -> None:
    made.append(ChatTemplate(source, {}))
    with pytest.raises(CheckpointError, match=said) as caught:
        find_style(made[0])
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        ("<s>be brief\n\nwhat is the capital of France?", ""),
        ("<s>be  brief what is the capital of France&#63;", ""),
        ("<s>be brief", "question"),
        ("<s>what is the capital of France?", "system text"),
    ],
)
def test_a_prompt_holds_what_is_asked(prompt: str, lost: str) -> None:
    turns = (
        ("system", "be brief"),
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", " what is\nthe capital of France? "),
    )
    if not lost:
        require_asked(prompt, turns)
        return
    with pytest.raises(CheckpointError, match=f"leaves out the {lost}"):
        require_asked(prompt, turns)
