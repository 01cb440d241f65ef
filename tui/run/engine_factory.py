"""From a resolved model to the engine that runs it."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tui import services
from tui.engines.base import Engine
from tui.engines.endpoint import EndpointEngine
from tui.engines.limiter import Limiter
from tui.engines.local import LocalEngine, WorkerMemoryLimits
from tui.engines.pasted import PastedAnswers, PastedEngine, read_pasted
from tui.engines.recorded import RecordedEngine
from tui.host import foreign_files, paths
from tui.host.errors import UserError
from tui.models import default_dtype
from tui.models.resolved import LOCAL, ResolvedModel
from tui.options import RunOptions
from tui.run import plan
from tui.sessions import reader

MOST_OF_SEVERAL = 16
"""Questions at once up to which each of several addresses is tried: whoever names several has a
cluster of their own."""
_LOG_RETENTION_S = 7 * 86_400
_MAX_TEMPLATE_BYTES = 1 << 20
_TEMPLATE_WANTED = "give a file of a Jinja chat template"


class EngineFactory:
    """Makes the engines of one run; engines of one service share its limit.

    ``options`` bound what a worker may take and say which services there are, ``pasted`` holds
    the answers that a person brought, by model; with ``interactive`` a person is there to paste
    what is missing. ``batch`` bounds what a worker decodes together.
    """

    def __init__(
        self,
        options: RunOptions,
        pasted: Mapping[str, PastedAnswers] | None = None,
        interactive: bool = False,
        batch: plan.BatchLimits = plan.UNBATCHED,
    ) -> None:
        self._options, self._batch = options, batch
        self._pasted, self._interactive = pasted or {}, interactive
        self._limiters: dict[str, Limiter] = {}
        self._sessions: dict[Path, reader.RecordedSession] = {}

    def make(self, model: ResolvedModel, threads: int) -> Engine:
        """The engine of a model; one that computes here uses ``threads`` cores.

        Raises:
            UserError: its session or its chat template cannot be read.
        """
        return _MAKERS[model.engine](self, model, threads)

    def make_local(self, model: ResolvedModel, threads: int) -> Engine:
        """A worker process of its own."""
        bounds = [tokens for tokens in (model.context, self._options.context) if tokens]
        tokens = plan.planned_tokens(self._options)
        return LocalEngine(
            model.checkpoint,
            model.dtype,
            threads,
            _worker_log(),
            min(bounds, default=None),
            remote_code=model.remote_code,
            memory_limits=WorkerMemoryLimits(*plan.worker_memory_limits(model, self._options)),
            batch=self._batch.size,
            max_cached_tokens=tokens + self._batch.other_tokens(tokens),
            lookup=self._options.lookup,
            loop_stop=self._options.loop_stop,
            chat_template=self._chat_template(),
            remark=default_dtype.choice_remark(model.dtype, model.stored)
            if model.has_default_dtype
            else "",
            adapter=model.adapter,
        )

    def _chat_template(self) -> str:
        path = self._options.chat_template
        if path is None:
            return ""
        text = foreign_files.read_text(path, _MAX_TEMPLATE_BYTES, _TEMPLATE_WANTED)
        # To a worker no text means the checkpoint's own.
        if not text.strip():
            raise UserError(f"{path}: is empty", _TEMPLATE_WANTED)
        return text

    def make_endpoint(self, model: ResolvedModel, threads: int) -> Engine:
        """A connection to a service."""
        known = services.known_services(self._options.services)[model.service]
        base, *others = model.base_url.split(",")
        service = replace(known, base_url=base, other_base_urls=tuple(others))
        if not known.base_url:
            service = replace(service, title=service.host)
        most = self._options.concurrency or max(
            service.concurrency, MOST_OF_SEVERAL if others else 0
        )
        limiter = self._limiters.setdefault(
            model.base_url, Limiter(service.concurrency, most, service.base_urls)
        )
        return EndpointEngine(service, model.model, limiter, loop_stop=self._options.loop_stop)

    def make_recorded(self, model: ResolvedModel, threads: int) -> Engine:
        """A model of an earlier session, at its pace of then."""
        path = model.checkpoint
        if path not in self._sessions:
            self._sessions[path] = reader.read(path)
        events = self._sessions[path].events
        head = self._sessions[path].header.models
        labels = [str(one.get("label") or one.get("name", "")) for one in head]
        return RecordedEngine(events, labels.index(model.model))

    def make_pasted(self, model: ResolvedModel, threads: int) -> Engine:
        """A person."""
        return PastedEngine(self._pasted.get(model.model, {}), interactive=self._interactive)


_MAKERS: dict[str, Callable[[EngineFactory, ResolvedModel, int], Engine]] = {
    LOCAL: EngineFactory.make_local,
    "endpoint": EngineFactory.make_endpoint,
    "recorded": EngineFactory.make_recorded,
    "pasted": EngineFactory.make_pasted,
}


def engine_factory(
    models: Sequence[ResolvedModel],
    questions: Sequence[str],
    options: RunOptions,
    interactive: bool,
    batch: plan.BatchLimits = plan.UNBATCHED,
) -> EngineFactory:
    """The factory of a run of these models and question ids.

    Raises:
        UserError: the file of pasted answers cannot be used.
    """
    names = list(dict.fromkeys(model.model for model in models if model.engine == "pasted"))
    pasted: Mapping[str, PastedAnswers] = {}
    if options.pasted is not None and names:
        pasted = read_pasted(options.pasted, names, questions)
    return EngineFactory(options, pasted, interactive, batch)


def _worker_log() -> Path:
    """A log of its own for a worker: its last line tells of what it died. Old ones go."""
    folder = paths.log_file().parent
    for old in folder.glob("worker-*.log"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _LOG_RETENTION_S:
                old.unlink()
    return folder / f"worker-{time.time_ns():x}.log"
