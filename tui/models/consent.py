"""A person's consent to run a checkpoint's own Python files: per folder and file hash."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from tui.host.errors import UserError
from tui.host.paths import config_dir
from tui.models.inspect import Inspection

_FILE = "remote-code.json"


def require_consent(seen: Inspection, ask: Callable[[str], bool]) -> dict[str, str]:
    """The hashes that a worker may run, after a person was shown them; empty for a
    checkpoint that needs no code. ``ask`` is not called where this folder with exactly
    these files was agreed to before.

    Raises:
        UserError: the person said no, or the consent cannot be kept.
    """
    if not seen.remote_code:
        return {}
    key, known = _key(seen), _remembered()
    if key not in known:
        if not ask(consent_question(seen)):
            raise UserError(
                f"{seen.path.name} needs its own Python code, which was not agreed to",
                "take a model that transformers knows natively",
            )
        _remember([*known, key])
    return dict(seen.remote_code)


def consent_question(seen: Inspection) -> str:
    """What a person is shown before any of it runs."""
    files = [f"  {name}  sha256 {digest}" for name, digest in seen.remote_code.items()]
    return "\n".join(
        [
            f"{seen.path} brings Python code that can do on this machine whatever you can:",
            *files,
            "Run it?",
        ]
    )


def _key(seen: Inspection) -> str:
    text = json.dumps([str(seen.path.resolve()), sorted(seen.remote_code.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def _remembered() -> list[str]:
    try:
        found = json.loads((config_dir() / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []


def _remember(keys: list[str]) -> None:
    path = config_dir() / _FILE
    fresh = Path(f"{path}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(keys), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise UserError(f"cannot keep the consent in {path}: {error.strerror or error}") from None
