"""Keys as a person reads them."""

import unicodedata

_NAMES = {
    "escape": "Esc",
    "question_mark": "?",
    "slash": "/",
    "equals_sign": "=",
    "asterisk": "*",
    "number_sign": "#",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "full_stop": ".",
    "comma": ",",
    "colon": ":",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pagedown": "PgDn",
    "pageup": "PgUp",
}


def key_name(key: str) -> str:
    """A key as a person reads it: ``Ctrl+P``, ``?``, ``S``, ``Insert``, ``$``."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    name = _NAMES.get(last) or _character_of(last) or last.capitalize()
    if len(last) == 1:
        name = last.upper() if modifiers else last
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def _character_of(name: str) -> str:
    """The character of a key that is called by it: ``dollar_sign``; "" for other keys."""
    try:
        return unicodedata.lookup(name.replace("_", " ").upper()) if "_" in name else ""
    except KeyError:
        return ""
