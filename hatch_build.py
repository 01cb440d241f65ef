"""The build hook of the wheel: it compiles the worker's kernels, so that nobody who installs the
wheel needs a compiler.

Where there is no compiler, or with ``DUIBI_PREBUILT=0``, a wheel for every platform is made that
holds the sources alone. An editable installation compiles at first use, as its sources change.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")


class KernelsHook(BuildHookInterface):
    """Puts a library for each instruction set of this machine into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the platform that the wheel is for now."""
        if version == "editable" or os.environ.get("DUIBI_PREBUILT") == "0":
            return
        sys.path.insert(0, self.root)
        from tui.host import kernel_compiler

        self._folder = tempfile.mkdtemp()
        made = kernel_compiler.compile_all(Path(self._folder))
        for path in made:
            inside = kernel_compiler.PREBUILT.relative_to(self.root) / path.name
            build_data["force_include"][str(path)] = str(inside)
        if made:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform([path.read_bytes() for path in made])}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The libraries are in the wheel: remove them here."""
        if folder := getattr(self, "_folder", ""):
            shutil.rmtree(folder)


def _platform(libraries: list[bytes]) -> str:
    """The oldest C library that has what these need, as PEP 600 names it."""
    needed = [int(minor) for library in libraries for minor in _GLIBC.findall(library)]
    machine = os.uname().machine
    return f"manylinux_2_{max(needed)}_{machine}" if needed else f"linux_{machine}"
