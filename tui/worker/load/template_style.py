"""What a chat template does with the messages it is given, found out with marked ones.

A template is somebody's program: one passes over the system role without an error, another walks
through the parts of a content where it is given a text, and leaves the question out. What the
model is asked must not depend on that.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tui.checkpoints.errors import CheckpointError
from tui.text.reasoning import THINK_CLOSE, THINK_OPEN
from tui.worker.checkpoint import Turn
from tui.worker.load.chat_template import ChatTemplate, ChatTemplateError

_SYSTEM, _QUESTION, _ANSWER = "zqsystemqz", "zqquestionqz", "zqanswerqz"
"""Words that no template writes by itself."""

_PRINTED_PARTS = re.compile(r"['\"]type['\"]\s*:")
"""In the text of a template that prints parts it does not know."""


@dataclass(frozen=True, slots=True)
class TemplateStyle:
    """How messages are to be given: contents as parts (``[{"type": "text", "text": ...}]``), and
    the system text at the beginning of the first question."""

    as_parts: bool = False
    merges_system: bool = False

    @property
    def remark(self) -> str:
        """What is said of it to a person; may be empty."""
        said = "the chat template takes no system text: one is put before the first question"
        return said if self.merges_system else ""

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
        if self.merges_system and turns[0][0] == "system" and len(turns) > 1:
            (_, system), (role, content), *rest = turns
            turns = ((role, f"{system}\n\n{content}"), *rest)
        return template.render(turns, as_parts=self.as_parts, variables=variables)


def find_style(template: ChatTemplate) -> TemplateStyle:
    """The style in which a marked system text and question appear in the rendered prompt.

    Raises:
        CheckpointError: the question appears in none, or the template raises.
    """
    failed: ChatTemplateError | None = None
    for as_parts in (False, True):
        try:
            text = template.render((("user", _QUESTION),), as_parts=as_parts)
        except ChatTemplateError as error:
            failed = failed or error
            continue
        if _QUESTION not in text or (as_parts and _PRINTED_PARTS.search(text)):
            continue
        turns = (("system", _SYSTEM), ("user", _QUESTION))
        style = TemplateStyle(as_parts)
        try:
            shown = style.render(template, turns)
        except ChatTemplateError as error:
            if not error.raised_by_template:
                raise
            shown = ""
        whole = _SYSTEM in shown and _QUESTION in shown
        return style if whole else TemplateStyle(as_parts, merges_system=True)
    if failed:
        raise failed
    raise CheckpointError(
        "unsupported",
        "the chat template leaves out the question",
        "give another one with --chat-template FILE",
    )


def turn_ends(
    template: ChatTemplate, style: TemplateStyle, controls: Collection[str]
) -> frozenset[str]:
    """The control token that stands behind an answer in a conversation, if one does; empty where
    an answer consists of several messages of its own (what ends one of them does not end it)."""
    asked = (("user", _QUESTION),)
    try:
        begun = style.render(template, asked)
        told = style.render(template, (*asked, ("assistant", _ANSWER), *asked))
    except ChatTemplateError:
        return frozenset()
    if not controls or _ANSWER not in told:
        return frozenset()
    split = re.compile("|".join(map(re.escape, sorted(controls, key=len, reverse=True))))
    head, _, behind = told.partition(_ANSWER)
    opened = begun.rpartition(_QUESTION)[2]
    thoughts = {THINK_OPEN, THINK_CLOSE}
    before, promised = (
        [token for token in split.findall(text) if token not in thoughts]
        for text in (head.rpartition(_QUESTION)[2], opened)
    )
    end = split.match(behind.lstrip())
    return frozenset([end[0]]) if end and before == promised else frozenset()
