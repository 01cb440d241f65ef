"""The demo model for tests, whatever cache folder a test sets for itself."""

import contextlib
import functools
import os
from pathlib import Path

import pytest

from tui.models import demo

# Read when this module is imported, so before any test redirects the cache.
_REAL_CACHE = os.environ.get("DUIBI_CACHE_DIR")


@functools.cache
def demo_gguf() -> Path:
    """The demo's ``.gguf`` in the user's own cache; fetched there once where it is not."""
    with pytest.MonkeyPatch.context() as patch:
        if _REAL_CACHE is None:
            patch.delenv("DUIBI_CACHE_DIR", raising=False)
        else:
            patch.setenv("DUIBI_CACHE_DIR", _REAL_CACHE)
        return demo.fetch(lambda text: True, lambda stage, done, total: None)


def link_demo(cache: Path) -> Path:
    """Have the demo in a test's own cache folder, by a link, and give its path there."""
    target = cache / "models" / "demo" / demo_gguf().name
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        target.symlink_to(demo_gguf())
    return target
