"""Conversations as others write them: messages with roles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui.host.errors import UserError

_ROLES = {
    "user": ("user", "human", "prompter", "用户"),
    "model": ("assistant", "gpt", "model", "bot", "chatgpt", "助手"),
    "system": ("system", "developer"),
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is asked turn by turn, and what was answered then."""

    turns: list[str]
    answers: list[str]
    system: str | None


def is_conversation(value: Any) -> bool:
    """Whether it is a list of messages: OpenAI's ``role`` and ``content``, ShareGPT's ``from`` and
    ``value``."""
    return isinstance(value, list) and bool(value) and all(_is_message(one) for one in value)


def read_conversation(messages: list[Mapping[str, Any]], place: str) -> Conversation:
    """The turns of a conversation; messages of the user in a row are one.

    Raises:
        UserError: it has other roles, other content than text, or nothing of the user.
    """
    turns: list[str] = []
    answers: list[str] = []
    system: list[str] = []
    for message in messages:
        role, text = _role(message, place), _content(message, place)
        if role == "system":
            system.append(text)
        elif role == "user" and len(answers) < len(turns):
            turns[-1] += f"\n\n{text}"
        elif role == "user":
            turns.append(text)
        elif turns:
            answers += [""] * (len(turns) - len(answers) - 1)
            answers[len(turns) - 1 :] = [text]
    if not turns:
        raise UserError(f"{place}: no message is of the user", 'give one the role "user"')
    return Conversation(turns, answers, "\n\n".join(system) or None)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and (
        {"role", "content"} <= value.keys() or {"from", "value"} <= value.keys()
    )


def _role(message: Mapping[str, Any], place: str) -> str:
    said = message.get("role", message.get("from"))
    for role, names in _ROLES.items():
        if isinstance(said, str) and said.casefold() in names:
            return role
    raise UserError(
        f"{place}: a message of role {str(said)[:40]!r}", "only system, user and assistant are read"
    )


def _content(message: Mapping[str, Any], place: str) -> str:
    content = message.get("content", message.get("value"))
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    said = [text for text in texts if isinstance(text, str)]
    if len(said) == len(texts):
        return "\n".join(said)
    raise UserError(f"{place}: a message holds more than text", "only text can be asked here")
