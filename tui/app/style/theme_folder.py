"""The themes of some folders; reloaded when a file changes."""

import os
from pathlib import Path

from tui.app.style.themes import load_all

Stamp = frozenset[tuple[str, int, int]]


class ThemeFolders:
    """Themes by name, a later folder's over an earlier one's. Only the last folder, the
    user's own, is expected to change."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._stamp = self._file_stamps()
        self.themes, self.errors = load_all(list(folders))

    def reload_if_changed(self) -> bool:
        """Whether there is something else now; `themes` and `errors` are up to date then."""
        stamp = self._file_stamps()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.themes, self.errors = load_all(list(self._folders))
        return True

    def _file_stamps(self) -> Stamp:
        """Name, time and size of each file: what a change of a theme changes."""
        found = []
        try:
            with os.scandir(self._folders[-1]) as entries:
                for entry in entries:
                    if entry.name.endswith(".toml"):
                        status = entry.stat()
                        found.append((entry.name, status.st_mtime_ns, status.st_size))
        except OSError:
            pass  # not there, or gone between two looks: no themes of the user's own
        return frozenset(found)
