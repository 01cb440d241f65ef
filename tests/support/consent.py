"""A person who is asked before something is downloaded, and who hears of its progress."""

import pytest


def yes(offer: object) -> bool:
    """Agree."""
    return True


def never_asked(offer: object) -> bool:
    """Fail: nothing may be asked."""
    pytest.fail(f"asked: {offer}")


def quiet(stage: str, done: int, total: int) -> None:
    """Listen to the progress and do nothing."""
