"""The build of llama.cpp in this process: which one it is, and what it computes with.

``python -m tui.worker.gguf.llama_build`` prints that as a JSON object, for `duibi doctor`.
"""

import ctypes
import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.llama_cpp import MODULE, VARIABLE, named_build, require_build, version
from tui.host.errors import first_line
from tui.worker.gguf.gpu_layers import Gpu

_INSTRUCTION_SETS = ("AVX512_VNNI", "AVX512", "AVX2", "AVX", "DOTPROD", "NEON")
_OPENMP = "libgomp"
_GPU_TYPES = (1, 2)
"""Of ``ggml_backend_dev_type``: with memory of its own, and without."""


def module() -> Any:
    """The Python module of llama.cpp, of the build that a person named where there is one.

    Raises:
        CheckpointError: there is none, or it does not start.
    """
    require_build()
    # At an assertion ggml would start a debugger on this process, and wait for it for ever.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    if (folder := named_build()) is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return _imported()
    except ImportError as error:
        raise failure(error) from None


def failure(error: Exception) -> CheckpointError:
    """The error, with a step that mends it, that a build does not start (an `ImportError`) or lacks
    what this program asks of it."""
    folder, why, told = named_build(), first_line(error), version() or "?"
    step = "install it again: pip install --force-reinstall xllamacpp"
    what = f"llama.cpp (xllamacpp) cannot be used: {why}"
    if not isinstance(error, ImportError):
        what = f"llama.cpp (xllamacpp) is of version {told}, which does not fit ({why})"
    if folder is not None:
        step = f"build it for this Python and CPU, or unset {VARIABLE}"
        what = f"the xllamacpp in {folder} cannot be used: {why}"
        if not isinstance(error, ImportError):
            what = f"the xllamacpp in {folder} is of version {told}, which does not fit ({why})"
    return CheckpointError("unsupported", what, step)


def _imported() -> Any:
    try:
        return import_module(MODULE)
    except ImportError as error:
        if _OPENMP not in str(error) or not _load_openmp_of_torch():
            raise
    return import_module(MODULE)


def _load_openmp_of_torch() -> bool:
    """Its wheels for Linux need the system's GNU OpenMP, which small images lack, and torch's
    bring one; torch itself is not imported."""
    found = find_spec("torch")
    for folder in found.submodule_search_locations or () if found else ():
        for file in Path(folder).glob(f"lib/{_OPENMP}*"):
            ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
            return True
    return False


def instruction_set() -> str:
    """The widest that it computes with."""
    told = module().get_system_info()
    return next((name for name in _INSTRUCTION_SETS if f"{name} = 1" in told), "portable")


def gpu() -> Gpu | None:
    """The first GPU that it computes with; None where there is none, or it was built for none. A
    driver takes memory of this process when it is first asked."""
    found = [one for one in module().get_device_info() if one["type"].value in _GPU_TYPES]
    if not found:
        return None
    name = str(found[0]["name"])
    return Gpu(name, str(found[0].get("description") or name))


if __name__ == "__main__":
    # What llama.cpp itself prints is no part of the answer.
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        found = gpu()
        said = {"version": version(), "kernels": instruction_set()} | {
            "device": "cpu" if found is None else f"{found.name} ({found.title})"
        }
    except CheckpointError as error:
        said = {"error": error.message, "next_step": error.next_step}
    os.write(out, json.dumps(said).encode())
