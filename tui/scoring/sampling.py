"""How the tokens of a column were chosen: what was asked for, over the checkpoint's own way."""

from collections.abc import Mapping
from typing import Any

_DRAWN = ("temperature", "top_p", "top_k")
"""What has an effect where tokens are drawn at random only."""
_ASKED = (*_DRAWN, "repetition_penalty", "seed")
SAMPLING_SETTINGS = frozenset({"sampling", *_ASKED})
"""The names of the settings that say how tokens are chosen."""


def sampling_of(settings: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What had an effect, by name: ``greedy`` first, then what is known of temperature and the
    like. ``settings`` are those that the column was asked with (`Session.settings_of`), ``own``
    the checkpoint's, as its load told them (`tui.events.Loaded`); empty where nobody knows."""
    asked = {name: settings[name] for name in _ASKED if settings.get(name) is not None}
    way = {"greedy": True, "sample": False}.get(str(settings.get("sampling")))
    if asked.get("temperature") == 0:
        way = True
    elif way is None:
        way = False if "temperature" in asked else own.get("greedy")
    told = {name: own[name] for name in _ASKED if own.get(name) is not None} | asked
    if way:
        told = {name: value for name, value in told.items() if name not in (*_DRAWN, "seed")}
    return ({} if way is None else {"greedy": way}) | told
