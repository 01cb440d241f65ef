"""The keys of ``[keys]`` in duibi.toml: binding id -> keys."""

import difflib
import functools
import unicodedata
from collections.abc import Mapping, Sequence

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

from tui.app.style.appearance import Appearance
from tui.text.sanitise import one_line

_MODIFIERS = ("ctrl", "shift", "alt", "super", "meta", "hyper")
_NAMED_KEYS = {key.value for key in Keys} | {f"f{n}" for n in range(1, 25)} | {"space", "question"}


def problems(
    keys: Mapping[str, str], holders: Sequence[type[DOMNode]], appearance: Appearance
) -> list[str]:
    """What is wrong with a keymap: ids that no binding of ``holders`` has, keys that no terminal
    sends, a key given to what has another action in the same place. The program's own bindings
    may share a key where only one of them acts at a time."""
    bound = {holder: default_keys(holder) for holder in holders}
    known = {id_ for ids in bound.values() for id_ in ids}
    found = []
    for id_, wanted in keys.items():
        if id_ not in known:
            near = difflib.get_close_matches(id_, sorted(known), 1)
            key = "keys.unknown_near" if near else "keys.unknown"
            found.append(appearance.say(key, id=one_line(id_), near="".join(near)))
        for name in _names(wanted):
            if not is_key(name):
                found.append(appearance.say("keys.no_key", id=one_line(id_), key=one_line(name)))
    clashes = {clash for ids in bound.values() for clash in _clashes(ids, keys)}
    return found + [appearance.say("keys.clash", key=key, ids=ids) for key, ids in sorted(clashes)]


def is_key(name: str) -> bool:
    """Whether a name is one of a key: ``n``, ``question_mark``, ``ctrl+s``, ``f5``."""
    *modifiers, last = name.split("+") if name not in ("+", "") else [name]
    if not all(modifier in _MODIFIERS for modifier in modifiers):
        return False
    if len(last) == 1 or last in _NAMED_KEYS or last in KEY_NAME_REPLACEMENTS.values():
        return last.isprintable()
    try:
        unicodedata.lookup(last.replace("_", " ").upper())
    except KeyError:
        return False
    return True


def _names(keys: str) -> list[str]:
    """The names of the keys in a setting's text."""
    return [key.strip() or key for key in keys.split(",")] if keys != "," else [keys]


@functools.cache
def default_keys(holder: type[DOMNode]) -> Mapping[str, str]:
    """Id -> default keys of all bindings of a class and its bases."""
    return {
        binding.id: binding.key
        for kind in reversed(holder.__mro__)
        for binding in kind.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    }


def _clashes(defaults: Mapping[str, str], wanted: Mapping[str, str]) -> list[tuple[str, str]]:
    """Keys and the ids that have them, where a person's keymap made that so."""
    by_key: dict[str, list[str]] = {}
    for id_, keys in defaults.items():
        for name in _names(wanted.get(id_, keys)):
            name = _character_to_key(name) if len(name) == 1 else name
            by_key.setdefault(name, []).append(id_)
    return [
        (key, ", ".join(sorted(which)))
        for key, which in by_key.items()
        if len(which) > 1 and any(id_ in wanted for id_ in which)
    ]
