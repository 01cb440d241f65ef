"""Model references: the one way to name a model, the same everywhere."""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from tui.host.errors import UserError
from tui.services import built_in_names, near_name, split_addresses

DTYPES = ("bf16", "fp16", "fp32", "int8", "int4")
LOCAL_KINDS = ("demo", "folder", "gguf", "modelscope", "huggingface", "ollama")
HUB_SCHEMES = {"ms": "modelscope", "hf": "huggingface"}
"""Kind of the references to a hub's models."""
HUB_PREFIXES = tuple(f"{scheme}:" for scheme in HUB_SCHEMES)
"""How the references to hubs' models begin."""
FORMS = "demo, ./FOLDER, ./FILE.gguf, ms:OWNER/NAME, hf:OWNER/NAME, openai:NAME, http://HOST:PORT/v1#NAME"

_DTYPE_ALIASES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "f16": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "f32": "fp32",
    "8bit": "int8",
    "q8": "int8",
    "4bit": "int4",
    "q4": "int4",
}
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_SERVICE_MODEL = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,191}", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][\w-]{1,30}", re.ASCII)
_DTYPE_LIKE = re.compile(r"(bf|fp|f|int|i|q|float|bfloat)?\d+(bit)?|half|float", re.ASCII)
_LONGEST = 4096
_COLUMN_SETTINGS = re.compile(r"\?[A-Za-z][A-Za-z_-]*=")
_GGUF = ".gguf"
_GGUF_NAME = re.compile(r"\.gguf(?=(?:@\w+)?(?:\?|$))", re.ASCII | re.IGNORECASE)
"""Where the name of a GGUF file may end: it may hold a question mark itself."""
_BASE = re.compile(r"\+(?=\.{0,2}/|~|ms:)")
"""Before the base in ``./ADAPTER+./BASE``: a plus sign in front of a path."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model as a person named it.

    ``kind`` is ``demo``, ``folder``, ``gguf``, ``modelscope``, ``huggingface``, ``ollama``,
    ``service``, ``url``, ``session`` or ``pasted``; ``target`` is what the kind needs (a path,
    ``OWNER/NAME``, ``openai:gpt-4o``, a URL with its ``#NAME``, ``FILE#NAME``, a name; empty for
    the demo); ``dtype`` is one of `DTYPES`, or empty where none was asked for; ``file`` which GGUF
    file of a hub's repository is meant (``ms:OWNER/NAME#q4_k_m``).
    """

    text: str
    kind: str
    target: str
    dtype: str = ""
    file: str = ""


def settings_start(text: str) -> int:
    """Where the settings of a column (`tui.models.column`) begin in a text, at their ``?``; -1:
    there are none. In a URL they stand after its ``#``."""
    is_url = "://" in text
    if text.startswith(("session:", "pasted:")) or (is_url and "#" not in text):
        return -1
    name_end = max((found.end() for found in _GGUF_NAME.finditer(text)), default=0)
    for found in _COLUMN_SETTINGS.finditer(text, text.find("#") + 1 if is_url else 0):
        at = found.start()
        if at >= name_end or text[max(0, at - len(_GGUF)) : at].lower() == _GGUF:
            return at
    return -1


def parse_reference(text: str, user_services: Collection[str] = ()) -> Reference:
    """The reference a text stands for. Looks at no file and no network. ``user_services`` are the
    names of services that the settings add to the built-in ones.

    Raises:
        UserError: the text is no reference; names the nearest one that is.
    """
    given = text.strip()
    if not given:
        raise UserError("an empty model name", f"name a model: {FORMS}")
    if len(given) > _LONGEST or any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in given):
        raise UserError("a model name with control characters, or far too long", FORMS)
    if (end := settings_start(given)) >= 0:
        raise UserError(
            f"'{given}': settings of a column have no meaning here", f"leave it at {given[:end]}"
        )
    scheme, colon, rest = given.partition(":")
    if colon and scheme.lower() in ("http", "https"):
        return _url(given)
    if colon and (scheme in user_services or scheme.lower() in built_in_names()):
        return _service(given, scheme if scheme in user_services else scheme.lower(), rest)
    if colon and scheme == "session":
        return _session(given, rest)
    if colon and scheme == "pasted":
        if not rest.strip() or len(rest) > 96:
            raise UserError(f"'{given}' needs a name of 1 to 96 characters", "e.g. pasted:GPT-5")
        return Reference(given, "pasted", rest.strip())
    base, dtype = _split_dtype(given)
    if colon and scheme in HUB_SCHEMES:
        model, _, file = base.partition(":")[2].partition("#")
        return Reference(given, HUB_SCHEMES[scheme], model_id(model, scheme), dtype, file.strip())
    if colon and scheme == "ollama-file":
        return Reference(given, "ollama", _ollama_name(given, base.partition(":")[2]), dtype)
    if base == "demo":
        return Reference(given, "demo", "", dtype)
    if base.endswith(".duibi"):
        raise UserError(
            f"{given} is a recorded session",
            f"`duibi replay {base}` plays it; session:{base}#NAME is a model of it",
        )
    if base.lower().endswith(_GGUF):
        return Reference(given, "gguf", base, dtype)
    if colon and _SCHEME.fullmatch(scheme):
        raise _unknown(given, base, scheme, user_services)
    if "/" in base or base in (".", "..", "~"):
        return Reference(given, "folder", base, dtype)
    raise _unknown(given, base, scheme if colon else "", user_services)


