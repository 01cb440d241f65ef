"""What `duibi doctor` looks at outside the program: processor, disks, terminal, GPU."""

import curses
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tui.checkpoints import llama_cpp as llama
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.cli.support.printing import kernels_words
from tui.host import child_process, cpu, extras, filesystem, instruction_sets, kernel_library, paths
from tui.host.format_speeds import BATCH_ROWS, PROMPT_ROWS, FormatSpeeds
from tui.host.terminal import locale_not_utf8
from tui.models.caches import huggingface_cache, modelscope_caches
from tui.models.discover import CLONE_FOLDERS
from tui.text.sanitise import one_line
from tui.text.units import format_size

OK, NOTE, PROBLEM = "ok", "note", "problem"
_VECTORS = ("avx2", "avx512f", "asimd", "sve")
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
_INT8 = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_ORIGINS = {
    "program": "our own for {name}, which came with the program",
    "cache": "our own for {name}, compiled before",
    "": "our own for {name}, compiled at first use",
}
_CUDA_WHEELS = "https://xorbitsai.github.io/xllamacpp/whl/cu128"
_LOW_SPACE = 20 << 30
"""Bytes that a 7B model's download takes, and a little more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state, what was seen, and what to do about it."""

    name: str
    state: str
    seen: str
    next_step: str = ""


def processor() -> list[Finding]:
    """Cores by quota, and the instructions that decide how fast answers come."""
    cores, quota = cpu.cores(), cpu.quota()
    limit = "" if quota is None else f", limited to {quota:g} by the container"
    return [
        Finding("cores", OK, f"{cores} of {os.cpu_count()} usable{limit}: {cpu.model_name()}"),
        instructions(cpu.flags()),
        *hidden_instructions(),
        kernels(cpu.flags()),
    ]


def instructions(flags: frozenset[str]) -> Finding:
    """The instructions of the processor that matter."""
    known = [flag for flag in (*_VECTORS, *_BF16, *_INT8) if flag in flags]
    if flags & {"avx2", "asimd"}:
        return Finding("instructions", OK, " ".join(known))
    step = "neither AVX2 nor NEON: answers will be very slow, choose another instance"
    return Finding("instructions", NOTE, " ".join(known) or "none known", step)


def hidden_instructions() -> list[Finding]:
    """What DUIBI_HIDE_CPU_FLAGS keeps the kernels from, where it is set."""
    hidden, unknown = cpu.hidden_flags()
    if not hidden and not unknown:
        return []
    step = cpu.unknown_hidden()
    return [Finding("hidden instructions", NOTE, one_line(" ".join(hidden) or "none"), step)]


def kernels(flags: frozenset[str]) -> Finding:
    """Whose kernels compute here, and where ours come from."""
    variant = kernel_library.expected_variant(flags)
    if variant is not None:
        place, uncached = kernel_library.origin(variant)
        if uncached:
            seen = f"our own for {variant.name}, compiled at every start: {uncached}"
            step = "make that folder your own, or name another with DUIBI_CACHE_DIR"
            return Finding("kernels", NOTE, one_line(seen), step)
        return Finding("kernels", OK, _ORIGINS[place].format(name=variant.name))
    step = "our own, which are faster, need AVX2 with FMA, or NEON with dot products"
    hidden, _ = cpu.hidden_flags()
    if hidden and instruction_sets.supported(flags | frozenset(hidden)):
        step = f"our own are faster; {kernel_library.lacking_instructions()}"
    if instruction_sets.supported(flags):
        step = "our own, which are faster, need a C compiler (apt install gcc)"
    return Finding("kernels", NOTE, "torch's", step)


def llama_cpp() -> Finding:
    """Which llama.cpp computes GGUF files as published, and whether a better one could."""
    name = "llama.cpp"
    if not llama.is_installed():
        command = extras.install_step(extras.GGUF)
        step = f"GGUF files are converted first; `{command}` computes them as they are"
        return Finding(name, NOTE, "not installed", step)
    done = child_process.run(
        child_process.module_command("tui.worker.gguf.llama_build"),
        child_process.with_own_modules(child_process.environment()),
        capture_output=True,
    )
    return llama_cpp_build(done.stdout, done.returncode, cpu.flags(), extras.has_nvidia())


