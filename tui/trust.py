"""What strangers may do before a person agreed: the ``duibi.toml`` of the current folder, and a
session that names a server or another session.

Whoever cloned a folder did not read its ``duibi.toml``. So of such a file only what can do no harm
is in force at once. The rest is a `Claim`, which has no effect until a person agreed to it; the
agreement is kept in the configuration folder (`tui.host.agreements`). A file in the configuration
folder is the person's own.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui import services
from tui.host import agreements
from tui.host.errors import UserError
from tui.host.paths import config_dir, portable
from tui.models.reference import (
    HUB_SCHEMES,
    Reference,
    parse_reference,
    settings_start,
    split_base,
)
from tui.models.typed import split_label
from tui.questions import BUILT_IN
from tui.services import FolderEntry, Service, request_fields
from tui.text.width import shorten

_AGREEMENTS = "strangers"
_TABLES = ("services", "aliases")
"""Tables of which a folder's file may add entries to the person's own."""
MOST_ENTRIES = 256
"""Entries of a table of a folder's file: every command looks at each of them."""
_MORE = "more than your own"
_MOST_TOLD = 10
_MOST_SHOWN = 400
"""Characters of what is added to requests: an agreement shows all of it, or says that it cannot."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What of a folder's file, or of a session, needs an agreement: ``name`` of an entry of a
    ``table``, or of a setting ("" as table); ``says`` is what it would do, ``facts`` what the
    agreement is about (none: nobody is asked, it stays without effect), ``leads_to`` the model or
    service that it refers to in turn."""

    table: str
    name: str
    says: str
    facts: tuple[str, ...]
    leads_to: str = ""

    def __str__(self) -> str:
        return f"{self.table}{'.' if self.table else ''}{self.name} ({self.says})"

    @property
    def is_agreed(self) -> bool:
        """Whether a person agreed to it."""
        return agreements.is_agreed(_AGREEMENTS, self.facts)

    def agree(self) -> None:
        """Remember that a person did.

        Raises:
            UserError: it cannot be kept.
        """
        agreements.agree(_AGREEMENTS, self.facts)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A ``duibi.toml``: which settings of it are in force, what is withheld, and ``fault``, for
    which all of it is passed over ("": there is none)."""

    path: Path
    in_force: tuple[str, ...] = ()
    withheld: tuple[Claim, ...] = ()
    fault: str = ""

    def __str__(self) -> str:
        """In one English line, of a length that a stranger cannot choose."""
        if self.fault:
            return f"passed over: {self.fault}"
        said = f"{self.path} sets {_some(self.in_force, ', ') or 'nothing'}"
        claims = _some([shorten(str(claim), 160) for claim in self.withheld], "; ")
        return f"{said}; not in force, as nobody agreed to it: {claims}" if claims else said


def _some(names: Sequence[str], joint: str) -> str:
    """The first of some names, and how many more there are."""
    shown, more = joint.join(names[:_MOST_TOLD]), len(names) - _MOST_TOLD
    return f"{shown}{joint}and {more:,} more" if more > 0 else shown


def own_file(path: Path, given: Mapping[str, Any]) -> SettingsFile:
    """A file of the person's own: all of it is in force."""
    return SettingsFile(path, tuple(_names(given)))


