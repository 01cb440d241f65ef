"""llama.cpp within this process: one file of weights, its slots, its vocabulary.

Its server listens on an address, always; here that is a socket in a folder that only this user
can enter, and its name is taken away at once.
"""

import contextlib
import http.client
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_parts import all_parts
from tui.checkpoints.llama_cpp import BATCH_TOKENS, PASS_TOKENS
from tui.host import system
from tui.host.errors import first_line
from tui.worker.gguf import llama_build
from tui.worker.gguf.gpu_layers import Gpu, Placement, layers_line, read_placement

_SOCKET = "llama.sock"
_ERRORS_ONLY = 1
"""How much llama.cpp prints: why it cannot load a file, it says nowhere else."""
_LAYERS_TOO = 4
"""Where it put the layers, too: that it says nowhere else either."""
_REASON = re.compile(r" E (?:\w+ +)?\w+: (?:error loading model(?: \w+)?: )*(?P<reason>.+)")
_NO_MEMORY = re.compile(r"\b(?:re)?alloc|out of memory", re.IGNORECASE)
_TIMEOUT_S = 60.0
_SLOTS_FOR_ONE = 2
"""Of a model that answers one question at a time: one more may be left still computing."""
_STDERR, _MOST_PRINTED = 2, 1 << 18
_PRINTED_WITHIN_S = 2.0
"""A thread of llama.cpp prints, perhaps after the error has come."""


