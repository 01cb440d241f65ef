"""``duibi doctor``: what this machine can run, and what is wrong with it."""

import locale
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

import tui
from tui.app.safe_text import one_line
from tui.cli import probing
from tui.cli.printing import json_text, table
from tui.engines.listing import Probe
from tui.host import cpu, filesystem, memory, paths
from tui.host.errors import UserError
from tui.host.figures import size
from tui.models import demo
from tui.models.memory import BASE, BYTES_PER_WEIGHT, RESERVE
from tui.run.setup import PACKAGES, package_versions
from tui.settings import Settings, load

app = typer.Typer(add_completion=False)

OK, NOTE, PROBLEM = "ok", "note", "problem"
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "bf16")
_PERSISTENT = Path("/mnt/workspace")
"""The folder of a ModelScope notebook that survives its restart."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state, what was seen, and what to do about it."""

    name: str
    state: str
    seen: str
    next_step: str = ""


@app.command(help="Look at the machine: memory, cores, disks, terminal, versions, models.")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> int:
    findings = [*_software(), *_processor(), *_memory(), *_folders(), *_terminal(), _demo()]
    findings += _services()
    worst = any(found.state == PROBLEM for found in findings)
    if as_json:
        seen = memory.reading()
        machine = {
            "memory": {"limit": seen.limit, "used": seen.used, "source": seen.source},
            "cpu": cpu.describe(),
        }
        checks = [asdict(found) for found in findings]
        print(json_text({"ok": not worst, **machine, "checks": checks}))
    else:
        print(table([(found.state, found.name, found.seen) for found in findings]))
        for found in findings:
            if found.next_step:
                print(one_line(f"{found.state}: {found.name} -> {found.next_step}"))
    return 2 if worst else 0


def _software() -> list[Finding]:
    versions = package_versions()
    missing = [name for name in PACKAGES if name not in versions]
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    packages = Finding("packages", OK, shown)
    if missing:
        step = "install duibi again into this environment: pip install ."
        packages = Finding("packages", PROBLEM, f"missing: {', '.join(missing)}", step)
    settings = Finding("settings", OK, "read")
    try:
        load()
    except UserError as error:
        settings = Finding("settings", PROBLEM, error.message, error.next_step)
    python = f"duibi {tui.__version__}, Python {platform.python_version()}"
    return [Finding("program", OK, python), packages, settings]


def _processor() -> list[Finding]:
    cores, quota = cpu.cores(), cpu.quota()
    limit = "" if quota is None else f", limited to {quota:g} by the container"
    found = [Finding("cores", OK, f"{cores} of {os.cpu_count()} usable{limit}: {cpu.name()}")]
    flags = [flag for flag in _FLAGS if flag in cpu.flags()]
    if "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags:
        return [*found, Finding("instructions", OK, " ".join(flags))]
    seen = " ".join(flags) or "none known"
    return [*found, Finding("instructions", NOTE, seen, "bf16 is emulated: answers are slower")]


def _memory() -> list[Finding]:
    try:
        seen = memory.reading()
    except UserError as error:
        return [Finding("memory", PROBLEM, error.message, error.next_step)]
    # The other way round: the parameters whose prediction is what is free.
    weights = max(0.0, seen.free / (1 + RESERVE) - BASE) / BYTES_PER_WEIGHT["bf16"]
    text = f"{size(seen.used)} of {size(seen.limit)} used (limit: {seen.source})"
    found = Finding("memory", OK, f"{text}; room for about {weights / 1e9:.1f}e9 weights in bf16")
    if weights < demo.PARAMETERS:
        found = Finding("memory", PROBLEM, text, "stop other programs: not even the demo fits")
    waiting = memory.pressure()
    if waiting is None or waiting < 1:
        return [found]
    step = "the machine is short of memory: figures will be too slow"
    return [found, Finding("memory pressure", NOTE, f"{waiting:g} % of the last 10 s", step)]


