"""Chat templates are untrusted programs: they are rendered in a child process with limits."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tui.checkpoints.errors import CheckpointError
from tui.host import child_process
from tui.worker.checkpoint import Turn

_CHILD = Path(__file__).with_name("chat_template_child.py")


class ChatTemplateError(CheckpointError):
    """A chat template that fails, takes too long or too much memory; ``raised_by_template`` where
    the template itself ended with an error."""

    def __init__(self, message: str, *, raised_by_template: bool) -> None:
        super().__init__(
            "unsupported", f"chat template: {message}", "repair chat_template of the checkpoint"
        )
        self.raised_by_template = raised_by_template


class ChatTemplate:
    """One Jinja template in a child process of its own (limits: `chat_template_child`).

    The child ends with this process or when a rendering exceeds its limits; the next
    `render` starts another.
    """

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        self.source = source
        self._variables = dict(variables)
        self._child: subprocess.Popen[bytes] | None = None

    def render(
        self,
        turns: Sequence[Turn],
        *,
        as_parts: bool = False,
        variables: Mapping[str, object] | None = None,
    ) -> str:
        """The text of a conversation with the prompt for an answer behind it; ``as_parts``
        gives each content as a list of one part of text, ``variables`` are more that the template
        sees.

        Raises:
            ChatTemplateError: the template raised, or exceeded time, memory or size.
        """
        messages = [
            {"role": role, "content": [{"type": "text", "text": content}] if as_parts else content}
            for role, content in turns
        ]
        given = {**self._variables, **(variables or {})}
        asked = {"template": self.source, "variables": given, "messages": messages}
        request = json.dumps(asked).encode() + b"\n"
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
            raise ChatTemplateError("takes too long or too much memory", raised_by_template=False)
        reply = json.loads(line)
        if "error" in reply:
            raise ChatTemplateError(reply["error"], raised_by_template=True)
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
