"""Whether GGUF files can be computed as they are published (the extra ``gguf``)."""

import os
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tui.checkpoints.errors import CheckpointError
from tui.host.paths import expand

PUBLISHED = "gguf"
"""The dtype of a GGUF file whose blocks are computed with as they are."""
MODULE = "xllamacpp"
"""Carries llama.cpp in process."""
BATCH_TOKENS = 256
"""Tokens of a prompt that are computed at a time, whatever the context: activations take memory for
as many."""
PASS_TOKENS = 256, 512
"""Tokens of prompts in one pass, of a model that answers one question at a time and of one that
answers several: a cancelled prompt is left after as many. Short prompts that come together should
share a pass: answers that begin one behind another also end so, and decode in smaller batches."""
FIRST_POOL = 2048
"""Tokens of prompts and answers for which there is room at first: llama.cpp takes the memory of all
keys and values when it loads, and is loaded anew for an answer that needs more."""
VARIABLE = "DUIBI_LLAMA_CPP"
"""Names a folder that holds another build of `MODULE`, such as one compiled for this CPU."""


def is_installed() -> bool:
    """Whether there is a build of llama.cpp, or one was named; nothing is imported."""
    return named_build() is not None or find_spec(MODULE) is not None


def named_build() -> Path | None:
    """The folder that a person named, whatever it holds; None where none is."""
    given = os.environ.get(VARIABLE, "")
    return expand(given).absolute() if given else None


def require_build() -> None:
    """Go on only where the folder that a person named, if any, holds a build.

    Raises:
        CheckpointError: it does not.
    """
    folder = named_build()
    if folder is not None and not (folder / MODULE).is_dir():
        raise CheckpointError(
            "unsupported",
            f"{VARIABLE} names {folder}, which holds no {MODULE}",
            f"name the folder that `pip install --target` filled, or unset {VARIABLE}",
        )


def version() -> str:
    """The version of the build; empty where there is none, or it tells none."""
    folder = named_build()
    path = sys.path if folder is None else [str(folder)]
    found = next(iter(metadata.distributions(name=MODULE, path=path)), None)
    return found.version if found else ""
