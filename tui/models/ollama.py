"""Models of an Ollama server that is running: they are listed beside the checkpoints.

``GET /api/tags`` as Ollama's API documentation describes it (docs/api.md, "List Local
Models"): name, size in bytes, and details with family, parameter_size and
quantization_level.
"""

import json
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tui import services
from tui.host import tls
from tui.host.errors import UserError
from tui.models.discover import FoundModel
from tui.models.net import UnreachableError, headers_trace, is_reachable, read_body

_PROBE_S = 0.5
_ANSWER_S = 3.0
_LARGEST = 4 << 20
_LARGEST_MODEL = 1 << 50
MOST_LISTED = 1000
"""Models of one server that are listed."""
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMBT]?)", re.ASCII)
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_WORD = re.compile(r"[\w.+-]{1,40}")


def served_models(user_services: Mapping[str, Any] | None = None) -> list[FoundModel]:
    """The models of the server at ``OLLAMA_HOST`` (or as ``user_services``, the settings' services,
    say); none where no server answers at once."""
    try:
        service, _ = services.find_service("ollama:any", user_services or {})
    except UserError:
        return []  # said where it is asked for
    root = service.base_url.removesuffix("/").removesuffix("/v1")
    if not is_reachable(root, _PROBE_S):
        return []
    return parse_tags(fetch(f"{root}/api/tags"))


def parse_tags(answer: bytes) -> list[FoundModel]:
    """The models in an answer to ``/api/tags``; what is not of its form is left out."""
    try:
        listed = json.loads(answer)["models"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    found = map(_model, listed if isinstance(listed, list) else [])
    return list(islice((one for one in found if one is not None), MOST_LISTED))


def fetch(url: str) -> bytes:
    """What a server of this machine answers; empty where it is no success, too much or too slow."""
    import httpx2

    trusted = tls.client_context() if url.startswith("https:") else False
    try:
        with (
            httpx2.Client(verify=trusted, timeout=_ANSWER_S) as http,
            http.stream("GET", url, extensions={"trace": headers_trace(url)}) as response,
        ):
            return read_body(response, _LARGEST, _ANSWER_S) if response.status_code == 200 else b""
    except (httpx2.HTTPError, httpx2.InvalidURL, UnreachableError, ImportError, ValueError):
        return b""


def _model(entry: Any) -> FoundModel | None:
    match entry:
        case {"name": str(name), "size": int(size)} if (
            0 <= size < _LARGEST_MODEL and name.isprintable()
        ):
            details = entry.get("details")
            told = details if isinstance(details, dict) else {}
            return FoundModel(
                path=Path(),
                reference=f"ollama:{name[:191]}",
                label=name[:191],
                state="complete",
                family=_word(told.get("family")),
                dtype=_word(told.get("quantization_level")),
                parameters=_count(told.get("parameter_size")),
                size=size,
                served=True,
            )
    return None


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _count(value: Any) -> int:
    match = _COUNT.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 20 else None
    return int(float(match[1]) * _UNITS[match[2]]) if match else 0
