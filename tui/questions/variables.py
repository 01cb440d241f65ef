"""Variables: one question with ``{city}`` in it becomes one for each city.

A set gives them in its head, as lists that are combined in every way, or as rows in step:

    [variables]                       [[variables]]
    city = ["Beijing", "Paris"]       country = "France"
                                      capital = "Paris"
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tui.host.errors import UserError
from tui.questions.question_set import MAX_CHARACTERS, check_room

_DEEPEST = 4
"""A question > checks > a table > a list of texts."""
_OWN = re.compile(r"\{([^{}\s]{1,100})\}")
_FORM = 'write city = ["Beijing", "Paris"] in [variables]'


def fill(text: str, values: Mapping[str, str], place: str, name: re.Pattern[str] = _OWN) -> str:
    """A text with the values of its variables; what has no value stays as it is.

    Raises:
        UserError: it becomes longer than a question may be.
    """
    pieces: list[str] = []
    start = size = 0
    for found in name.finditer(text):
        if (value := values.get(found[1])) is None:
            continue
        pieces += [text[start : found.start()], value]
        size += len(pieces[-1]) + len(pieces[-2])
        start = found.end()
        if size > MAX_CHARACTERS:
            raise UserError(f"{place}: more than {MAX_CHARACTERS} characters", "shorten it")
    return "".join([*pieces, text[start:]])


def combinations(lists: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Each way to choose one value of every list."""
    for chosen in itertools.product(*lists.values()):
        yield dict(zip(lists, chosen, strict=True))


def expand(
    variables: object, rows: Sequence[Any], places: Sequence[str], where: str
) -> tuple[list[Any], list[str]]:
    """The questions with the values of the variables that stand in them, and the place of each.

    Raises:
        UserError: the variables have another form, one is used nowhere, or there are too many
            questions.
    """
    known = _names(variables, where)
    made: list[Any] = []
    made_places: list[str] = []
    used: set[str] = set()
    size = 0
    for number, (row, place) in enumerate(zip(rows, places, strict=True), 1):
        row = {"id": str(number), **row} if isinstance(row, Mapping) else row
        names = {name for text in _texts(row) for name in _OWN.findall(text)} & known
        used |= names | ({n for text in _all_texts(row) for n in _OWN.findall(text)} & known)
        choices = _choices(variables, names) if names else iter([{}])
        for choice, values in enumerate(choices, 1):
            one = _filled(row, values, place) if names else row
            if names:
                one["id"] = f"{row['id']}-{choice}"
            size += sum(map(len, _texts(one)))
            check_room(len(made), place, size)
            made.append(one)
            made_places.append(place)
    if unused := sorted(known - used):
        raise UserError(
            f"{where}: no question has the variable {unused[0]!r}", f"write {{{unused[0]}}} in one"
        )
    return made, made_places


def _names(variables: Any, where: str) -> set[str]:
    rows = variables if isinstance(variables, list) else [variables]
    for row in rows:
        if not isinstance(row, Mapping) or not row:
            raise UserError(f"{where}: variables: must be lists of texts", _FORM)
        for value in row.values():
            texts = value if isinstance(value, list) and value and row is variables else [value]
            if not all(type(text) in (str, int, float) for text in texts):
                raise UserError(f"{where}: variables: must be lists of texts", _FORM)
    return {str(name) for row in rows for name in row}


def _choices(variables: Any, names: set[str]) -> Iterator[dict[str, str]]:
    if isinstance(variables, list):
        return ({name: str(value) for name, value in row.items()} for row in variables)
    lists = {name: variables[name] for name in variables if name in names}
    return combinations(
        {n: list(map(str, v)) if isinstance(v, list) else [str(v)] for n, v in lists.items()}
    )


def _texts(row: Any) -> Iterator[str]:
    """The texts of a question that a model is asked."""
    for key in ("text", "turns", "system"):
        value = row.get(key) if isinstance(row, Mapping) else None
        texts = value if isinstance(value, list) else [value]
        yield from (text for text in texts if isinstance(text, str))


def _all_texts(value: Any, deep: int = _DEEPEST) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list) and deep:
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _all_texts(one, deep - 1)


def _filled(value: Any, values: Mapping[str, str], place: str, deep: int = _DEEPEST) -> Any:
    if isinstance(value, str):
        return fill(value, values, place)
    if isinstance(value, Mapping) and deep:
        return {key: _filled(one, values, place, deep - 1) for key, one in value.items()}
    if isinstance(value, list) and deep:
        return [_filled(one, values, place, deep - 1) for one in value]
    return value
