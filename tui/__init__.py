"""duibi: chat models side by side in a terminal."""

import sys

__version__ = "0.2.0"

if sys.platform == "win32":
    # Before anything else is imported: most of it asks for what Windows has not.
    print(
        "duibi: runs on Windows under WSL (wsl --install) / 在 Windows 上请于 WSL 中运行",
        file=sys.stderr,
    )
    sys.exit(2)
