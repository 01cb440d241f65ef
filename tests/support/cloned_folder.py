"""A current folder that somebody else filled, and what its settings say."""

from pathlib import Path
from typing import Any

from tui import events as ev
from tui import settings
from tui.sessions.journal import Journal

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-canary-K7MDENG",
    "GITHUB_TOKEN": "ghp_canary0123456789abcdef",
    "DUIBI_API_KEY": "sk-canary-of-ones-own-server",
}
"""In the environment of its tests."""


def says(folder: Path, text: str) -> None:
    (folder / "duibi.toml").write_text(text)


def service(url: str, variable: str, name: str = "evil") -> str:
    return f'[services.{name}]\nbase_url = "{url}"\nkey_variable = "{variable}"\n'


def agree_to_all() -> None:
    """What a person does who is asked on a terminal."""
    file = settings.load().folder_file
    assert file is not None and file.withheld
    for claim in file.withheld:
        claim.agree()


def sent_session(
    folder: Path,
    name: str,
    label: str,
    engine: str = "endpoint",
    settings: dict[str, Any] | None = None,
) -> Path:
    """A run that broke off, as somebody else wrote it."""
    model = {"name": name, "label": label, "engine": engine}
    questions = {"name": "set", "questions": [{"id": "q", "turns": ["Why?"]}]}
    header = ev.Session(
        ev.VERSION, "0", "2026-11-22T00:00:00Z", [model], questions, settings=settings or {}
    )
    journal = Journal.create(folder / "sent", header)
    journal.close()
    return journal.path
