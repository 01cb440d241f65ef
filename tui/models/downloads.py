"""Downloads in the background: begun, asked about, watched and stopped by whoever shows them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui.host.errors import EXIT_INTERRUPTED, UserError
from tui.models.download_offer import AskConsent, DownloadOffer, FileCounts, FileProgress
from tui.models.net import StageProgress
from tui.models.reference import parse_reference
from tui.models.resolve import FETCHABLE_KINDS, fetch
from tui.models.transfer_rate import TransferRate

DownloadWork = Callable[[AskConsent, StageProgress, FileProgress, threading.Event], Path]
"""What a download does: asks, tells and ends as `tui.models.resolve.fetch`."""

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class DownloadStatus:
    """A download as it is now.

    ``state`` is ``asking`` (the hub), ``question`` (``offer`` waits for a yes or no),
    ``waiting`` (for the download before it), ``working``, ``done`` (``path``), ``stopped``
    or ``failed`` (``error``). ``stage`` names what is worked at, ``done`` and ``total``
    count its bytes, ``speed`` is bytes a second, ``seconds_left`` seconds (None: not known).
    """

    reference: str
    state: str = "asking"
    stage: str = ""
    done: int = 0
    total: int = 0
    speed: float = 0.0
    seconds_left: float | None = None
    files: FileCounts = field(default_factory=dict)
    offer: DownloadOffer | None = None
    error: UserError | None = None
    path: Path | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.state in ("done", "stopped", "failed")


class Download:
    """One download in a thread of its own; `status` may be asked from any thread."""

    def __init__(self, reference: str, work: DownloadWork, slot: threading.Lock) -> None:
        self._status = DownloadStatus(reference)
        self._work, self._slot = work, slot
        self._stop, self._answered = threading.Event(), threading.Event()
        self._is_accepted = self._has_slot = False
        self._rate = TransferRate()
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def status(self) -> DownloadStatus:
        """How it stands."""
        return self._status

    def answer(self, yes: bool) -> None:
        """The answer to the question in `DownloadStatus.offer`."""
        self._is_accepted = yes
        self._answered.set()

    def stop(self) -> None:
        """End it; what came stays, and another download of the same goes on there."""
        self._stop.set()
        self._answered.set()

    def join(self, seconds: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            path = self._work(self._consent, self._progress, self._file_progress, self._stop)
        except UserError as error:
            over = self._stop.is_set() or error.exit_code == EXIT_INTERRUPTED
            self._set(state="stopped" if over else "failed", error=error)
        except Exception as error:  # this thread has no caller that could handle it
            self._set(state="failed", error=UserError(f"{type(error).__name__}: {error}"))
        else:
            self._set(state="done", path=path)
        finally:
            if self._has_slot:
                self._slot.release()

    def _set(self, **changes: object) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type]

    def _consent(self, offer: DownloadOffer) -> bool:
        self._set(state="question", offer=offer)
        self._answered.wait()
        if self._stop.is_set() or not self._is_accepted:
            self._stop.set()
            return False
        self._set(state="waiting")
        # Downloads run one at a time: they share the bandwidth, and each checks the free
        # disk alone.
        while not (self._has_slot or self._stop.is_set()):
            self._has_slot = self._slot.acquire(timeout=_POLL_S)
        self._set(state="working", stage="asking")
        return not self._stop.is_set()

    def _progress(self, stage: str, done: int, total: int) -> None:
        if stage != self._status.stage:
            self._rate = TransferRate()
        speed, left = self._rate.update(done, total)
        self._set(stage=stage, done=done, total=total, speed=speed, seconds_left=left)

    def _file_progress(self, files: FileCounts) -> None:
        self._set(files=files)


class Downloads:
    """All downloads of one sitting, in the order they were begun."""

    def __init__(self) -> None:
        self._slot = threading.Lock()
        self._all: list[Download] = []

    def begin(self, reference: str) -> Download:
        """Begin a download of ``demo`` or a hub's model, or give the one under way.

        Raises:
            UserError: the reference is none of these.
        """
        ref = parse_reference(reference)
        if ref.kind not in FETCHABLE_KINDS:
            raise UserError(
                f"{reference} is nothing that can be fetched",
                "give demo, ms:OWNER/NAME or hf:OWNER/NAME",
            )
        for known in self.running:
            if known.status.reference == reference:
                return known
        download = Download(reference, lambda *how: fetch(ref, *how), self._slot)
        self._all = [one for one in self._all if one.status.reference != reference]
        self._all.append(download)
        download.start()
        return download

    @property
    def all(self) -> list[Download]:
        """Those under way and those that ended; of one model only the last."""
        return list(self._all)

    @property
    def running(self) -> list[Download]:
        """Those that have not ended."""
        return [one for one in self._all if not one.status.is_over]

    def stop(self) -> None:
        """End all of them."""
        for one in self._all:
            one.stop()