class LlamaServer:
    """A model that llama.cpp loaded. ``pool`` tokens of prompts and answers are held by at most
    ``slots`` answers, layers by the ``gpu`` where there is one. ``for_words``: only its vocabulary
    is of use, and nothing is prepared."""

    def __init__(
        self,
        path: Path,
        pool: int,
        slots: int,
        threads: int,
        *,
        gpu: Gpu | None = None,
        for_words: bool = False,
    ) -> None:
        """Load the file, of a split model the first.

        Raises:
            CheckpointError: llama.cpp cannot compute with it.
        """
        self._path, self.pool, self.slots, self.threads = path, pool, slots, threads
        self._gpu, self._for_words = gpu, for_words
        self.placement = Placement()
        """Which of its layers a GPU holds."""
        self._server: Any = None
        self._client: _Client | None = None
        self._files = _state_of(path)
        self._load()

    def adapt(self, threads: int, pool: int) -> None:
        """Compute with so many threads, and have room for at least ``pool`` tokens: where that is
        another number, the model is loaded anew, which maps the same pages. Nothing may be
        computed meanwhile.

        Raises:
            CheckpointError: there is no memory for it, or the files are others by now.
        """
        if threads == self.threads and pool <= self.pool:
            return
        if _state_of(self._path) != self._files:
            what = f"{self._path.name} was changed after it was loaded"
            raise CheckpointError("damaged", what, "load the model again")
        before = self.threads, self.pool
        self.threads, self.pool = threads, max(pool, self.pool)
        try:
            self._load()
        except CheckpointError:
            self.threads, self.pool = before
            self._load()
            raise

    def _load(self) -> None:
        if self._gpu is not None:
            try:
                self._load_to(self._gpu)
                return
            except CheckpointError as error:
                refused = error.message
        self._load_to(None)
        if self._gpu is not None:
            self.placement = Placement(refused=refused)

    def _load_to(self, gpu: Gpu | None) -> None:
        """Load what fits onto a GPU, or all to the CPU."""
        xllamacpp = llama_build.module()
        # The memory of the one before is given back first.
        self._server = None
        if self._client is not None:
            self._client.free()
        folder = tempfile.TemporaryDirectory(prefix="duibi-")
        try:
            given = self._parameters(xllamacpp.CommonParams(), Path(folder.name, _SOCKET), gpu)
        except AttributeError as error:
            raise llama_build.failure(error) from None
        begin = _printed()
        try:
            self._server = xllamacpp.Server(given)
        except RuntimeError as error:
            why = _printed_after(begin, _reason) or first_line(error)
            raise _failure(self._path, why) from None
        self._client = _Client(folder)
        self._client.wait_for_loop()
        self.placement = Placement()
        if gpu is not None:
            self.placement = read_placement(gpu, _printed_after(begin, layers_line))

    def _parameters(self, given: Any, address: Path, gpu: Gpu | None) -> Any:
        """``given``, filled."""
        given.model.path = str(self._path)
        given.hostnames = [str(address)]
        given.n_ctx, given.n_parallel, given.kv_unified = self.pool, self.slots, True
        given.n_batch, given.n_ubatch = PASS_TOKENS[self.slots > _SLOTS_FOR_ONE], BATCH_TOKENS
        given.cpuparams.n_threads = given.cpuparams_batch.n_threads = self.threads
        given.warmup = given.ui = given.endpoint_slots = False
        # Conversations are written by our templates. The file's own would be tried out for its
        # server's, without a limit, and a file whose template it cannot read be refused.
        given.chat_template = "chatml"
        # Of a GPU's memory it may take what is left: what does not fit stays with the CPU.
        given.fit_params = gpu is not None
        if gpu is None:
            given.n_gpu_layers, given.no_kv_offload, given.no_op_offload = 0, True, True
        # What does not fit into the slots is computed again, and not kept beside them.
        given.cache_ram_mib, given.cache_idle_slots = 0, False
        given.no_extra_bufts = self._for_words
        given.verbosity = _ERRORS_ONLY if gpu is None else _LAYERS_TOO
        return given

    def complete(self, order: dict[str, Any], take: Callable[[Any], bool]) -> None:
        """Answer an order of llama.cpp's server; ``take`` gets each piece and ends it with True."""
        self._server.handle_completions(order, take)

    def tokenise(self, text: str, *, special: bool, whole: bool = False) -> list[int]:
        """Ids of a text: with ``special`` control tokens are read as such, with ``whole`` what
        texts begin and end with stands around it."""
        order = {"content": text, "add_special": whole, "parse_special": special}
        return [int(id_) for id_ in self._post("/tokenize", order)["tokens"]]

    def detokenise(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return str(self._post("/detokenize", {"tokens": list(ids)})["content"])

    def _post(self, path: str, order: dict[str, Any]) -> Any:
        assert self._client is not None
        return self._client.post(path, order)


def _state_of(path: Path) -> tuple[tuple[int, ...], ...]:
    """What tells whether the files of a model are still the same; empty where one is gone."""
    try:
        found = [part.stat() for part in all_parts(path) if part.exists()]
    except OSError:
        return ()
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def failure_reason(told: Any) -> str:
    """Why llama.cpp refuses an order, of what it told."""
    error = told.get("error") if isinstance(told, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return f"llama.cpp: {text or 'ended without a reason'}"


def _printed() -> int:
    """The end of what standard error holds, where that is a file that can be read: the log."""
    with contextlib.suppress(OSError):
        return os.lseek(_STDERR, 0, os.SEEK_END)
    return 0


def _printed_after(begin: int, find: Callable[[str], str]) -> str:
    """What ``find`` makes of what llama.cpp printed behind ``begin``; empty where it finds
    nothing in time."""
    end = time.monotonic() + _PRINTED_WITHIN_S
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            told = os.pread(_STDERR, _MOST_PRINTED, begin).decode("utf-8", "replace")
            if found := find(told):
                return found
            time.sleep(0.02)
    return ""


def _reason(printed: str) -> str:
    """The first error."""
    found = _REASON.search(printed)
    return found["reason"].strip()[:200] if found else ""


def _failure(path: Path, reason: str) -> CheckpointError:
    if _NO_MEMORY.search(reason):
        step = "close other programs, or take a smaller dtype or model"
        return CheckpointError("out_of_memory", f"not enough memory: {reason}", step)
    step = f"take another file, or convert it: {path.name}@int8"
    return CheckpointError("unsupported", f"llama.cpp cannot load {path.name}: {reason}", step)


class _Client(http.client.HTTPConnection):
    """Asks the server behind a socket in ``folder``, whose name in the file system is taken away:
    Linux still leads to it from what this process has open. Elsewhere it stays until `free`."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._folder, place = folder, Path(folder.name, _SOCKET)
        self._node = system.open_node(place)
        self._address = str(place)
        if self._node >= 0:
            self._address = str(system.path_of_open(self._node))
            folder.cleanup()

    def connect(self) -> None:
        """See the base class."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._address)

    def wait_for_loop(self) -> None:
        """Wait until the loop of llama.cpp's server has begun: one that is ended before would
        never end. It answers this question itself, and no other that costs as little."""
        self.request("GET", "/lora-adapters")
        self.getresponse().read()

    def post(self, path: str, order: dict[str, Any]) -> Any:
        """The JSON value that the server answers with.

        Raises:
            RuntimeError: it refuses.
        """
        try:
            answer = self._ask(path, order)
        except (http.client.HTTPException, ConnectionError):
            # It ends a connection that was silent for some seconds.
            self.close()
            answer = self._ask(path, order)
        told = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise RuntimeError(failure_reason(told))
        return told

    def _ask(self, path: str, order: dict[str, Any]) -> http.client.HTTPResponse:
        self.request("POST", path, json.dumps(order).encode(), {"Content-Type": "application/json"})
        return self.getresponse()

    def free(self) -> None:
        """Close all of it."""
        self.close()
        if self._node >= 0:
            os.close(self._node)
        self._folder.cleanup()
