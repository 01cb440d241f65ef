"""A reader of session files written from docs/session-format.md alone: the tables of that page
are its data, and it shares no line with the program."""

import json
import math
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent.parent / "docs" / "session-format.md"
VERSION = 1
DEEPEST = 100
LONGEST_LINE = 2**24
BEHIND_THE_END = ("rated", "voted", "chosen", "judged", "note")


class BadLineError(Exception):
    """A line breaks a rule of the page."""


class RefusedError(Exception):
    """A version that the page does not describe."""


@dataclass
class Reading:
    events: list[tuple[int, int, int, str, dict[str, Any]]] = field(default_factory=list)
    good_bytes: int = 0
    verdict: str = ""


def kinds_of_the_page() -> dict[str, dict[str, tuple[str, Any]]]:
    """Kind -> field -> (type, default); the default is `...` for a required field."""
    section = PAGE.read_text(encoding="utf-8").split("\n## Kinds\n")[1].split("\n## ")[0]
    kinds: dict[str, dict[str, tuple[str, Any]]] = {}
    for part in section.split("\n### ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]*\| ([^|]+) \|", part, re.MULTILINE)
        kinds[part.split("\n")[0]] = {
            name: (type_, ... if default == "required" else json.loads(default.strip("`")))
            for name, type_, default in rows
        }
    return kinds


KINDS = kinds_of_the_page()


def crc_of(data: bytes) -> bytes:
    return b"%08x" % zlib.crc32(data)


def body_of(line: bytes) -> bytes | None:
    """The body of a line whose CRC holds."""
    body, rest = line[:-10], line[-10:]
    return body if rest == b"\t" + crc_of(body) + b"\n" else None


def is_integer(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def has_type(value: Any, type_: str) -> bool:
    if type_.endswith(" or null"):
        return value is None or has_type(value, type_.removesuffix(" or null"))
    if type_ == "number":
        return is_integer(value) or type(value) is float
    if type_ == "integer":
        return is_integer(value)
    return type(value) is {"string": str, "boolean": bool, "object": dict, "list": list}[type_]


def depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


def parse(body: bytes) -> list[Any]:
    def number(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise BadLineError(text)
        return value

    def constant(text: str) -> float:
        raise BadLineError(text)

    if body[:1] != b"[" or body[-1:] != b"]":
        raise BadLineError("not an array")
    try:
        row = json.loads(body.decode("utf-8"), parse_float=number, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise BadLineError(str(error)) from None
    if len(row) != 5:
        raise BadLineError("not five elements")
    if depth(row) > DEEPEST:
        raise BadLineError("nested too deep")
    return list(row)


def event_of(row: list[Any], number: int) -> tuple[int, int, int, str, dict[str, Any]]:
    seq, t_us, model, kind, payload = row
    if not (is_integer(seq) and is_integer(t_us) and is_integer(model) and type(kind) is str):
        raise BadLineError("an element of another type")
    if type(payload) is not dict or seq != number or not 0 <= t_us < 2**53:
        raise BadLineError("payload, number or time")
    if (kind == "session") != (number == 0) or (number == 0 and model != -1):
        raise BadLineError("the header is the first line and no other")
    if kind not in KINDS:
        return seq, t_us, model, kind, payload
    full: dict[str, Any] = {}
    for name, (type_, default) in KINDS[kind].items():
        full[name] = payload.get(name, default)
        if full[name] is ... or (name in payload and not has_type(payload[name], type_)):
            raise BadLineError(f"{kind}.{name}")
    if kind == "session":
        check_header(full)
    return seq, t_us, model, kind, full


def check_header(header: dict[str, Any]) -> None:
    questions = header["questions"].get("questions", [])
    if len(header["models"]) > 64 or not all(type(m) is dict for m in header["models"]):
        raise BadLineError("models")
    if type(questions) is not list or not all(type(q) is dict for q in questions):
        raise BadLineError("questions")
    for question in questions:
        turns = question.get("turns", [])
        if type(turns) is not list or not all(type(turn) is str for turn in turns):
            raise BadLineError("turns")


def refuse_other_version(data: bytes) -> None:
    line = data[: data.find(b"\n", 0, LONGEST_LINE) + 1]
    try:
        payload = parse(body_of(line) or b"")[4]
    except BadLineError:
        return
    version = payload.get("v") if type(payload) is dict else None
    if type(version) is int and version != VERSION:
        raise RefusedError(version)


def read(data: bytes) -> Reading:
    """Read the bytes of a file.

    Raises:
        RefusedError: its version is another one.
    """
    refuse_other_version(data)
    found, starts, bad = Reading(), [], False
    while found.good_bytes < len(data) and not bad:
        start = found.good_bytes
        stop = data.find(b"\n", start, start + LONGEST_LINE) + 1
        body = body_of(data[start:stop]) if stop else None
        try:
            if body is None:
                raise BadLineError("cut off, too long, or its CRC does not hold")
            found.events.append(event_of(parse(body), len(found.events)))
        except BadLineError:
            bad = True
        else:
            starts.append(start)
            found.good_bytes = stop
    found.verdict = verdict(data, found, starts, bad)
    return found


def verdict(data: bytes, found: Reading, starts: list[int], bad: bool) -> str:
    if bad:
        rest = data[found.good_bytes :].split(b"\n")[:-1]
        whole = (line + b"\n" for line in rest if len(line) < LONGEST_LINE)
        return "damaged" if any(body_of(line) is not None for line in whole) else "torn"
    if not found.events:
        return "torn"
    ends = [n for n, event in enumerate(found.events) if event[3] == "end"]
    if not ends:
        return "interrupted"
    last = ends[-1]
    end = found.events[last][4]
    if end["events"] != last:
        return "damaged"
    if end["crc"] and end["crc"].encode() != crc_of(data[: starts[last]]):
        return "damaged"
    after = {event[3] for event in found.events[last + 1 :]}
    return "complete" if after <= set(BEHIND_THE_END) else "interrupted"
