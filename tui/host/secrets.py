"""Which variables of the environment hold secrets, and an environment without them."""

import os
from collections.abc import Mapping

SECRET_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
"""What the name of a variable with a secret ends in, in capitals or not."""
_MIN_LENGTH = 6
"""Shorter ones are no secret, and would be found in any text."""


def is_secret(name: str) -> bool:
    """Whether a variable of this name is kept from child processes."""
    return name.upper().endswith(SECRET_ENDINGS)


def child_environment(
    allowed: str = "", environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment (this program's own by default) as a child process gets it: without
    secrets, but for the variable ``allowed`` that the child cannot do its work without."""
    given = os.environ if environ is None else environ
    return {k: v for k, v in given.items() if k == allowed or not is_secret(k)}


def redact_secrets(text: str) -> str:
    """``text`` with the value of every secret variable made ``***``: for what people pass on."""
    for name, value in os.environ.items():
        if is_secret(name) and len(value) >= _MIN_LENGTH:
            text = text.replace(value, "***")
    return text
