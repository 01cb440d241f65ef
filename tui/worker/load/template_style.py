"""What a chat template does with the messages it is given, found out with marked ones.

A template is somebody's program: one passes over the system role without an error, another walks
through the parts of a content where it is given a text, and leaves the question out. What the
model is asked must not depend on that.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tui.checkpoints.errors import CheckpointError
from tui.text.reasoning import THINK_CLOSE, THINK_OPEN
from tui.worker.checkpoint import Turn
from tui.worker.load.chat_template import ChatTemplate, ChatTemplateError

_WORDS_BETWEEN = "zq " * 500
_SYSTEM, _QUESTION, _ANSWER, _NEXT = (
    f"zq{name}qz {_WORDS_BETWEEN}{name}end" for name in ("system", "question", "answer", "next")
)
"""What no template writes by itself, so long that one that shortens its messages is found out."""
_ASKED = (("user", _QUESTION),)
_TOLD = (*_ASKED, ("assistant", _ANSWER), ("user", _NEXT))

_ANOTHER = "give another one with --chat-template FILE"
_KNOWN_AGAIN = 8
"""Letters at the beginning or the end of a text by which it is known again in a prompt, whatever a
template makes of the rest."""
_PRINTED_PARTS = re.compile(r"['\"]text['\"]\s*:\s*['\"]zq")
"""In the text of a template that prints parts it does not know."""


@dataclass(frozen=True, slots=True)
class TemplateStyle:
    """How messages are to be given: the roles whose contents are parts
    (``[{"type": "text", "text": ...}]``); the system text at the beginning of the first question;
    only the last question, without what went before. ``beginning`` is put behind the text of a
    template that writes none for an answer."""

    as_parts: frozenset[str] = frozenset()
    merges_system: bool = False
    asks_alone: bool = False
    beginning: str = ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is said of it to a person."""
        said = {
            "the chat template takes no system text: one is put before the first question": (
                self.merges_system
            ),
            "the chat template takes one question only: earlier turns are left out": (
                self.asks_alone
            ),
            "the chat template does not begin an answer: it is begun as earlier ones are": (
                bool(self.beginning)
            ),
        }
        return tuple(text for text, is_so in said.items() if is_so)

    def render(
        self,
        template: ChatTemplate,
        turns: Sequence[Turn],
        variables: Mapping[str, object] | None = None,
    ) -> str:
        """The text of a conversation; ``variables`` are more that the template sees.

        Raises:
            ChatTemplateError: see `ChatTemplate.render`.
        """
        if self.asks_alone:
            turns = (*(turn for turn in turns[:-1] if turn[0] == "system"), turns[-1])
        if self.merges_system and turns[0][0] == "system" and len(turns) > 1:
            (_, system), (role, content), *rest = turns
            turns = ((role, f"{system}\n\n{content}"), *rest)
        text = template.render(turns, as_parts=self.as_parts, variables=variables)
        return text + self.beginning


def find_style(template: ChatTemplate, controls: Collection[str] = ()) -> TemplateStyle:
    """The style in which a marked system text, questions and an answer appear in the rendered
    prompt; ``controls`` are the control tokens of the words.

    Raises:
        CheckpointError: the question appears in none, or the template raises.
    """
    style = _with_role(template, TemplateStyle(), "user", _ASKED)
    if style is None:
        template.render(_ASKED)  # raises what it raises
        raise CheckpointError("unsupported", "the chat template leaves out the question", _ANOTHER)
    with_system = _with_role(template, style, "system", (("system", _SYSTEM), *_ASKED))
    style = with_system or replace(style, merges_system=True)
    with_answer = _with_role(template, style, "assistant", _TOLD)
    style = with_answer or replace(style, asks_alone=True)
    return replace(style, beginning=_missing_beginning(template, style, controls))


def _with_role(
    template: ChatTemplate, style: TemplateStyle, role: str, turns: Sequence[Turn]
) -> TemplateStyle | None:
    """The style with the contents of a role as they reach the prompt, as a text or as parts; first
    as those of the user do. None where neither does."""
    same = replace(style, as_parts=style.as_parts | {role}) if style.as_parts else style
    for tried in (same, replace(same, as_parts=same.as_parts ^ {role})):
        shown = _shown(template, tried, turns)
        if shown is None or _PRINTED_PARTS.search(shown):
            continue
        if all(content in shown.lower() for _, content in turns):
            return tried
    return None


def _shown(
    template: ChatTemplate,
    style: TemplateStyle,
    turns: Sequence[Turn],
    variables: Mapping[str, object] | None = None,
) -> str | None:
    """The text of a conversation, None where the template itself raises."""
    try:
        return style.render(template, turns, variables)
    except ChatTemplateError as error:
        if not error.raised_by_template:
            raise
        return None


def _missing_beginning(
    template: ChatTemplate, style: TemplateStyle, controls: Collection[str]
) -> str:
    """What stands between a question and an earlier answer to it and not behind a new question, as
    far as it holds a control token; empty where the template begins an answer when it is asked to,
    or always."""
    begun = _shown(template, style, _ASKED)
    unasked = _shown(template, style, _ASKED, {"add_generation_prompt": False})
    told = _shown(template, style, _TOLD)
    if begun is None or begun != unasked or told is None or _ANSWER not in told:
        return ""
    head, _, tail = told.partition(_ANSWER)
    between, behind = (text.rpartition(_QUESTION)[2] for text in (head, begun))
    rest = between.removeprefix(behind).partition(THINK_OPEN)[0]
    is_more = between.startswith(behind) and any(token in rest for token in controls)
    # What begins a question too says nothing of an answer.
    return rest if is_more and not tail.partition(_NEXT)[0].endswith(rest) else ""


def turn_ends(
    template: ChatTemplate, style: TemplateStyle, controls: Collection[str]
) -> frozenset[str]:
    """The control token that stands behind an answer in a conversation, if one does; empty where
    an answer consists of several messages of its own (what ends one of them does not end it)."""
    begun, told = _shown(template, style, _ASKED), _shown(template, style, _TOLD)
    if not controls or begun is None or told is None or _ANSWER not in told:
        return frozenset()
    split = re.compile("|".join(map(re.escape, sorted(controls, key=len, reverse=True))))
    head, _, behind = told.partition(_ANSWER)
    thoughts = {THINK_OPEN, THINK_CLOSE}
    before, promised = (
        [token for token in split.findall(text.rpartition(_QUESTION)[2]) if token not in thoughts]
        for text in (head, begun)
    )
    end = split.match(behind.lstrip())
    # The first tokens of a message may differ: one that stands before each is in no beginning.
    return frozenset([end[0]]) if end and before[-1:] == promised[-1:] else frozenset()


def require_asked(prompt: str, turns: Sequence[Turn]) -> None:
    """Make sure that a prompt holds the last question of ``turns`` and what the system role says: a
    template may take long or short texts for nothing.

    Raises:
        CheckpointError: one of them is not there.
    """
    written = "".join(prompt.split())
    for role, said_of in (
        ("user", "the chat template leaves out the question"),
        ("system", "the chat template leaves out the system text"),
    ):
        last = next((content for said, content in reversed(turns) if said == role), "")
        letters = "".join(last.split())
        if letters[:_KNOWN_AGAIN] not in written and letters[-_KNOWN_AGAIN:] not in written:
            raise CheckpointError("unsupported", said_of, _ANOTHER)
