"""Entries of tables of services, checked."""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tui.host import secrets
from tui.host.errors import UserError
from tui.services.request_fields import ANSWERS, check_sampling
from tui.services.service import SAMPLING_PARAMETERS, Service

_HOST = re.compile(r"[\w.:\[\]%-]+", re.ASCII)
_RESERVED_NAMES = ("ms", "hf", "session", "pasted", "http", "https", "demo")

_RESERVED_BODY_KEYS = ("model", "messages", "stream", "stream_options", *ANSWERS)


class FolderEntry(dict[str, Any]):
    """An entry of a ``[services]`` table that is not the person's own (`Service.is_foreign`)."""


def user_service(name: str, entry: Any, known: Mapping[str, Service]) -> Service:
    """The service of a person's entry, which may change one of the ``known``.

    Raises:
        UserError: the entry has an unknown field or a value that cannot be; names it.
    """
    where = f"services.{name}"
    if not isinstance(entry, Mapping):
        raise UserError(f"{where} is not a table", f"write [{where}] and its fields below")
    if not name.replace("-", "").replace("_", "").isalnum() or name in _RESERVED_NAMES:
        raise UserError(f"'{name}' cannot name a service", "letters, digits, - and _, not taken")
    like = entry.get("like", name)
    start = known.get(like) if isinstance(like, str) else None
    if start is None and "like" in entry:
        raise UserError(f"{where}.like: unknown service {like!r}", f"known: {', '.join(known)}")
    base = replace(start, name=name) if start else Service(name, title=name, key_required=False)
    if "key_variable" in entry:
        base = replace(base, other_key_variables=())  # they are of the service that it was like
    service = with_overrides(base, {key: value for key, value in entry.items() if key != "like"})
    if "key_variable" in entry and "key_required" not in entry:
        service = replace(service, key_required=True)
    if not service.base_url and name != "url":
        raise UserError(f"{where} has no base_url", 'e.g. base_url = "http://gpu-box:8000/v1"')
    if "base_url" in entry:
        # What the file says of an address is meant for it, not for what a variable names, nor for
        # the addresses of the service that it was like.
        service = replace(
            service,
            base_url=checked_address(service.base_url, where),
            other_base_urls=service.other_base_urls if "other_base_urls" in entry else (),
            base_url_variable="",
        )
    if isinstance(entry, FolderEntry):
        service = replace(service, title=name, is_foreign=True)
    return service


def with_overrides(base: Service, entry: Mapping[str, Any]) -> Service:
    """A service with the fields of an entry.

    Raises:
        UserError: as `user_service`.
    """
    where = f"services.{base.name}"
    allowed = {f.name: f for f in fields(Service) if f.name not in ("name", "is_foreign")}
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"{where}: unknown field '{key}'", f"{meant}{', '.join(allowed)}")
        values[key] = _checked_field(f"{where}.{key}", key, value, getattr(base, key))
    service = replace(base, **values)
    for variable in service.key_variables:
        if not secrets.is_secret(variable):
            # By these endings it is kept from child processes, and from what lists settings.
            raise UserError(
                f"{where}.key_variable is {variable!r}",
                f"it must end in {', '.join(secrets.SECRET_ENDINGS)}",
            )
    wanted = {"on": service.thinking_on, "off": service.thinking_off}.get(service.think, service)
    if not wanted:
        raise UserError(
            f"{where}.think: nothing says how {base.name} is told",
            f"give thinking_{service.think}, a table of fields of the request",
        )
    return service


def _checked_field(where: str, key: str, value: Any, default: Any) -> Any:
    if key == "parameters":
        if not isinstance(value, list) or not set(map(str, value)) <= set(SAMPLING_PARAMETERS):
            raise UserError(f"{where} is not a list of parameters", ", ".join(SAMPLING_PARAMETERS))
        return tuple(value)
    if key in ("other_key_variables", "other_base_urls", "also"):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UserError(f"{where} is {value!r}", "it must be a list of texts")
        if key == "other_base_urls":
            return tuple(checked_address(one, where) for one in value)
        return tuple(value)
    if key == "think" and value not in ("", "on", "off"):
        raise UserError(f"{where} is {value!r}", 'it must be "on" or "off"')
    if key in ("body", "thinking_on", "thinking_off"):
        taken = [
            name for name in _RESERVED_BODY_KEYS if isinstance(value, Mapping) and name in value
        ]
        if not isinstance(value, Mapping) or taken:
            said = f"sets {taken[0]}" if taken else "is not a table"
            raise UserError(f"{where} {said}", "e.g. body = { enable_thinking = false }")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise UserError(
                f"{where} holds what no request can", "write a date as a text, and no nan or inf"
            ) from None
        check_sampling(where, value)
        return dict(value)
    if key.endswith("_field") and str(value).partition(".")[0] in _RESERVED_BODY_KEYS:
        raise UserError(f"{where} is {value!r}", "name the field that the service has for it")
    if isinstance(default, bool | str):
        fits = isinstance(value, type(default))
    elif isinstance(default, int):
        fits = type(value) is int and 1 <= value <= 1024
    else:
        fits = type(value) in (int, float) and 0 < value <= 86400
        value = float(value) if fits else value
    if not fits:
        kinds = {bool: "true or false", str: "a text", int: "a number from 1 to 1024"}
        wanted = kinds.get(type(default), "seconds, more than 0")
        raise UserError(f"{where} is {value!r}", f"it must be {wanted}")
    return value


def checked_address(given: str, where: str) -> str:
    """A base address, checked, without what does not belong there.

    Raises:
        UserError: it is no http(s) URL, or holds a user name or a password.
    """
    example = "e.g. http://localhost:8000/v1"
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UserError(f"{where}: not a URL", example) from None
    if parts.username is not None or parts.password is not None:
        raise UserError(f"{where}: a user name or password in the URL", "use a key variable")
    if parts.scheme not in ("http", "https") or not host or parts.query:
        raise UserError(f"{where}: '{given}' is not the base address of a service", example)
    if not _HOST.fullmatch(parts.netloc):
        # Letters of other scripts look like those of a host that one knows.
        raise UserError(f"{where}: a host is written in ASCII", "take its form with xn--")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
