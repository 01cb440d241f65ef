"""The keys of ``[keys]`` in duibi.toml: binding id -> keys."""

import difflib
from collections.abc import Mapping, Sequence

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import _character_to_key

from tui.app.style.appearance import Appearance


def problems(
    keys: Mapping[str, str], holders: Sequence[type[DOMNode]], appearance: Appearance
) -> list[str]:
    """What is wrong with a keymap: ids that no binding of ``holders`` has, keys given to two
    actions of one holder."""
    bound = {holder: _default_keys(holder) for holder in holders}
    known = {id_ for ids in bound.values() for id_ in ids}
    found = []
    for id_ in keys:
        if id_ not in known:
            near = difflib.get_close_matches(id_, sorted(known), 1)
            key = "keys.unknown_near" if near else "keys.unknown"
            found.append(appearance.say(key, id=id_, near="".join(near)))
    clashes = {
        clash for ids in bound.values() for clash in _clashes(ids | _overrides_of(keys, ids))
    }
    return found + [appearance.say("keys.clash", key=key, ids=ids) for key, ids in sorted(clashes)]


def _default_keys(holder: type[DOMNode]) -> dict[str, str]:
    """Id -> default keys of all bindings of a class and its bases."""
    return {
        binding.id: binding.key
        for kind in reversed(holder.__mro__)
        for binding in kind.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    }


def _overrides_of(keys: Mapping[str, str], ids: dict[str, str]) -> dict[str, str]:
    return {id_: wanted for id_, wanted in keys.items() if id_ in ids}


def _clashes(ids: dict[str, str]) -> list[tuple[str, str]]:
    by_key: dict[str, list[str]] = {}
    for id_, keys in ids.items():
        for key in keys.split(","):
            name = key.strip()
            name = _character_to_key(name) if len(name) == 1 else name
            by_key.setdefault(name, []).append(id_)
    return [(key, ", ".join(sorted(which))) for key, which in by_key.items() if len(which) > 1]
