"""What a person agreed to once, kept in the configuration folder: outside of what it is about."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui.host.errors import UserError
from tui.host.paths import config_dir
from tui.host.save_file import replace_file


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
    try:
        replace_file(path, json.dumps([*known, digest]))
    except UserError as error:
        step = "choose another configuration folder with DUIBI_CONFIG_DIR"
        raise UserError(f"the consent is not kept: {error.message}", step) from None


def _digest(facts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _remembered(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []
