"""The hubs that models are fetched from, by the kind of a reference."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.models import caches, hub, huggingface


@dataclass(frozen=True, slots=True)
class Hub:
    """One hub. ``scheme`` begins its references, ``title`` names it, ``cache_variable`` says where
    its models are kept; ``ask`` is as `tui.models.hub.ask`, ``folder`` where a model is or will
    be."""

    scheme: str
    title: str
    revision: str
    cache_variable: str
    url: Callable[[], str]
    folder: Callable[[str], Path]
    ask: Callable[[str, dict[str, Any], threading.Event], Iterator[dict[str, Any]]]


HUBS = {
    "modelscope": Hub(
        *("ms", "ModelScope", caches.REVISION, "MODELSCOPE_CACHE"),
        *(hub.hub_url, caches.modelscope_folder, hub.ask),
    ),
    "huggingface": Hub(
        *("hf", "Hugging Face", caches.HUGGINGFACE_REVISION, "HF_HUB_CACHE"),
        *(huggingface.hub_url, caches.huggingface_folder, huggingface.ask),
    ),
}
"""By the kind of a reference."""
