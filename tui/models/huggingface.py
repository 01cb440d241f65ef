"""Speaking with Hugging Face, or with a mirror of it (``HF_ENDPOINT``), over plain HTTP.

The interface is the hub's documented one: ``GET /api/models/ID/revision/main?blobs=true`` lists the
files, ``GET /ID/resolve/main/PATH`` sends one. Requests and replies have the form of
`tui.models.hub_child`.
"""

import difflib
import hashlib
import json
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tui.host.errors import EXIT_INTERRUPTED, EXIT_NETWORK, UserError
from tui.models.caches import HUGGINGFACE_REVISION as REVISION
from tui.models.net import READ_S, UnreachableError, download_file, http_client, read_body
from tui.text.sanitise import one_line

if TYPE_CHECKING:
    import httpx2

PUBLIC_HUB = "https://huggingface.co"
_TOKEN = "HF_TOKEN"
_NEAR = 0.6
_LARGEST_LIST = 16 << 20
_Replies = queue.SimpleQueue[dict[str, Any] | BaseException | None]


def hub_url() -> str:
    """The hub's URL: ``HF_ENDPOINT``, else the public one."""
    given = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or PUBLIC_HUB
    return given if "://" in given else f"https://{given}"


def ask(model: str, request: Mapping[str, Any], stop: threading.Event) -> Iterator[dict[str, Any]]:
    """The replies to a request; it ends with the iteration.

    Raises:
        UserError: the hub or the network failed, or ``stop`` was set.
    """
    replies: _Replies = queue.SimpleQueue()

    def work() -> None:
        try:
            with http_client() as http:
                if token := os.environ.get(_TOKEN, "").strip():
                    # Not sent on to where the files lie: another host gets no such header.
                    http.headers["Authorization"] = f"Bearer {token}"
                if request["do"] == "list":
                    replies.put({"files": _list(http, model)})
                else:
                    _get(http, model, request, stop, replies)
            replies.put(None)
        except BaseException as error:
            replies.put(error)

    thread = threading.Thread(target=work, name="download", daemon=True)
    thread.start()
    while (reply := replies.get()) is not None:
        if isinstance(reply, BaseException):
            raise _told(model, reply) from None
        yield reply


def _list(http: "httpx2.Client", model: str) -> list[dict[str, Any]]:
    status, listed = _get_json(http, f"/api/models/{model}/revision/{REVISION}?blobs=true")
    if status in (401, 403) and os.environ.get(_TOKEN):
        raise _not_allowed(model)
    if status in (401, 403, 404):  # what is private is not told from what is not there
        near = _near_name(http, model)
        step = f"check the spelling at {PUBLIC_HUB}/models; for a gated one set {_TOKEN}"
        raise UserError(
            f"Hugging Face has no model {model}, or does not show it to you",
            f"did you mean hf:{near}? {step}" if near else step,
        )
    if status != 200:
        raise UnreachableError(f"the hub answers HTTP {status}")
    files = listed.get("siblings") if isinstance(listed, dict) else None
    if not isinstance(files, list):
        raise UnreachableError("the hub gives no list of files")
    return [found for one in files if (found := _file(one))]


def _file(said: Any) -> dict[str, Any] | None:
    """A file of a listing; None where it is no form of one."""
    if not isinstance(said, dict):
        return None
    lfs = said.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    size = said.get("size", lfs.get("size"))
    return {"path": said.get("rfilename"), "size": size, "sha256": lfs.get("sha256")}


def _get_json(http: "httpx2.Client", path: str) -> tuple[int, Any]:
    """The status and the JSON value of an answer of the hub; None where it is none."""
    with http.stream("GET", f"{hub_url()}{path}") as response:
        body = read_body(response, _LARGEST_LIST)
    try:
        return response.status_code, json.loads(body)
    except (ValueError, RecursionError):
        return response.status_code, None


def _near_name(http: "httpx2.Client", model: str) -> str:
    """A model's name that is like this one; "" without one."""
    import httpx2

    words = quote(model.partition("/")[2])
    try:
        _, found = _get_json(http, f"/api/models?search={words}&limit=20")
    except (UnreachableError, httpx2.HTTPError, OSError):
        return ""
    listed = found if isinstance(found, list) else []
    ids = [one.get("id") for one in listed if isinstance(one, dict)]
    names = [one for one in ids if isinstance(one, str)]
    near = difflib.get_close_matches(model, names, 1, _NEAR)
    return one_line(near[0]) if near else ""


def _get(
    http: "httpx2.Client",
    model: str,
    request: Mapping[str, Any],
    stop: threading.Event,
    replies: _Replies,
) -> None:
    folder = Path(request["folder"])
    for file in request["files"]:
        name, size, wanted = file["path"], file["size"], file["sha256"]
        target = folder / name
        if target.is_file() and target.stat().st_size == size:
            continue
        part = target.with_name(f"{target.name}.incomplete")

        def heard(length: int, name: str = name) -> None:
            if stop.is_set():
                raise UserError(
                    f"the download of {model} was stopped; what came is kept",
                    f"go on: duibi models get hf:{model}",
                    EXIT_INTERRUPTED,
                )
            replies.put({"at": {name: length}})

        target.parent.mkdir(parents=True, exist_ok=True)
        url = f"{hub_url()}/{model}/resolve/{REVISION}/{quote(name)}"
        download_file(http, url, part, size, heard)
        if wanted and _sha256(part) != wanted:
            part.unlink()
            raise UserError(
                f"{model}: wrong content was sent: {name}",
                f"again: duibi models get hf:{model}",
                EXIT_NETWORK,
            )
        part.touch()  # an empty file is never fetched
        part.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_allowed(model: str) -> UserError:
    return UserError(
        f"Hugging Face does not let you read {model}",
        f"accept its terms on the site, and check {_TOKEN}",
        EXIT_NETWORK,
    )


def _told(model: str, error: BaseException) -> BaseException:
    """What a person is told of what went wrong."""
    import httpx2

    again = f"again: duibi models get hf:{model} (goes on where it was)"
    if isinstance(error, UserError):
        return error
    if isinstance(error, UnreachableError) and ("401" in str(error) or "403" in str(error)):
        return _not_allowed(model)
    if isinstance(error, httpx2.TimeoutException):
        return UserError(f"{model} cannot be fetched: no answer in {READ_S:g} s", again, 3)
    if isinstance(error, UnreachableError | httpx2.HTTPError | ValueError | LookupError | OSError):
        said = one_line(str(error) or type(error).__name__)[:200]
        return UserError(f"{model} cannot be fetched: {said}", again, EXIT_NETWORK)
    return error