def admit_file(
    path: Path, given: Mapping[str, Any], own: Mapping[str, Any], wanted: Collection[str]
) -> tuple[dict[str, Any], SettingsFile]:
    """The settings of a folder's file that are in force, with the person's ``own`` entries of the
    same tables, and what is to be told of the file. ``wanted`` are those of its settings that name
    paths and that nothing else decides.

    Raises:
        UserError: its services cannot stand beside the person's own.
    """
    folder, mine = path.parent, {table: own.get(table, {}) for table in _TABLES}
    theirs = {table: given.get(table, {}) for table in _TABLES}
    known = {*mine["services"], *theirs["services"]}
    claims = [
        *(claim for name in wanted for claim in _path_claims(folder, name, given[name])),
        *_service_claims(folder, theirs["services"], mine["services"]),
        *_alias_claims(folder, theirs["aliases"], mine["aliases"], known),
    ]
    open_: set[str] = set()
    withheld = []
    for claim in claims:
        if not claim.is_agreed or claim.leads_to.removesuffix(":") in open_:
            withheld.append(claim)
            open_ |= {claim.name} if claim.table == "services" else set()
    closed = {(claim.table, claim.name) for claim in withheld}
    kept = {
        table: {n: one for n, one in theirs[table].items() if (table, n) not in closed}
        for table in _TABLES
    }
    single = {name: value for name, value in given.items() if ("", name) not in closed}
    admitted = {**single, **{table: mine[table] | kept[table] for table in _TABLES}}
    if admitted.pop("keys", None):
        # With yes and no exchanged, who refuses agrees. No model needs it: nobody is asked.
        withheld.append(Claim("", "keys", "only from your own file", ()))
    if admitted.pop("prices", None):
        # Who sets them decides what a budget lets through.
        withheld.append(Claim("", "prices", "only from your own file", ()))
    if "budget" in given:
        admitted["budget"] = lesser_budget(given["budget"], own.get("budget"))
        if admitted["budget"] is own.get("budget"):
            withheld.append(Claim("", "budget", _MORE, ()))
    for name, is_no_more in _EFFORT.items():
        if name in given and not is_no_more(given[name], own.get(name)):
            del admitted[name]
            withheld.append(Claim("", name, _MORE, ()))
    before = services.known_services(mine["services"])
    after = services.known_services(admitted["services"])
    for name in theirs["services"].keys() & admitted["services"].keys():
        if name not in before or not _asks_the_same(before[name], after[name]):
            admitted["services"][name] = FolderEntry(admitted["services"][name])
    never = {claim.name for claim in withheld if not claim.table}
    in_force = {name: value for name, value in {**single, **kept}.items() if name not in never}
    return admitted, SettingsFile(path, tuple(_names(in_force)), tuple(withheld))


def lesser_budget(
    theirs: Mapping[str, float] | None, own: Mapping[str, float] | None
) -> Mapping[str, float] | None:
    """The budget in force: a stranger's where it lets nothing through that the person's ``own``
    would not, else the person's. None: there is none."""
    if not theirs or not own:
        return own or theirs
    if not any(theirs.values()):
        return dict.fromkeys(own, 0.0)
    is_less = theirs.keys() == own.keys() and all(theirs[name] <= own[name] for name in own)
    return theirs if is_less else own


def _thinks_no_more(theirs: str, own: str | None) -> bool:
    levels = ("off", "low", "medium", "high")
    if theirs in ("off", own):
        return True
    return theirs in levels and own in levels and levels.index(theirs) <= levels.index(own)


def _is_no_more(theirs: int, own: int | None) -> bool:
    return own is not None and theirs <= own


_EFFORT: Mapping[str, Callable[[Any, Any], bool]] = {
    "think": _thinks_no_more,
    "think_tokens": _is_no_more,
    "logprobs": _is_no_more,
}
"""Settings that ask a model or a service for more than an answer, and which values of a stranger
are none that the person's own does not ask for."""


def require_agreed(file: SettingsFile, claim: Claim) -> None:
    """Check that a person agreed to a setting of a folder's file that a command would use.

    Raises:
        UserError: nobody did.
    """
    if not claim.is_agreed:
        raise UserError(
            f"{file.path}: {claim.name} {claim.says}",
            f"give it yourself, or write it into {_own_file()}",
        )


def needed_claims(file: SettingsFile | None, models: Iterable[str]) -> list[Claim]:
    """What must be agreed to before these models (references and aliases) mean what the folder's
    file says they do."""
    wanted: list[Claim] = []
    names = list(models)
    for name in names:
        for claim in file.withheld if file else ():
            if claim not in wanted and _is_meant(claim, name):
                wanted.append(claim)
                names += [claim.leads_to] if claim.leads_to else []
    return wanted


