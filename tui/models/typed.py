"""What a person types where a model is asked for, as a reference."""

import re
from pathlib import Path

from tui.models.reference import is_model_id, settings_start

_HUB_PAGES = {
    "ms": re.compile(r"https?://(?:www\.)?modelscope\.cn/models/([^/?#\s]+/[^/?#\s]+)"),
    "hf": re.compile(r"https?://(?:huggingface\.co|hf-mirror\.com)/([^/?#\s]+/[^/?#\s]+)"),
}
_TWICE = re.compile(r"ms:(?=(?:ms|hf):)", re.IGNORECASE)


def read_typed(text: str) -> str:
    """The reference that is meant: quotes are taken off, ``ms:`` before another hub's name counts
    for nothing, a hub's page is its model, a plain OWNER/NAME one of ModelScope, and what exists
    here is a path."""
    typed = text.strip().strip("'\"").strip()
    if (start := settings_start(typed)) >= 0:
        return read_typed(typed[:start]) + typed[start:]
    while _TWICE.match(typed):
        typed = typed[3:]
    for hub, page in _HUB_PAGES.items():
        if found := page.match(typed):
            return f"{hub}:{found[1]}"
    if ":" in typed or typed.startswith((".", "/", "~")):
        return typed
    base = typed.partition("@")[0]
    if _exists(base):
        return f"./{typed}"
    return f"ms:{typed}" if is_model_id(base) else typed


def split_label(text: str) -> tuple[str, str]:
    """The name and the model of ``NAME=MODEL``; without a name "" and the text."""
    label, equals, name = text.partition("=")
    is_label = equals and name and label.strip() and not set(label) & set("/:#@?\\")
    return (label.strip(), name) if is_label else ("", text)


def _exists(name: str) -> bool:
    try:
        return bool(name) and name != "demo" and Path(name).exists()
    except (OSError, ValueError):
        return False