def llama_cpp_build(
    said: str, status: int, flags: frozenset[str], has_nvidia: bool = False
) -> Finding:
    """The build of llama.cpp that told of itself in JSON, or ended with a status."""
    name, folder = "llama.cpp", llama.named_build()
    try:
        told = json.loads(said)
        if "error" in told:
            return Finding(name, PROBLEM, one_line(str(told["error"])), str(told["next_step"]))
        version, kernels = str(told["version"]), str(told["kernels"])
        device = str(told["device"])
    except (ValueError, KeyError, TypeError):
        step = "install it again: pip install --force-reinstall xllamacpp"
        if folder is not None:
            step = f"build it for this Python and CPU, or unset {llama.VARIABLE}"
        seen = "it is installed and does not start"
        if status == -signal.SIGILL:
            seen = "it has instructions that this CPU has not: it was built for another"
        return Finding(name, PROBLEM, seen, step)
    seen = f"xllamacpp {version}: kernels for {kernels}, on {device}"
    if folder is not None:
        seen = f"xllamacpp {version} in {folder}: kernels for {kernels}, on {device}"
    if has_nvidia and device == "cpu":
        step = (
            "this build leaves the GPU idle; `pip install --force-reinstall xllamacpp --index-url "
            f"{_CUDA_WHEELS}` brings one for it"
        )
        return Finding(name, NOTE, one_line(seen), step)
    if "avx512f" in flags and device == "cpu" and not kernels.startswith("AVX512"):
        step = (
            "this CPU has AVX-512: a build compiled here is faster, above all with prompts "
            f"(`duibi help formats`), and {llama.VARIABLE} names its folder"
        )
        return Finding(name, NOTE, one_line(seen), step)
    return Finding(name, OK, one_line(seen))


_WORKS = (1, BATCH_ROWS[-1], PROMPT_ROWS)
"""Rows of one answer alone, of several together, of a prompt."""


def _best_format(speeds: FormatSpeeds, rows: int) -> str:
    return max(("bf16", *QUANTISED_DTYPES), key=lambda one: speeds.ratio(one, "bf16", rows) or 0.0)


def _fastest(alone: str, together: str, prompt: str) -> str:
    if alone == together == prompt:
        return f"@{alone} is the fastest"
    return f"fastest: @{alone} for one answer, @{together} for eight together, @{prompt} in prompts"


def formats(speeds: FormatSpeeds) -> Finding:
    """Which format is best here and by how much, as it was measured."""
    parts = [_fastest(*(_best_format(speeds, rows) for rows in _WORKS))]
    for dtype in QUANTISED_DTYPES:
        alone, together, prompt = (
            f"{speeds.ratio(dtype, 'bf16', rows) or 0.0:.1f}" for rows in _WORKS
        )
        parts.append(
            f"@{dtype} against @bf16: {alone}x alone, {together}x eight together, "
            f"{prompt}x in prompts"
        )
    parts.append(f"measured {speeds.measured} with {kernels_words(speeds.kernels)}")
    return Finding("formats", OK, "; ".join(parts))


@dataclass(frozen=True, slots=True)
class DiskInfo:
    """A folder that models or sessions may go into: bytes free, the kind of file system, and
    whether it survives a restart of the notebook (None: this is no notebook)."""

    use: str
    path: Path
    free: int
    kind: str
    writable: bool
    survives: bool | None

    def to_json(self) -> dict[str, Any]:
        """Every field as JSON."""
        return {
            "use": self.use, "path": str(self.path), "free": self.free, "kind": self.kind,
            "writable": self.writable, "survives_restart": self.survives,
        }  # fmt: skip


def disks(sessions: Path) -> list[DiskInfo]:
    """The candidate folders, each path once."""
    lasting = paths.persistent_dir()
    places = [
        ("sessions", sessions),
        ("cache", paths.cache_dir()),
        ("ModelScope cache", modelscope_caches()[0]),
        ("Hugging Face cache", huggingface_cache()),
        ("current folder", Path.cwd()),
        *(("clones", folder)
          for folder in dict.fromkeys([*CLONE_FOLDERS, lasting or CLONE_FOLDERS[0]])
          if folder.is_dir()),
    ]  # fmt: skip
    seen: dict[Path, DiskInfo] = {}
    for use, path in places:
        there = next(place for place in (path, *path.absolute().parents) if place.is_dir())
        seen.setdefault(
            path.absolute(),
            DiskInfo(
                use=use,
                path=path,
                free=filesystem.free_bytes(path),
                kind=filesystem.filesystem_type(path),
                writable=os.access(there, os.W_OK),
                survives=paths.survives_restart(path),
            ),
        )
    return list(seen.values())


def disk_findings(found: list[DiskInfo]) -> list[Finding]:
    """A line for each, and what to do about the trouble it will make."""
    return [_disk_finding(disk) for disk in found]


