"""The services that can be asked over HTTP, and what each does its own way: data, no code."""

import difflib
import functools
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tui.host.errors import UserError
from tui.services.entries import FolderEntry as FolderEntry
from tui.services.entries import checked_address, user_service, with_overrides
from tui.services.service import SAMPLING_PARAMETERS as SAMPLING_PARAMETERS
from tui.services.service import Service as Service

_TABLE = Path(__file__).parents[1] / "services.toml"


def known_services(
    user_services: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, Service]:
    """All known services by name: the built-in ones, changed and added to by ``user_services`` (the
    ``[services]`` table of ``duibi.toml``), with the base addresses that the environment gives.

    An entry of ``user_services`` has the fields of `Service`; ``like = "NAME"`` starts from
    another.

    Raises:
        UserError: an entry has an unknown field or a value that cannot be; names it.
    """
    environ = os.environ if environ is None else environ
    known = dict(_built_in())
    for name, entry in (user_services or {}).items():
        known[name] = user_service(name, entry, known)
    return {name: _from_environment(service, environ) for name, service in known.items()}


def check_table(user_services: Mapping[str, Any], is_untrusted: bool = False) -> None:
    """Whether a ``[services]`` table can be used. One of a ``is_untrusted`` (a file that came with
    a folder) must not send a known service's key to another address.

    Raises:
        UserError: it cannot; names the entry.
    """
    known = known_services(user_services, {})
    issuers = {v: s for s in _built_in().values() if s.base_url for v in s.key_variables}
    for name, entry in user_services.items():
        service = known[name]
        if is_untrusted and "base_url_variable" in entry:
            raise UserError(
                f"services.{name}.base_url_variable would read an address from the environment",
                "give base_url, or write it into duibi.toml in the config folder",
            )
        if is_untrusted and "other_base_urls" in entry:
            raise UserError(
                f"services.{name}.other_base_urls would ask more servers",
                "take one base_url, or write it into duibi.toml in the config folder",
            )
        if is_untrusted and "other_key_variables" in entry:
            raise UserError(
                f"services.{name}.other_key_variables would read more keys",
                "take one key_variable, or write it into duibi.toml in the config folder",
            )
        for variable in service.key_variables if is_untrusted else ():
            issuer = issuers.get(variable)
            if issuer and service.base_url != issuer.base_url:
                raise UserError(
                    f"services.{name} would send {variable} to {service.host}",
                    "take another key_variable, or write it into duibi.toml in the config folder",
                )


def find_service(
    target: str,
    user_services: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Service, str]:
    """The service and the model's name that a reference's target means: ``openai:gpt-4o``
    or ``http://host:8000/v1#NAME``.

    A server named by its address gets no service's key, only DUIBI_API_KEY, unless the
    address is the service's own, so that a key never goes to another host.

    Raises:
        UserError: there is no such service, or its entry is wrong.
    """
    known = known_services(user_services, environ)
    if target.partition(":")[0].lower() in ("http", "https"):
        given, _, model = target.partition("#")
        base, *others = (checked_address(one, "the address") for one in split_addresses(given))
        for service in known.values():
            if service.base_urls == (base, *others) and service.name not in usual_servers():
                return service, unquote(model)
        title = urlsplit(base).netloc
        here = replace(known["url"], base_url=base, other_base_urls=tuple(others), title=title)
        return here, unquote(model)
    name, _, model = target.partition(":")
    if name not in known or not known[name].base_url:
        meant = f"did you mean {near}? " if (near := near_name(name, known)) else ""
        listed = ", ".join(n for n, s in known.items() if s.base_url)
        raise UserError(f"unknown service '{name}'", f"{meant}known: {listed}")
    return known[name], model


def split_addresses(given: str) -> list[str]:
    """The addresses of ``http://box1:8000/v1,box2:8000``: what a later one leaves out, scheme and
    path, it has in common with the first."""
    first, *others = dict.fromkeys(part.strip() for part in given.split(","))
    scheme, _, rest = first.partition("://")
    _, slash, path = rest.partition("/")
    found = [first]
    for one in others:
        one = one if "://" in one else f"{scheme}://{one}"
        host = one.partition("://")[2]
        found.append(one if "/" in host or not host else f"{one}{slash}{path}")
    return found


def near_name(name: str, known: Iterable[str]) -> str:
    """The known name that a name which is none most likely means; "" if there is none."""
    names = {**nicknames(), **{one: one for one in known}}
    near = difflib.get_close_matches(name.lower(), names, 1)
    return names[near[0]] if near else ""


def is_original(service: Service) -> bool:
    """Whether it is a built-in service at its own address, and not another one in its place."""
    known = _built_in().get(service.name)
    return known is not None and bool(known.base_url) and known.base_url == service.base_url


@functools.cache
def built_in_names() -> tuple[str, ...]:
    """The names of the built-in services, as they stand in a model's reference."""
    return tuple(name for name, service in _built_in().items() if service.base_url)


@functools.cache
def usual_servers() -> tuple[str, ...]:
    """The built-in services that are a server of this machine at its usual port. Whether it is that
    server is not known, so that who types the address means just the address."""
    at_home = [s for s in _built_in().values() if s.is_loopback and not s.base_url_variable]
    return tuple(service.name for service in at_home)


@functools.cache
def nicknames() -> Mapping[str, str]:
    """Other names under which people look for the built-in services, and those services' own."""
    return {also: name for name, service in _built_in().items() for also in service.also}


@functools.cache
def _built_in() -> Mapping[str, Service]:
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: with_overrides(Service(name), entry) for name, entry in table.items()}


def _from_environment(service: Service, environ: Mapping[str, str]) -> Service:
    given = environ.get(service.base_url_variable, "").strip() if service.base_url_variable else ""
    if not given:
        return service
    if service.base_url_variable == "OLLAMA_HOST":
        return replace(service, base_url=_ollama_address(given))
    # Some other server than the service itself: it may need no key, and takes the common fields.
    return replace(
        service,
        base_url=checked_address(given, service.base_url_variable),
        other_base_urls=(),
        key_required=False,
        parameters=SAMPLING_PARAMETERS,
        max_tokens_field="max_tokens",
    )


def _ollama_address(given: str) -> str:
    """The address that OLLAMA_HOST means: scheme, port and host may each be missing; a
    server that listens on every interface is asked on this one."""
    scheme, mark, rest = given.rpartition("://")
    default_port = {"http": 80, "https": 443}.get(scheme, 11434)
    rest = f"127.0.0.1{rest}" if rest.startswith(":") or not rest else rest
    address = checked_address(f"{scheme if mark else 'http'}://{rest}", "OLLAMA_HOST")
    parts = urlsplit(address)
    host = parts.hostname or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    path = parts.path if parts.path not in ("", "/") else "/v1"
    return f"{parts.scheme}://{host}:{parts.port or default_port}{path}"
