"""The child process that speaks with ModelScope: the only user of its SDK.

The SDK cannot be cancelled, prints as it likes and imports much, so it runs in
a process of its own that can be killed. One JSON request comes on stdin; JSON objects, one a
line, go out on the descriptor that was stdout (which the SDK may not write to):

    {"do": "list", "id": OWNER/NAME, "revision": R}
        -> {"files": [{"path": P, "size": N, "sha256": H or null}, ...]}
    {"do": "get", "id": ..., "revision": R, "files": [...], "folder": F}
        -> {"at": {PATH: BYTES, ...}} now and then, then {"done": true}

A failure is ``{"error": CAUSE, "message": TEXT}``. At the end of stdin the process exits.
"""

import errno
import io
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from tui.host.secrets import redact_secrets

_PROGRESS_INTERVAL_S = 0.2
_STREAMS = 2


class _ReplyWriter:
    """Writes replies; shared by the SDK's download threads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._at: dict[str, int] = {}
        self._changed = False

    def send(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            self._write(message)

    def set(self, path: str, count: int) -> None:
        with self._lock:
            self._at[path] = count
            self._changed = True

    def send_progress(self) -> None:
        """Send changed byte counts five times a second, the last ones too."""
        while True:
            time.sleep(_PROGRESS_INTERVAL_S)
            with self._lock:
                if self._changed:
                    self._changed = False
                    self._write({"at": self._at})

    def _write(self, message: Mapping[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(message).encode() + b"\n")


class _MaskedLines(io.TextIOBase):
    """What goes to the log, by lines and without the token that this process was given."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line = stream, ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        self._stream.write("".join(f"{redact_secrets(line)}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def main() -> None:
    """Answer the one request on stdin."""
    out = _ReplyWriter(os.dup(1))
    os.dup2(2, 1)
    sys.stderr = sys.stdout = _MaskedLines(sys.stderr)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        (_list if request["do"] == "list" else _get)(request, out)
    except Exception as error:  # whatever the SDK raises, the parent is told in one line
        cause, text = _cause_and_text(error)
        out.send({"error": cause, "message": text})


def _end_with_parent() -> None:
    while sys.stdin.read(4096):
        pass
    os._exit(1)


def _list(request: Mapping[str, Any], out: _ReplyWriter) -> None:
    from modelscope_hub import HubApi

    found = HubApi().list_repo_files(request["id"], "model", revision=request["revision"])
    files = [
        {"path": file.path, "size": file.size, "sha256": file.sha256}
        for file in found
        if file.type != "tree"
    ]
    out.send({"files": files})


def _get(request: Mapping[str, Any], out: _ReplyWriter) -> None:
    from modelscope_hub import HubApi, ProgressCallback

    class Counter(ProgressCallback):  # type: ignore[misc]
        def __init__(self, filename: str, file_size: int) -> None:
            super().__init__(filename, file_size)
            self.count = 0
            out.set(filename, 0)

        def update(self, size: int) -> None:
            self.count += size
            out.set(self.filename, self.count)

    threading.Thread(target=out.send_progress, daemon=True).start()
    files = [
        {"Path": file["path"], "Size": file["size"], "Sha256": file["sha256"], "Type": "blob"}
        for file in request["files"]
    ]
    HubApi().download_repo(
        request["id"],
        "model",
        revision=request["revision"],
        local_dir=request["folder"],
        file_list=files,
        max_workers=_STREAMS,
        progress_callbacks=[Counter],
    )
    out.send({"done": True})


def _cause_and_text(error: BaseException) -> tuple[str, str]:
    """A short cause and one line for an exception of the SDK."""
    from modelscope_hub import errors

    failed = getattr(error, "failed_files", None)
    if isinstance(error, errors.FileDownloadError) and failed:
        path, inner = next(iter(failed.items()))
        cause, text = _cause_and_text(inner)
        return cause, f"{path}: {text}"
    causes = (
        (errors.NotExistError, "not_found"),
        (errors.AuthenticationError, "not_allowed"),
        (errors.PermissionDeniedError, "not_allowed"),
        (errors.FileIntegrityError, "integrity"),
        (errors.HubError, "network"),
    )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no_space", "no space left"
    cause = next((word for kind, word in causes if isinstance(error, kind)), "unexpected")
    lines = str(getattr(error, "message", "") or error).splitlines()
    return cause, (lines[0] if lines else type(error).__name__)[:300]


if __name__ == "__main__":
    main()
