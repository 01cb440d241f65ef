"""Models that hold no weights here: behind HTTP, pasted by a person, or recorded."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tui import services
from tui.engines.client import key_of
from tui.engines.errors import ServiceError
from tui.host.errors import UserError
from tui.models.reference import Reference
from tui.models.resolved import ResolvedModel
from tui.prices import find_price
from tui.services.request_fields import are_paid_apart
from tui.sessions import library, reader


def resolve_remote(
    ref: Reference,
    user_services: Mapping[str, Any],
    sessions: Path,
    own_prices: Mapping[str, Any] | None = None,
) -> ResolvedModel:
    """The model of a reference of none of the `LOCAL_KINDS`.

    ``user_services`` and ``own_prices`` are the ``[services]`` and ``[prices]`` tables of the
    settings, ``sessions`` is where a session's name is looked up. Nothing is asked over the
    network, and nothing of a key is kept.

    Raises:
        UserError: no such service or session, the session has no such model, or the key that
            the service needs is not in the environment.
    """
    match ref.kind:
        case "pasted":
            label = f"{ref.target} (pasted)"
            return ResolvedModel(ref.text, label, "pasted", Path(), "", model=ref.target)
        case "session":
            return _recorded(ref, sessions)
    service, model = services.find_service(ref.target, user_services)
    try:
        key_of(service)
    except ServiceError as fault:
        raise fault.to_engine_error() from None
    # Some servers name a model by the path they read it from.
    short = PurePosixPath(model).name or model if model.startswith("/") else model
    label = short if service.name == "url" else f"{service.name}:{short}"
    if service.name == "url" or service.is_foreign:
        others = len(service.other_base_urls)
        label += f" ({service.host} +{others})" if others else f" ({service.host})"
    names = (ref.text, f"{service.name}:{model}", f"{service.address_text}#{model}")
    is_published = services.is_original(service) and not are_paid_apart(service)
    publisher = service.name if is_published else ""
    return ResolvedModel(
        name=ref.text,
        label=label,
        engine="endpoint",
        price=find_price(own_prices or {}, names, publisher, model),
        checkpoint=Path(),
        dtype="",
        family=service.name,
        service=service.name,
        base_url=service.address_text,
        model=model,
    )


def _recorded(ref: Reference, sessions: Path) -> ResolvedModel:
    path, name = _session_and_name(ref, sessions)
    models = reader.read(path).header.models
    labels = [str(model.get("label") or model.get("name", "")) for model in models]
    exact = [i for i, label in enumerate(labels) if label == name]
    named = [i for i, model in enumerate(models) if str(model.get("name", "")) == name]
    found = exact or named
    if len(found) != 1:
        why = f"has no model {name}" if not found else f"has {len(found)} models {name}"
        raise UserError(f"{path.name} {why}", f"it has: {', '.join(labels)}")
    given = models[found[0]]
    return ResolvedModel(
        name=ref.text,
        label=f"{labels[found[0]]} (recorded)",
        engine="recorded",
        checkpoint=path,
        dtype=_text(given.get("dtype")),
        family=_text(given.get("family")),
        parameters=_count(given.get("parameters")),
        checkpoint_bytes=_count(given.get("checkpoint_bytes")),
        context=_count(given.get("context")),
        model=labels[found[0]],
    )


def _session_and_name(ref: Reference, sessions: Path) -> tuple[Path, str]:
    """Where a target ``FILE#NAME`` is divided: both may hold a ``#`` (``demo@bf16 #2``)."""
    marks = [i for i, c in enumerate(ref.target) if c == "#"]
    trouble: UserError | None = None
    for at in marks:
        try:
            return library.find(ref.target[:at], sessions), ref.target[at + 1 :]
        except UserError as error:
            trouble = trouble or error
    raise trouble or UserError(f"'{ref.text}' does not say which model", "session:FILE#NAME")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
