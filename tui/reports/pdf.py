"""A report as PDF: its HTML, printed by an installed Chromium or one of its kin."""

import os
import subprocess
import tempfile
from pathlib import Path

from tui.host import child_process
from tui.host.errors import UserError

_BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "brave-browser"),
)
_ON_MACOS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_TIMEOUT_S = 300
_NEXT_STEP = "install chromium, or take docx, or html and print it in a browser"


def print_page(page: str) -> bytes:
    """The PDF of an HTML page. The browser has a profile of its own and no network.

    Raises:
        UserError: there is no browser, or it prints nothing.
    """
    browser = find_browser()
    if browser is None:
        raise UserError("no PDF without Chromium, which is not installed", _NEXT_STEP)
    with tempfile.TemporaryDirectory(prefix="duibi-") as name:
        folder = Path(name)
        source, made = folder / "report.html", folder / "report.pdf"
        source.write_text(page, "utf-8")
        command = [
            *(browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions"),
            *("--disable-background-networking", "--disable-sync", "--disable-component-update"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"),
            *("--no-pdf-header-footer", f"--print-to-pdf={made}"),
            # Its sandbox refuses to run for root, as in most containers.
            *(("--no-sandbox",) if os.geteuid() == 0 else ()),
            source.as_uri(),
        ]
        try:
            done = child_process.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = getattr(error, "strerror", None) or f"nothing within {_TIMEOUT_S} s"
            raise UserError(f"{browser} printed no PDF: {reason}", _NEXT_STEP) from None
        data = made.read_bytes() if made.is_file() else b""
    if not data.startswith(b"%PDF"):
        raise UserError(f"{browser} printed no PDF: exit code {done.returncode}", _NEXT_STEP)
    return data


def find_browser() -> str | None:
    """The program of a browser that prints."""
    found = next(filter(None, map(child_process.find_program, _BROWSERS)), None)
    return found or next((path for path in _ON_MACOS if Path(path).is_file()), None)