def _disk_finding(disk: DiskInfo) -> Finding:
    where = f"{disk.path}: {format_size(disk.free)} free on {disk.kind or 'an unknown file system'}"
    if disk.survives is not None:
        where += ", survives a restart" if disk.survives else ", gone after a restart"
    name = f"disk: {disk.use}"
    ours = disk.use in ("sessions", "cache")
    if not disk.writable:
        state = PROBLEM if ours else NOTE
        return Finding(name, state, f"{disk.path} cannot be written", "choose another folder")
    if ours and disk.free < (64 << 20):
        return Finding(name, PROBLEM, where, "free some: at least 64 MB are needed")
    if disk.survives is False and disk.use != "current folder":
        lasting = paths.persistent_mount()
        variable = {
            "sessions": "DUIBI_SESSIONS_DIR",
            "cache": "DUIBI_CACHE_DIR",
            "ModelScope cache": "MODELSCOPE_CACHE",
            "Hugging Face cache": "HF_HOME",
        }
        step = f"export {variable.get(disk.use, 'MODELSCOPE_CACHE')}={lasting}/..."
        return Finding(name, NOTE, where, f"{step}: that disk survives")  # fmt: skip
    if disk.kind in ("tmpfs", "ramfs"):
        return Finding(name, NOTE, where, "it is in memory: lost at a restart, and uses up RAM")
    if disk.use == "sessions" and filesystem.is_remote(disk.path):
        return Finding(name, NOTE, where, "a network mount: sessions are copied there at their end")
    if disk.use == "ModelScope cache" and disk.free < _LOW_SPACE:
        step = "a 7B model takes about 15 GB: `duibi models rm` frees some, or set MODELSCOPE_CACHE"
        return Finding(name, NOTE, where, step)
    return Finding(name, OK, where)


def terminal(mouse: bool) -> list[Finding]:
    """Size, colours, mouse, tmux or SSH around it, and whether it takes Chinese."""
    if name := locale_not_utf8(os.environ):
        step = "export LANG=C.UTF-8: Chinese text may not be shown"
        encoding = [Finding("encoding", PROBLEM, name, step)]
    else:
        encoding = [Finding("encoding", OK, "UTF-8")]
    if not sys.stdout.isatty():
        return [Finding("terminal", NOTE, "stdout is no terminal", "the screen needs one"),
                *encoding]  # fmt: skip
    columns, rows = shutil.get_terminal_size()
    kind = os.environ.get("TERM", "")
    colours, has_mouse = _terminfo(kind)
    tmux = bool(os.environ.get("TMUX"))
    around = "inside tmux" if tmux else "over SSH" if os.environ.get("SSH_TTY") else ""
    pointer = "no mouse" if not has_mouse else "mouse on" if mouse else "mouse off (--mouse)"
    seen = ", ".join(p for p in (f"{columns}x{rows}", kind, colours, pointer, around) if p)
    found = Finding("terminal", OK, seen)
    if kind in ("", "dumb"):
        found = Finding("terminal", PROBLEM, seen, "export TERM=xterm-256color")
    elif columns < 40 or rows < 12:
        found = Finding("terminal", NOTE, seen, "make it at least 40x12, better 100x30")
    elif tmux and "all" not in colours:
        step = (
            "for all colours: `tmux set -as terminal-features ',*:RGB'`, export COLORTERM=truecolor"
        )
        found = Finding("terminal", NOTE, seen, step)
    return [found, *encoding]


def _terminfo(kind: str) -> tuple[str, bool]:
    """Colours in words, and whether terminfo knows a mouse."""
    try:
        curses.setupterm(kind or "dumb", sys.stdout.fileno())
        count, has_mouse = curses.tigetnum("colors"), curses.tigetstr("kmous") is not None
    except (curses.error, OSError, ValueError):
        return "colours unknown", False
    if os.environ.get("NO_COLOR"):
        return "no colours (NO_COLOR)", has_mouse
    if os.environ.get("COLORTERM", "") in ("truecolor", "24bit"):
        return "all colours", has_mouse
    return f"{max(count, 0)} colours", has_mouse


def gpu() -> Finding:
    """What ``nvidia-smi`` names, and whether the installed torch can use it."""
    program = child_process.find_program("nvidia-smi")
    if program is None:
        return Finding("GPU", OK, "none: the CPU computes")
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = child_process.run(command, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return Finding("GPU", NOTE, "nvidia-smi does not answer", "look at the driver")
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not names:
        return Finding("GPU", OK, "none: the CPU computes")
    seen = "; ".join(names)
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        version = ""
    if version.endswith("+cpu"):
        step = "this torch cannot use it: install a build of torch with CUDA"
        return Finding("GPU", NOTE, f"{seen}; torch {version}", step)
    return Finding("GPU", OK, f"{seen}; torch {version}")
