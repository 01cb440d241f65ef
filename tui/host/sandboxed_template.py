"""Templates of others are programs: they are rendered in a child process with limits."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui.host import child_process

_CHILD = Path(__file__).with_name("template_child.py")


class TemplateFailedError(Exception):
    """A template that fails, takes too long or too much memory; ``raised_by_template`` where the
    template itself ended with an error."""

    def __init__(self, message: str, *, raised_by_template: bool) -> None:
        super().__init__(message)
        self.raised_by_template = raised_by_template


class SandboxedTemplate:
    """One Jinja template in a child process of its own (limits: `tui.host.template_child`).

    ``is_marked``: values stand between marks in the text (`tui.host.template_child.mark`). The
    child ends with this process or when a rendering exceeds its limits; the next `render` starts
    another.
    """

    def __init__(self, source: str, *, is_marked: bool = False) -> None:
        self._head = {"template": source, "is_marked": is_marked}
        self._child: subprocess.Popen[bytes] | None = None

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text with these variables, which JSON can hold.

        Raises:
            TemplateFailedError: the template raised, or exceeded time, memory or size.
        """
        request = json.dumps({**self._head, "variables": dict(variables)}).encode() + b"\n"
        child = self._running()
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(request)
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            raise TemplateFailedError("takes too long or too much memory", raised_by_template=False)
        reply = json.loads(line)
        if "error" in reply:
            raise TemplateFailedError(reply["error"], raised_by_template=True)
        return str(reply["text"])

    def close(self) -> None:
        """End the child. Idempotent; `render` starts a new one."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def __del__(self) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._child = child_process.start(
                [sys.executable, str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._child
