"""What a screen can end with besides an exit code; needs no Textual."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SessionToResume:
    """An interrupted session that is to go on."""

    path: Path


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """Models to open, and the question set to open them with."""

    references: tuple[str, ...]
    questions: str
