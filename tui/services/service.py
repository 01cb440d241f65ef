"""One service, and what it does its own way."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

SAMPLING_PARAMETERS = (
    *("temperature", "top_p", "top_k", "repetition_penalty", "seed"),
    "logprobs",
)
"""What a service may accept besides the conversation; ``logprobs`` are told, not chosen by."""


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


def _set_field(body: dict[str, Any], name: str, value: object) -> None:
    """Set a field of a request; the objects above it are made anew, as they may be shared."""
    first, _, rest = name.partition(".")
    if not rest:
        body[first] = value
        return
    inner = body.get(first)
    body[first] = dict(inner) if isinstance(inner, Mapping) else {}
    _set_field(body[first], rest, value)
