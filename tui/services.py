"""The services that can be asked over HTTP, and what each does its own way: data, no code."""

import difflib
import functools
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from tui.host import secrets
from tui.host.errors import UserError

SAMPLING_PARAMETERS = (
    *("temperature", "top_p", "top_k", "repetition_penalty", "seed"),
    "logprobs",
)
"""What a service may accept besides the conversation; ``logprobs`` are told, not chosen by."""
_RESERVED_NAMES = ("ms", "hf", "session", "pasted", "http", "https", "demo")
_RESERVED_BODY_KEYS = ("model", "messages", "stream", "stream_options", "n")
_TABLE = Path(__file__).with_name("services.toml")


@dataclass(frozen=True, slots=True)
class Service:
    """One service, or one server.

    ``base_url`` ends before ``/chat/completions``; ``other_base_urls`` serve the same models;
    ``key_variable`` names the environment variable with the key (empty: none is ever sent), and
    ``key_required`` whether there is no asking without it; ``other_key_variables`` are asked in
    turn where that one is not set; ``also`` are other names under which people look for it;
    ``concurrency`` is how many questions each address is asked at once; ``parameters`` are those of
    `SAMPLING_PARAMETERS` that it takes; ``has_model_list`` says whether its list of models can be
    asked for; ``body`` is added to every
    request, and with ``think`` (``on`` or ``off``) what ``thinking_on`` or ``thinking_off`` hold:
    how it is told whether a model shall reason. ``effort_field`` takes how much (``low``,
    ``medium``, ``high``), ``budget_field`` the tokens of reasoning at most; a dot stands before a
    field of an object. The clocks are seconds: to connect, from the
    request to the first token, and from token to token.
    """

    name: str
    title: str = ""
    base_url: str = ""
    other_base_urls: tuple[str, ...] = ()
    base_url_variable: str = ""
    key_variable: str = ""
    other_key_variables: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    key_required: bool = True
    concurrency: int = 4
    parameters: tuple[str, ...] = SAMPLING_PARAMETERS
    max_tokens_field: str = "max_tokens"
    include_usage: bool = True
    has_model_list: bool = True
    body: Mapping[str, Any] = field(default_factory=dict)
    think: str = ""
    thinking_on: Mapping[str, Any] = field(default_factory=dict)
    thinking_off: Mapping[str, Any] = field(default_factory=dict)
    effort_field: str = ""
    budget_field: str = ""
    connect_s: float = 10.0
    first_token_s: float = 300.0
    stall_s: float = 60.0
    is_foreign: bool = False
    """Whether the file of a folder says what it is: then its label tells the host, so that it
    cannot pass for another one. No field of a file."""

    @property
    def host(self) -> str:
        """``host:port`` of the address, as it is shown."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def base_urls(self) -> tuple[str, ...]:
        """All its addresses."""
        return (self.base_url, *self.other_base_urls)

    @property
    def address_text(self) -> str:
        """All its addresses as they stand in a reference: with commas between."""
        return ",".join(self.base_urls)

    def at(self, base_url: str) -> "Service":
        """The same at one of its addresses."""
        return replace(self, base_url=base_url, other_base_urls=())

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables that may hold its key, the first that is set counts."""
        return (self.key_variable, *self.other_key_variables) if self.key_variable else ()

    def added_body(self, think: str = "", budget: int | None = None) -> dict[str, Any]:
        """What is added to a request that asks for ``think`` (`tui.options.THINK`; "": what the
        service's own setting says) and for ``budget`` tokens of reasoning at most."""
        switch = think or self.think or ("on" if budget is not None and self.budget_field else "")
        found = dict(self.thinking_off if switch == "off" else self.thinking_on if switch else {})
        if switch not in ("", "on", "off") and self.effort_field:
            _set_field(found, self.effort_field, switch)
        if budget is not None and self.budget_field and switch != "off":
            _set_field(found, self.budget_field, budget)
        return {**found, **self.body}

    def refused_thinking(self, think: str, budget: int | None) -> list[str]:
        """Which of the settings of thinking it cannot be told."""
        can_tell = self.thinking_off if think == "off" else self.thinking_on
        if think not in ("", "on", "off") and not self.effort_field:
            can_tell = {}
        found = ["think"] if think and not can_tell else []
        return found + (["think_tokens"] if budget is not None and not self.budget_field else [])

    @property
    def is_loopback(self) -> bool:
        """Whether all of it runs on this machine."""
        return all(map(_is_loopback, self.base_urls))


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return (
        host == "localhost"
        or host.endswith(".localhost")
        or host == "::1"
        or (host.startswith("127.") and host.replace(".", "").isdigit())
    )


class FolderEntry(dict[str, Any]):
    """An entry of a ``[services]`` table that is not the person's own (`Service.is_foreign`)."""


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
        known[name] = _user_service(name, entry, known)
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
        base, *others = (_checked_address(one, "the address") for one in split_addresses(given))
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
    return {name: _with_overrides(Service(name), entry) for name, entry in table.items()}


def _user_service(name: str, entry: Any, known: Mapping[str, Service]) -> Service:
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
    service = _with_overrides(base, {key: value for key, value in entry.items() if key != "like"})
    if "key_variable" in entry and "key_required" not in entry:
        service = replace(service, key_required=True)
    if not service.base_url and name != "url":
        raise UserError(f"{where} has no base_url", 'e.g. base_url = "http://gpu-box:8000/v1"')
    if "base_url" in entry:
        # What the file says of an address is meant for it, not for what a variable names, nor for
        # the addresses of the service that it was like.
        service = replace(
            service,
            base_url=_checked_address(service.base_url, where),
            other_base_urls=service.other_base_urls if "other_base_urls" in entry else (),
            base_url_variable="",
        )
    if isinstance(entry, FolderEntry):
        service = replace(service, title=name, is_foreign=True)
    return service


def _with_overrides(base: Service, entry: Mapping[str, Any]) -> Service:
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
            return tuple(_checked_address(one, where) for one in value)
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
        return dict(value)
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


def _set_field(body: dict[str, Any], name: str, value: object) -> None:
    """Set a field of a request; the objects above it are made anew, as they may be shared."""
    first, _, rest = name.partition(".")
    if not rest:
        body[first] = value
        return
    inner = body.get(first)
    body[first] = dict(inner) if isinstance(inner, Mapping) else {}
    _set_field(body[first], rest, value)


def _from_environment(service: Service, environ: Mapping[str, str]) -> Service:
    given = environ.get(service.base_url_variable, "").strip() if service.base_url_variable else ""
    if not given:
        return service
    if service.base_url_variable == "OLLAMA_HOST":
        return replace(service, base_url=_ollama_address(given))
    # Some other server than the service itself: it may need no key, and takes the common fields.
    return replace(
        service,
        base_url=_checked_address(given, service.base_url_variable),
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
    address = _checked_address(f"{scheme if mark else 'http'}://{rest}", "OLLAMA_HOST")
    parts = urlsplit(address)
    host = parts.hostname or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    path = parts.path if parts.path not in ("", "/") else "/v1"
    return f"{parts.scheme}://{host}:{parts.port or default_port}{path}"


def _checked_address(given: str, where: str) -> str:
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
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