def refuse_withheld(file: SettingsFile | None, name: str) -> None:
    """Check that a model's name does not stand in the folder's file alone, withheld.

    Raises:
        UserError: it does.
    """
    for claim in needed_claims(file, [name]):
        with suppress(UserError):
            parse_reference(name)
            continue  # it means something without the file
        raise UserError(
            f"{name}: nobody agreed to {claim} of {file.path if file else ''}",
            f"agree where you can be asked: `duibi run {name}` in a terminal; or write it into "
            f"{_own_file()}",
        )


def remember_named(reference: Reference, label: str, user_services: Mapping[str, Any]) -> None:
    """A person named this model, and heads it with ``label`` ("": with its own name): a session may
    do so from now on."""
    for claim in _session_claims(reference, label, user_services):
        with suppress(UserError):  # nothing depends on it now
            claim.agree()


def remember_template(path: Path) -> None:
    """A person asked with the chat template of this file: a session may name it from now on."""
    with suppress(UserError):  # nothing depends on it now
        _template_claim(path).agree()


def require_template(path: Path, session: str, ask: Callable[[str], bool]) -> None:
    """Check that a person agreed to the chat template that the file ``session`` names: what stands
    in it would be asked, and any file could be named.

    Raises:
        UserError: the person said no, or could not be asked.
    """
    claim = _template_claim(path)
    if claim.is_agreed:
        return
    if not ask(f"{session} {claim.says}"):
        raise UserError(
            f"{session} {claim.says}, which nobody agreed to",
            f"agree where you can be asked: `duibi run --resume {session}` in a terminal",
        )
    claim.agree()


def _template_claim(path: Path) -> Claim:
    whole = portable(path.expanduser().absolute())
    return Claim("", "chat_template", f"would read the chat template {whole}", ("template", whole))


def require_named(
    reference: Reference,
    label: str,
    user_services: Mapping[str, Any],
    session: str,
    ask: Callable[[str], bool],
) -> None:
    """Check that what the file ``session`` alone says of a model was agreed to, or ask for it: a
    server, another session, or a ``label`` that is not the model's own name ("": it is).

    Raises:
        UserError: the person said no, or could not be asked.
    """
    for claim in _session_claims(reference, label, user_services):
        if claim.is_agreed:
            continue
        if not ask(f"{session} {claim.says}"):
            raise UserError(
                f"{session} {claim.says}, which nobody agreed to",
                "agree where you can be asked, or name it once: "
                f"`duibi run {label}{'=' if label else ''}{reference.text}`",
            )
        claim.agree()


def _session_claims(
    reference: Reference, label: str, user_services: Mapping[str, Any]
) -> list[Claim]:
    """What a session does beyond asking what is known, by the name that it is known under."""
    claims = []
    if label:
        says = f"heads {reference.text} with the name {label}"
        claims.append(Claim("", reference.text, says, ("label", reference.text, label)))
    if reference.kind == "session":
        says = f"would take over answers of {reference.target}"
        claims.append(Claim("", reference.text, says, ("session", reference.target)))
    if reference.kind == "url":
        service, _ = services.find_service(reference.target, user_services)
        says = f"would ask {service.address_text}"
        if any(os.environ.get(name) for name in service.key_variables):
            says += f", with the key in {_variables(service)}"
        facts = ("address", service.address_text, _variables(service))
        if service.name == "url":
            claims.append(Claim("", reference.text, says, facts))
    return claims


def _names(given: Mapping[str, Any]) -> Iterator[str]:
    """The settings of a file, of its tables each entry."""
    for name, value in given.items():
        if name in _TABLES:
            yield from (f"{name}.{entry}" for entry in value)
        else:
            yield name


