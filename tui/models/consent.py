"""A person's consent to run a checkpoint's own Python files: per folder and file hash."""

from collections.abc import Callable
from typing import Any

from tui.host import agreements
from tui.host.errors import UserError
from tui.models.inspect import Inspection

_KIND = "remote-code"


def require_consent(seen: Inspection, ask: Callable[[str], bool]) -> dict[str, str]:
    """The hashes that a worker may run, after a person was shown them; empty for a
    checkpoint that needs no code. ``ask`` is not called where this folder with exactly
    these files was agreed to before.

    Raises:
        UserError: the person said no, or the consent cannot be kept.
    """
    if not seen.remote_code:
        return {}
    if not agreements.is_agreed(_KIND, _facts(seen)):
        if not ask(consent_question(seen)):
            raise UserError(
                f"{seen.path.name} needs its own Python code, which was not agreed to",
                "take a model that transformers knows natively",
            )
        agreements.agree(_KIND, _facts(seen))
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


def _facts(seen: Inspection) -> list[Any]:
    return [str(seen.path.resolve()), sorted(seen.remote_code.items())]