def _folders() -> list[Finding]:
    found = []
    for name, folder, needed in (
        ("models and cache", paths.cache_dir, 1 << 30),
        ("sessions", lambda: load().sessions_dir, 64 << 20),
    ):
        try:
            found.append(_folder(name, folder(), needed))
        except UserError as error:
            found.append(Finding(name, PROBLEM, error.message, error.next_step))
    if _PERSISTENT.is_dir() and not paths.sessions_dir().is_relative_to(_PERSISTENT):
        step = f"export DUIBI_SESSIONS_DIR={_PERSISTENT}/duibi (and DUIBI_CACHE_DIR)"
        seen = f"{_PERSISTENT} survives a restart of the notebook, the sessions' folder may not"
        found.append(Finding("persistence", NOTE, seen, step))
    return found


def _folder(name: str, folder: Path, needed: int) -> Finding:
    kind, free = filesystem.kind(folder), shutil.disk_usage(folder).free
    seen = f"{folder}: {size(free)} free on {kind or 'an unknown file system'}"
    if not os.access(folder, os.W_OK):
        return Finding(name, PROBLEM, f"{folder} cannot be written", "choose another folder")
    if free < needed:
        return Finding(name, PROBLEM, seen, f"free some: at least {size(needed)} are needed")
    if kind in ("tmpfs", "ramfs"):
        return Finding(name, NOTE, seen, "it is in memory: lost at a restart, and uses up RAM")
    if filesystem.is_remote(folder):
        return Finding(name, NOTE, seen, "a network mount: sessions are copied there at their end")
    return Finding(name, OK, seen)


def _terminal() -> list[Finding]:
    encoding = locale.getpreferredencoding(False)
    if not sys.stdout.isatty():
        found = [Finding("terminal", NOTE, "stdout is no terminal", "the screen needs one")]
    else:
        columns, rows = shutil.get_terminal_size()
        kind = os.environ.get("TERM", "")
        colours = os.environ.get("COLORTERM") or "256 or fewer colours"
        around = "tmux" if os.environ.get("TMUX") else "ssh" if os.environ.get("SSH_TTY") else ""
        seen = " ".join(part for part in (f"{columns}x{rows}", kind, colours, around) if part)
        found = [Finding("terminal", OK, seen)]
        if kind in ("", "dumb"):
            found = [Finding("terminal", PROBLEM, seen, "export TERM=xterm-256color")]
        elif columns < 40 or rows < 12:
            found = [Finding("terminal", NOTE, seen, "make it at least 40x12, better 100x30")]
    if encoding.lower().replace("-", "") != "utf8":
        step = "export LANG=C.UTF-8: Chinese text cannot be shown"
        found.append(Finding("encoding", PROBLEM, encoding, step))
    return found


def _services() -> list[Finding]:
    """Each service that can be asked: reachable, with a key, its models known, how fast."""
    try:
        settings = load()
    except UserError:
        return []  # told above
    return [
        _service(found, settings)
        for found in probing.probes(settings)
        if found.reachable or probing.is_expected(found, settings)
    ]


def _service(found: Probe, settings: Settings) -> Finding:
    service, name = found.service, f"service {found.service.name}"
    key = "no key needed" if not service.key_variable else f"{service.key_variable} is not set"
    key = f"{service.key_variable} is set" if found.key_present else key
    seen = f"{service.host} cannot be reached, {key}"
    if found.reachable:
        seen = f"{service.host} answers in {found.round_trip_ms or 0:.0f} ms, {key}"
    if found.fault is not None:
        step = f"{found.fault.message}: {found.fault.next_step}"
        return Finding(name, NOTE, seen, step)
    seen += f", {len(found.models)} models"
    if missing := probing.missing_models(found, settings):
        step = f"`duibi models list --services` shows what it offers; not {', '.join(missing)}"
        return Finding(name, NOTE, seen, step)
    return Finding(name, OK, seen)


def _demo() -> Finding:
    if demo.present():
        return Finding("demo model", OK, str(demo.path()))
    return Finding("demo model", NOTE, "not fetched yet", "`duibi run demo` fetches it (93 MB)")


command = typer.main.get_command(app)
