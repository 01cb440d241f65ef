"""Speaking with ModelScope through a child process that can be stopped at any time."""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from tui.host import child_process
from tui.host.errors import EXIT_INTERRUPTED, EXIT_NETWORK, UserError
from tui.host.paths import log_file
from tui.host.save_file import open_log
from tui.text.sanitise import one_line

PUBLIC_HUB = "https://modelscope.cn"
_TOKEN = "MODELSCOPE_API_TOKEN"


def hub_url() -> str:
    """The hub's URL: ``MODELSCOPE_ENDPOINT``, else the public one."""
    given = os.environ.get("MODELSCOPE_ENDPOINT", "").strip() or PUBLIC_HUB
    return given if "://" in given else f"https://{given}"


def ask(model: str, request: dict[str, Any], stop: threading.Event) -> Iterator[dict[str, Any]]:
    """The replies of `tui.models.hub_child` to a request; it ends with the iteration.

    Raises:
        UserError: the hub or the network failed, or ``stop`` was set.
    """
    with _child(stop) as child:
        assert child.stdin is not None and child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        finished = False
        for line in child.stdout:
            reply = json.loads(line)
            if "error" in reply:
                raise error_from_cause(model, str(reply["error"]), str(reply.get("message", "")))
            # A last count of bytes may come after the end.
            finished = finished or "at" not in reply
            yield reply
        if stop.is_set():
            raise UserError(
                f"the download of {model} was stopped; what came is kept",
                f"go on: duibi models get ms:{model}",
                EXIT_INTERRUPTED,
            )
        if not finished:
            raise error_from_cause(
                model, "unexpected", f"the process that fetches it ended ({log_file()})"
            )


@contextlib.contextmanager
def _child(stop: threading.Event) -> "Iterator[subprocess.Popen[bytes]]":
    variables = child_process.with_own_modules(
        child_process.environment(also=(*child_process.NETWORK, _TOKEN))
    )
    # The SDK gives a file one hour by default, which 4 GB on a slow line exceed.
    variables.setdefault("MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT", "604800")
    variables |= {"TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}
    with os.fdopen(open_log(log_file()), "ab") as log:
        child = child_process.start(
            child_process.module_command("tui.models.hub_child"),
            variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            if stop.is_set():
                child.kill()
                return

    watcher = threading.Thread(target=watch, name="download-stop", daemon=True)
    watcher.start()
    try:
        yield child
    finally:
        ended.set()
        child.kill()
        child.communicate()
        watcher.join()


def error_from_cause(model: str, cause: str, text: str) -> UserError:
    """What a person is told of a cause of `tui.models.hub_child`."""
    text = one_line(text)
    again = f"again: duibi models get ms:{model} (goes on where it was)"
    match cause:
        case "not_found":
            near = "check the spelling at https://modelscope.cn/models"
            return UserError(f"ModelScope has no model {model}", near)
        case "not_allowed":
            return UserError(
                f"ModelScope does not let you read {model}",
                "accept its terms on the site and set MODELSCOPE_API_TOKEN",
                EXIT_NETWORK,
            )
        case "no_space":
            return UserError(
                f"the disk became full while {model} was fetched; what came is kept",
                f"free some space, then {again}",
            )
        case "integrity":
            return UserError(f"{model}: wrong content was sent: {text}", again, EXIT_NETWORK)
    return UserError(f"{model} cannot be fetched: {text}", again, EXIT_NETWORK)
