"""Ids of places for a person's own words that stay the same from one report to the next."""

import re
import zlib

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,15}")


def place_id(kind: str, name: str) -> str:
    """The id of the place for what has this name: the name itself where it is plain and short,
    else its checksum."""
    plain = name if _PLAIN.fullmatch(name) else f"{zlib.crc32(name.encode('utf-8', 'replace')):08x}"
    return f"{kind}-{plain}"
