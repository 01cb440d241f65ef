"""Which variables of the environment hold secrets."""

import os

SECRET_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
"""What the name of a variable with a secret ends in, in capitals or not."""
_MIN_LENGTH = 6
"""Shorter ones are no secret, and would be found in any text."""


def is_secret(name: str) -> bool:
    """Whether a variable of this name is kept from child processes."""
    return name.upper().endswith(SECRET_ENDINGS)


def redact_secrets(text: str) -> str:
    """``text`` with the value of every secret variable made ``***``: for what people pass on."""
    for name, value in os.environ.items():
        if is_secret(name) and len(value) >= _MIN_LENGTH:
            text = text.replace(value, "***")
    return text
