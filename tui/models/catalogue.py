"""A short list of models for newcomers; the list itself is data (`catalogue.toml`)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tui.checkpoints.memory_estimate import MemoryShape, predict_peak
from tui.models.default_dtype import choose_dtype


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model that can be fetched. Bytes are bytes; ``languages`` are ISO 639-1 codes,
    ``licence`` is what its publisher calls it."""

    reference: str
    title: str
    languages: list[str]
    parameters: int
    download_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    licence: str = ""
    note: str = ""
    note_zh: str = ""

    def note_in(self, language: str) -> str:
        """The note in English or Chinese."""
        return self.note_zh if language == "zh" else self.note

    def predict_memory(self, dtype: str, context: int) -> int:
        """Predicted bytes of memory (`tui.checkpoints.memory_estimate.predict_peak`)."""
        return predict_peak(self.parameters, dtype, self.shape, context)

    @property
    def default_dtype(self) -> str:
        """The format it is loaded in unless another is asked for."""
        return choose_dtype(self.parameters, self.shape)

    @property
    def shape(self) -> MemoryShape:
        """What else its memory depends on, as far as the list tells."""
        return MemoryShape(self.layers, self.kv_heads, self.head_dim)


def suggestions() -> list[Suggestion]:
    """The list, smallest first."""
    text = Path(__file__).with_name("catalogue.toml").read_text("utf-8")
    entries = [Suggestion(**entry) for entry in tomllib.loads(text)["model"]]
    return sorted(entries, key=lambda entry: entry.download_bytes)
