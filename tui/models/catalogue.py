"""A short list of models for newcomers; the list itself is data (`catalogue.toml`)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tui.checkpoints.memory_estimate import Shape, predict
from tui.models.default_dtype import chosen


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model that can be fetched. Bytes are bytes; ``languages`` are ISO 639-1 codes."""

    reference: str
    title: str
    languages: list[str]
    parameters: int
    download_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    note: str = ""
    note_zh: str = ""

    def note_in(self, language: str) -> str:
        """The note in English or Chinese."""
        return self.note_zh if language == "zh" else self.note

    def need(self, dtype: str, context: int) -> int:
        """Predicted bytes of memory (`tui.checkpoints.memory_estimate.predict`)."""
        return predict(self.parameters, dtype, self.shape, context)

    @property
    def default(self) -> str:
        """The format it is loaded in unless another is asked for."""
        return chosen(self.parameters, self.shape)

    @property
    def shape(self) -> Shape:
        """What else its memory depends on, as far as the list tells."""
        return Shape(self.layers, self.kv_heads, self.head_dim)


def suggestions() -> list[Suggestion]:
    """The list, smallest first."""
    text = Path(__file__).with_name("catalogue.toml").read_text("utf-8")
    entries = [Suggestion(**entry) for entry in tomllib.loads(text)["model"]]
    return sorted(entries, key=lambda entry: entry.download_bytes)
