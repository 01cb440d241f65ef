"""What a person agreed to once, kept in the configuration folder: outside of what it is about."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui.host.errors import UserError
from tui.host.paths import config_dir


def is_agreed(kind: str, facts: Sequence[Any]) -> bool:
    """Whether exactly these facts (JSON values) were agreed to. A ``kind`` has a file of its
    own."""
    try:
        return _digest(facts) in _remembered(config_dir() / f"{kind}.json")
    except UserError:
        return False


def agree(kind: str, facts: Sequence[Any]) -> None:
    """Remember that a person agreed to these facts.

    Raises:
        UserError: it cannot be kept.
    """
    path = config_dir() / f"{kind}.json"
    known, digest = _remembered(path), _digest(facts)
    if digest in known:
        return
    fresh = Path(f"{path}.{os.getpid()}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps([*known, digest]))
        fresh.replace(path)
    except OSError as error:
        raise UserError(f"cannot keep the consent in {path}: {error.strerror or error}") from None


def _digest(facts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _remembered(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []
