"""What a campaign found, held against what was promised."""

import sys
from collections.abc import Mapping

_broken: list[str] = []


def expect(name: str, found: object, promised: object) -> None:
    """Remember that something else was found than was promised."""
    if found != promised:
        _broken.append(f"{name}: {found} instead of {promised}")


def expect_counts(name: str, seen: Mapping[str, int], promised: Mapping[str, int]) -> None:
    """`expect` of each of these counts; what was never seen counts 0."""
    for what, count in promised.items():
        expect(f"{name}, {what}", seen.get(what, 0), count)


def end() -> None:
    """Leave the program: with exit code 1 and the list where promises were broken."""
    for line in _broken:
        print(f"BROKEN {line}", flush=True)
    sys.exit(1 if _broken else 0)
