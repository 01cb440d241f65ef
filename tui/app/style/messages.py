"""What the screen says, in English and Chinese: whole sentences from ``messages.toml``."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tui.app.style.key_hints import KeyHints
from tui.text.messages import Catalogue, Texts, read_texts
from tui.text.translation import LANGUAGES, translate


class Messages(Catalogue):
    """The messages of the screen in one language, English where there is no such one. ``keys``
    are the person's own, by the ids of bindings; a message names a key as ``{k[answer.ask]}``."""

    def __init__(self, language: str, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(catalogue(), language if language in LANGUAGES else "en")
        self._hints = KeyHints(keys)

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key with its ``{placeholders}`` and keys filled in; KeyError if there is
        none."""
        return super().__call__(key, k=self._hints, **values)

    def word(self, group: str, name: str) -> str:
        """The word a group has for a name, or the name itself."""
        return self._texts.get(f"{group}.{name}", name)

    def failure(self, cause: str, message: str) -> str:
        """A failure's message; where it has no words of this language, behind what its cause
        means."""
        said = self.told(message)
        known = said != message or self.language == "en"
        around = self._texts.get(f"cause.{cause}", "{message}")
        return said if known else around.format(message=message)

    def told(self, text: str) -> str:
        """What the program says in English outside of the screen, in the screen's language."""
        return translate(text, self.language)


@cache
def catalogue() -> Texts:
    """All messages by key (``state.prefill``) and language."""
    return read_texts(Path(__file__).with_name("messages.toml"))