def _service_claims(
    folder: Path, theirs: Mapping[str, Any], mine: Mapping[str, Any]
) -> list[Claim]:
    """The services of a folder's file that would ask somebody else than the services that are
    known without it, or with another key, or for what may cost more."""
    before = services.known_services(mine)
    after = services.known_services({**mine, **theirs})
    claims: list[Claim] = []
    for name, entry in theirs.items():
        same = [before[name]] if name in before else list(before.values())
        is_known = any(
            _asks_the_same(one, after[name]) and request_fields.asks_no_more(after[name], one)
            for one in same
        )
        if not is_known or entry.get("like") in {claim.name for claim in claims}:
            base = before.get(entry.get("like", name)) or Service(name)
            claims.append(_service_claim(folder, name, entry, after[name], base))
    return claims


def _asks_the_same(one: Service, other: Service) -> bool:
    return (one.base_urls, one.key_variables) == (other.base_urls, other.key_variables)


def _variables(service: Service) -> str:
    return " or ".join(service.key_variables)


def _service_claim(
    folder: Path, name: str, entry: Mapping[str, Any], service: Service, base: Service
) -> Claim:
    """The claim of an entry; ``base`` is what it changes."""
    key = f"with the key in {_variables(service)}" if service.key_variables else "without a key"
    whom = service.host or "each address that is typed"
    facts = [os.path.realpath(folder), name, service.address_text, _variables(service)]
    like = f"{entry['like']}:" if "like" in entry else ""
    says, usual = f"asks {whom} {key}", request_fields.beyond_harmless(base)
    fields = request_fields.beyond_harmless(service).items()
    if sent := request_fields.written({k: one for k, one in fields if usual.get(k) != one}):
        shown = sent if len(sent) <= _MOST_SHOWN else "more than can be shown"
        says = f"{says}, with {shown} in requests"
        facts.append(sent)
    return Claim("services", name, says, tuple(facts), like)


def _alias_claims(
    folder: Path, theirs: Mapping[str, str], mine: Mapping[str, str], user_services: Collection[str]
) -> list[Claim]:
    """The aliases of a folder's file that lead out of it, or replace one of the person's own."""
    return [
        Claim("aliases", name, f"means {target}", (os.path.realpath(folder), name, target), target)
        for name, target in theirs.items()
        if mine.get(name, target) != target or not _stays_here(folder, target, user_services)
    ]


def _stays_here(folder: Path, target: str, user_services: Collection[str]) -> bool:
    if settings_start(target) >= 0 or split_label(target)[0]:
        return False  # they could name any file, or pass for another model
    try:
        reference = parse_reference(target, user_services)
    except UserError:
        return True  # it means nothing: told when it is used
    if reference.kind in ("folder", "gguf"):
        one, base = split_base(reference.target)
        is_here = base.startswith("ms:") or _is_inside(folder, base)
        return is_here and _is_inside(folder, one)
    return reference.kind in ("demo", HUB_SCHEMES["ms"])


def _path_claims(folder: Path, name: str, value: Any) -> Iterator[Claim]:
    """The paths of a setting that lead out of the folder, by a symbolic link too."""
    if name == "questions" and value in BUILT_IN:
        return
    for path in value if isinstance(value, tuple) else (value,):
        if not _is_inside(folder, str(path)):
            says = f"leads out of the folder to {path}"
            yield Claim("", name, says, (os.path.realpath(folder), name, str(path)))


def _is_inside(folder: Path, path: str) -> bool:
    root = os.path.realpath(folder)
    target = os.path.realpath(folder / os.path.expanduser(path))  # noqa: PTH111 - raises nothing
    return target == root or target.startswith(root.rstrip("/") + "/")


def _is_meant(claim: Claim, model: str) -> bool:
    if claim.table != "services":
        return claim.table == "aliases" and model == claim.name
    scheme = model.partition(":")[0]
    return scheme == claim.name or (claim.name == "url" and scheme.lower() in ("http", "https"))


def _own_file() -> str:
    return str(config_dir() / "duibi.toml")
