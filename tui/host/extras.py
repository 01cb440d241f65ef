"""Parts of this program whose packages are installed only where they are wanted."""

import sys
from importlib.util import find_spec
from pathlib import Path

from tui.host import system
from tui.host.errors import UserError

LOCAL, GGUF, DOCX, PNG = "local", "gguf", "docx", "png"
"""The extras' names in pyproject.toml."""

_NVIDIA = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_MODULES = {
    LOCAL: {
        "torch": "torch",
        "transformers": "transformers",
        "tokenizers": "tokenizers",
        "sentencepiece": "sentencepiece",
        "gguf": "gguf",
    },
    GGUF: {"xllamacpp": "xllamacpp"},
    DOCX: {"docx": "python-docx", "resvg_py": "resvg-py"},
    PNG: {"resvg_py": "resvg-py"},
}
"""Extra -> module -> package that has it."""


def has_nvidia() -> bool:
    """Whether there is a GPU by NVIDIA, whatever is installed for it."""
    return any(map(Path.exists, _NVIDIA))


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed; nothing is imported."""
    return [package for module, package in _MODULES[extra].items() if find_spec(module) is None]


def lack(extra: str) -> str:
    """What cannot be done without the packages of an extra that are missing; "" where none is."""
    names = ", ".join(missing(extra))
    if not names:
        return ""
    match extra:
        case "local":
            return f"models of this machine need what is not installed: {names}"
        case "gguf":
            return f"GGUF files need what is not installed: {names}"
        case "docx":
            return f"Word documents need what is not installed: {names}"
        case _:
            return f"PNG pictures need what is not installed: {names}"


def require(extra: str) -> None:
    """Go on only where an extra is installed.

    Raises:
        UserError: it is not.
    """
    if sentence := lack(extra):
        raise UserError(sentence, install_step(extra))


def install_step(extra: str) -> str:
    """The command that adds an extra to the environment that this program runs in."""
    what = f"'duibi[{extra}]'"
    if extra == LOCAL and system.TORCH_BRINGS_CUDA and not has_nvidia():
        # Builds for the CPU; the usual index has those of several gigabytes for CUDA.
        what += " --extra-index-url https://download.pytorch.org/whl/cpu"
    if Path(sys.prefix, "pipx_metadata.json").exists():
        return f"pipx runpip duibi install {what}"
    if Path(sys.prefix, "uv-receipt.toml").exists():
        return f"uv pip install --python {sys.executable} {what}"
    return f"pip install {what}"