def split_base(target: str) -> tuple[str, str]:
    """An adapter and its base in the target of a reference, the latter "" where it names none."""
    found = list(_BASE.finditer(target))
    if not found:
        return target, ""
    return target[: found[-1].start()], target[found[-1].end() :]


def is_reference(text: str) -> bool:
    """Whether a text names a model by itself, or looks like it: no alias may stand for it."""
    if ":" in text or "/" in text:
        return True
    try:
        parse_reference(text)
    except UserError:
        return False
    return True


def is_model_id(text: str) -> bool:
    """Whether a text has the form ``OWNER/NAME`` of a hub."""
    return _MODEL_ID.fullmatch(text) is not None


def model_id(text: str, scheme: str = "ms") -> str:
    """A hub's ``OWNER/NAME``, checked: it becomes a URL and a folder name.

    Raises:
        UserError: it is not of that form.
    """
    if not is_model_id(text):
        raise UserError(
            f"'{text}' is not a model id of the form OWNER/NAME", f"e.g. {scheme}:qwen/Qwen-7B-Chat"
        )
    return text


def _split_dtype(text: str) -> tuple[str, str]:
    """``(text without its suffix, dtype)``; an ``@`` within a path stays where it is."""
    base, at, suffix = text.rpartition("@")
    if not at or "/" in suffix or not base:
        return text, ""
    word = suffix.lower()
    if word in DTYPES:
        return base, word
    near = _DTYPE_ALIASES.get(word) or next(iter(difflib.get_close_matches(word, DTYPES, 1)), "")
    is_path = base.startswith((".", "/", "~")) or "/" in base
    if is_path and not (near and _DTYPE_LIKE.fullmatch(word)):
        return text, ""
    meant = f"did you mean {base}@{near}? " if near else ""
    raise UserError(f"unknown dtype '{suffix}'", f"{meant}one of {', '.join(DTYPES)}")


def _ollama_name(given: str, name: str) -> str:
    if not _SERVICE_MODEL.fullmatch(name):
        raise UserError(f"'{given}' names no model of Ollama", "e.g. ollama-file:qwen3:4b")
    return name


def _service(given: str, provider: str, model: str) -> Reference:
    if not _SERVICE_MODEL.fullmatch(model):
        raise UserError(f"'{given}' does not name a model of {provider}", f"{provider}:MODEL")
    if model.rpartition("@")[2].lower() in DTYPES:
        raise UserError(
            f"'{given}': only a model on this machine has a dtype",
            f"leave it out: {provider}:{model.rpartition('@')[0]}",
        )
    return Reference(given, "service", f"{provider}:{model}")


def _url(given: str) -> Reference:
    example = "e.g. http://localhost:8000/v1#NAME"
    addresses, _, model = given.partition("#")
    for address in split_addresses(addresses):
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise UserError(f"'{given}' is not a URL: {error}", example) from None
        if not host:
            raise UserError(f"'{given}' names no host", example)
        if parts.username is not None or parts.password is not None:
            raise UserError(
                "a URL with a user name or password in it would be written into the session",
                "put the key into DUIBI_API_KEY and leave it out of the URL",
            )
    if not model:
        raise UserError(f"'{given}' does not say which model", f"add #NAME: {given}#NAME")
    return Reference(given, "url", given)


def _session(given: str, rest: str) -> Reference:
    file, hash_, name = rest.rpartition("#")
    if not hash_ or not file or not name:
        raise UserError(f"'{given}' does not say which file and model", "session:FILE#NAME")
    return Reference(given, "session", rest)


def _unknown(given: str, base: str, scheme: str, user_services: Collection[str]) -> UserError:
    if scheme:
        schemes = (
            *HUB_SCHEMES,
            "ollama-file",
            *dict.fromkeys((*built_in_names(), *user_services)),
            "session",
            "pasted",
        )
        near = near_name(scheme, schemes)
        rest = given.partition(":")[2]
        meant = f"did you mean {near}:{rest}? " if near else ""
        return UserError(
            f"unknown kind of model '{scheme}:'", f"{meant}known: {', '.join(schemes)}"
        )
    if difflib.get_close_matches(base.lower(), ["demo"], 1):
        return UserError(f"unknown model '{given}'", "did you mean demo?")
    return UserError(
        f"unknown model '{given}'",
        f"a folder here is ./{base}; other forms: {FORMS}; `duibi --help` lists the commands",
    )
