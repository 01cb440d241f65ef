"""Where the user's Python package index keeps one file.

Read with pip's own settings, so that a mirror that works for pip works here. pip itself
is only asked for its settings: every way to have it tell an address downloads the whole
file first. The protocol is the "simple repository API" of packaging.python.org (PEP 503
as HTML, PEP 691 as JSON).
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

from tui.host import child_process
from tui.host.paths import expand
from tui.models.net import UnreachableError, is_reachable, read_body

if TYPE_CHECKING:
    import httpx2

PUBLIC_INDEX = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_LARGEST_PAGE = 8 << 20
_SETTING = re.compile(r"(?P<section>.*)\.(?P<name>[a-z-]+)=(?P<value>.*)")
_SECTIONS = (":env:", "install", "download", "global")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What of pip's settings matters for finding a file."""

    indexes: tuple[str, ...] = (PUBLIC_INDEX,)
    find_links: tuple[str, ...] = ()
    cert: str = ""


def read_pip_settings() -> PipSettings:
    """pip's settings, from its files and the environment; the environment alone where
    there is no pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        variables = child_process.environment(also=("PIP_CONFIG_FILE",))
        done = child_process.run(command, variables, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return parse_pip_settings("", os.environ)
    return parse_pip_settings(done.stdout if done.returncode == 0 else "", os.environ)


def parse_pip_settings(listing: str, environment: Mapping[str, str]) -> PipSettings:
    """`PipSettings` from what ``pip config list`` prints; the environment wins, then the
    commands' own sections, then the global one."""
    found: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        if match := _SETTING.fullmatch(line.strip()):
            found.setdefault(match["name"], {})[match["section"]] = _unquoted(match["value"])

    def value(name: str) -> str:
        variable = "PIP_" + name.upper().replace("-", "_")
        if variable in environment:
            return environment[variable]
        sections = found.get(name, {})
        return next((sections[s] for s in _SECTIONS if s in sections), "")

    indexes: list[str] = []
    if value("no-index").lower() not in ("1", "true", "yes", "on"):
        indexes = [value("index-url") or PUBLIC_INDEX, *value("extra-index-url").split()]
    return PipSettings(tuple(indexes), tuple(value("find-links").split()), value("cert"))


def find_file_url(
    http: "httpx2.Client", pip_settings: PipSettings, project: str, filename: str
) -> str:
    """The URL of a file of a project; local folders first, then each index in turn.

    Raises:
        Unreachable: no index has it; says what each one said.
    """
    for place in pip_settings.find_links:
        folder = expand(_local(place))
        if (folder / filename).is_file():
            return (folder / filename).resolve().as_uri()
    said = []
    for index in pip_settings.indexes:
        page = f"{index.rstrip('/')}/{quote(project)}/"
        try:
            base, links = _links(http, page)
        except UnreachableError as error:
            said.append(str(error))
            continue
        for link in links:
            if unquote(urlsplit(link).path).rpartition("/")[2] == filename:
                return _with_login(urljoin(base, link).partition("#")[0], page)
        said.append(f"{_host(index)} does not have {filename}")
    raise UnreachableError("; ".join(said) or "pip is set to use no index")


def _with_login(link: str, page: str) -> str:
    """The user name and password of an index hold for files on the same host."""
    file, index = urlsplit(link), urlsplit(page)
    if file.username or not index.username or file.hostname != index.hostname:
        return link
    login = index.netloc.rpartition("@")[0]
    return file._replace(netloc=f"{login}@{file.netloc}").geturl()


def _links(http: "httpx2.Client", page: str) -> tuple[str, list[str]]:
    """``(address the links are relative to, links)`` of an index page."""
    if urlsplit(page).scheme == "file":
        return page, _local_links(Path(_local(page)))
    if not is_reachable(page):
        raise UnreachableError(f"{_host(page)} cannot be reached")
    import httpx2

    try:
        with http.stream("GET", page, headers={"Accept": _ACCEPT}) as response:
            if response.status_code != 200:
                raise UnreachableError(f"{_host(page)} answers HTTP {response.status_code}")
            body = read_body(response, _LARGEST_PAGE)
            kind, base = response.headers.get("Content-Type", ""), str(response.url)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UnreachableError(f"{_host(page)}: {error or type(error).__name__}") from None
    text = body.decode("utf-8", "replace")
    return base, _json_links(text) if "json" in kind else _html_links(text)


def _local_links(folder: Path) -> list[str]:
    page = folder / "index.html"
    if page.is_file():
        return _html_links(page.read_text("utf-8", "replace"))
    if not folder.is_dir():
        raise UnreachableError(f"{folder} does not exist")
    return [path.resolve().as_uri() for path in folder.iterdir()]


def _json_links(text: str) -> list[str]:
    try:
        files = json.loads(text)["files"]
        return [str(file["url"]) for file in files]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreachableError("the index sends something that is not an index page") from None


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def _html_links(text: str) -> list[str]:
    parser = _Anchors()
    parser.feed(text)
    return parser.links


def _local(place: str) -> str:
    return unquote(urlsplit(place).path) if place.startswith("file:") else place


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value
