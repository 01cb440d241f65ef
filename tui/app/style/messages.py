"""What the screen says, in English and Chinese: whole sentences from one catalogue."""

import tomllib
from functools import cache
from importlib import resources

LANGUAGES = ("en", "zh")
Values = str | int | float


class Messages:
    """Looks up and fills in messages of one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._texts = {key: texts[self.language] for key, texts in catalogue().items()}

    def __call__(self, key: str, /, **values: Values) -> str:
        """The message of a key with its ``{placeholders}`` filled in; KeyError if there is none."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def word(self, group: str, name: str) -> str:
        """The word a group has for a name, or the name itself."""
        return self._texts.get(f"{group}.{name}", name)

    def failure(self, cause: str, message: str) -> str:
        """A failure's message, behind what its cause means where the language is not the
        message's own."""
        return self._texts.get(f"cause.{cause}", "{message}").format(message=message)


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """All messages: key -> language -> text. Keys are dotted, ``state.prefill``."""
    raw = resources.files("tui.app.style").joinpath("messages.toml").read_text("utf-8")
    return {
        f"{group}.{key}": texts
        for group, entries in tomllib.loads(raw).items()
        for key, texts in entries.items()
    }
