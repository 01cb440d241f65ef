"""Whether GGUF files can be computed as they are published (the extra ``gguf``)."""

from importlib.util import find_spec

PUBLISHED = "gguf"
"""The dtype of a GGUF file whose blocks are computed with as they are."""
MODULE = "xllamacpp"
"""Carries llama.cpp in process."""


def is_installed() -> bool:
    """Whether llama.cpp can be loaded; nothing is imported."""
    return find_spec(MODULE) is not None
