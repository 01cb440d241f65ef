"""Asking the services that a person can use, all at once."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tui import services
from tui.cli.support import settings_in_force
from tui.cli.support.printing import heads, print_json, table, tell
from tui.engines.model_list import ProbeResult, is_listed, probe
from tui.models.column import split_column
from tui.models.local_servers import reference_to
from tui.settings import Settings

NOTHING_REACHED = 3
"""Exit code where every service that a person counts on is out of reach."""


def usable_services(own: Mapping[str, Any]) -> list[services.Service]:
    """The services worth asking: those of the settings (``own``), those whose key or whose
    address is in the environment, and a server on this machine by its default address."""
    known = services.known_services(own)
    return [
        service
        for name, service in known.items()
        if service.base_url
        and (
            name in own
            or any(os.environ.get(variable) for variable in service.key_variables)
            or os.environ.get(service.base_url_variable)
            or service.is_loopback
        )
    ]


def probe_all(settings: Settings) -> list[ProbeResult]:
    """What each of `usable_services` answers; takes as long as the slowest (`LIST_TIMEOUT_S`)."""
    wanted = usable_services(settings.run.services)
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        return list(pool.map(probe, wanted))


def is_expected(found: ProbeResult, settings: Settings) -> bool:
    """Whether a person counts on this service: a default address on this machine that
    nobody named may well be empty."""
    service = found.service
    named = service.name in settings.run.services or os.environ.get(service.base_url_variable)
    return bool(named) or found.key_present


def worth_telling(settings: Settings) -> list[ProbeResult]:
    """Of `probe_all` what a person counts on, and what offers models without that: whatever else
    listens at a usual port of this machine is no service."""
    found = probe_all(settings)
    return [one for one in found if is_expected(one, settings) or not one.fault]


def missing_models(found: ProbeResult, settings: Settings) -> list[str]:
    """Models of this service that the settings' aliases name and that it does not list."""
    wanted = [
        target.partition(":")[2]
        for target in (split_column(alias).model for alias in settings.aliases.values())
        if target.partition(":")[0] == found.service.name
    ]
    return [name for name in wanted if found.models and not is_listed(name, found.models)]


def list_services(json: bool) -> int:
    """Print what each service that can be asked offers, as references to name it by; the
    exit code."""
    settings = settings_in_force.load()
    found = worth_telling(settings)
    code = NOTHING_REACHED if found and not any(one.reachable for one in found) else 0
    if json:
        print_json([_as_json(one) for one in found])
        return code
    rows = [
        (reference_to(one.service, name), one.service.host) for one in found for name in one.models
    ]
    if rows:
        print(table([heads("MODEL", "SERVICE"), *rows]))
    for one in found:
        if one.fault is not None:
            step = one.fault.next_step
            tell(f"{one.service.name}: {one.fault.message} -> {step}")
    if not found:
        tell("no service can be asked: no key is set, and no server is known")
    return code


def _as_json(found: ProbeResult) -> dict[str, Any]:
    return {
        "service": found.service.name,
        "base_url": found.service.base_url,
        "key_variable": found.service.key_variable,
        "key_present": found.key_present,
        "reachable": found.reachable,
        "round_trip_ms": found.round_trip_ms,
        "models": list(found.models),
        "error": None if found.fault is None else found.fault.message,
    }
