"""Programs that run as on a machine where packages are not installed."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.commands import with_site_code

_HIDE = """
import sys

HIDDEN = {hidden!r}


class Hiding:
    '''A finder that does not see some packages, nor what is said of them.'''

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        return self._finder.find_spec(name, path, target)

    def find_distributions(self, context=None):
        for found in self._finder.find_distributions(*([context] if context else [])):
            if found.metadata["Name"].lower().replace("-", "_") not in HIDDEN:
                yield found

    def __getattr__(self, name):
        return getattr(self._finder, name)


sys.meta_path[:] = [
    Hiding(one) if hasattr(one, "find_distributions") else one for one in sys.meta_path
]
"""

TORCH = ("torch", "transformers", "tokenizers", "safetensors", "sentencepiece", "modelscope")
"""What computes models of this machine but GGUF files, by module and by package."""
EXTRAS = (*TORCH, "gguf", "xllamacpp", "docx", "python_docx", "resvg_py")
"""All that the core is installed without."""


def without(folder: Path, packages: Sequence[str]) -> dict[str, str]:
    """The variables for a program, and for all that it starts, in which these packages are not
    installed; what does that is written to ``folder``."""
    return with_site_code(folder, _HIDE.format(hidden=set(packages)))
