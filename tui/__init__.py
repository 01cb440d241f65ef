"""duibi: chat models side by side in a terminal."""

import sys

__version__ = "0.2.0"

if sys.platform == "win32":
    _refused = "runs on Windows under WSL (wsl --install) / 在 Windows 上请于 WSL 中运行"
elif sys.version_info < (3, 11):  # noqa: UP036 - a clone is started by any Python
    _refused = "needs Python 3.11 or newer / 需要 Python 3.11 或更新版本"
else:
    _refused = ""
if _refused:
    # Before anything else is imported: most of it asks for what these have not.
    print(f"duibi: {_refused}", file=sys.stderr)
    sys.exit(2)
