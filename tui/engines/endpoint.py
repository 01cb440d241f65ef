"""A model behind an OpenAI-compatible HTTP service."""

import asyncio
import concurrent.futures
import math
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tui.engines import model_list
from tui.engines.base import EngineDefaults, Request
from tui.engines.client import exposes_key, key_of, open_client
from tui.engines.completion import request_body
from tui.engines.errors import GONE_CAUSES, LEFT_CAUSES, ServiceError, error_from_exception
from tui.engines.http_attempt import Emit, HttpAttempt
from tui.engines.limiter import Limiter, Place
from tui.engines.refusals import refused_field, without_fields
from tui.engines.secret import Secret
from tui.events import Answered, Body, Cancelled, Failed, Load, Loaded, Note, Started, TimedBody
from tui.services import Service

if TYPE_CHECKING:
    import httpx2

MAX_RETRIES = 2
MAX_MOVES = 8
"""So often an answer goes on to another address, which is no repetition at the same one."""
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
_T = TypeVar("_T")


class EndpointEngine(EngineDefaults):
    """A model that a service computes; nothing of it is held here. ``concurrency`` is how
    many answers are worth asking for at once.

    ``limiter`` is shared by the engines of one service; ``first_backoff_s`` (None:
    `FIRST_BACKOFF_S`) is the pause before the first repetition where the service names none, and
    four times that before the second; ``loop_stop`` ends an answer that only repeats itself.
    The key is read at each `load`, from ``environ`` (None: the program's own environment).
    """

    uses_local_cores = False

    def __init__(
        self,
        service: Service,
        model: str,
        limiter: Limiter | None = None,
        environ: Mapping[str, str] | None = None,
        first_backoff_s: float | None = None,
        loop_stop: bool = False,
    ) -> None:
        self.service, self.model = service, model
        self._limiter = limiter or Limiter(service.concurrency, urls=service.base_urls)
        self.concurrency = self._limiter.most
        self.can_ask_elsewhere = len(service.base_urls) > 1
        self._environ = environ
        self._loop_stop = loop_stop
        self._refused: list[str] = []
        """Fields that the server answers without."""
        self._first_backoff_s = FIRST_BACKOFF_S if first_backoff_s is None else first_backoff_s
        self._key = Secret()
        self._clients: dict[str, httpx2.AsyncClient] = {}
        """By address."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[int, asyncio.Task[Body]] = {}
        self._check_task: asyncio.Task[Any] | None = None
        self._lock = threading.Lock()

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        """Check key, address and model by asking for the service's list of models, which also
        opens the connection, so that no answer's TTFT pays for it.

        Raises:
            EngineError: with a cause of `tui.engines.errors.CAUSES`.
        """
        self.close()
        started = time.monotonic_ns()
        progress(started, Load("connect"))
        try:
            self._key = key_of(self.service, self._environ)
            notes = self._check_in_loop(progress)
        except ServiceError as fault:
            self.close()
            raise fault.to_engine_error() from None
        if exposes_key(self.service, self._key):
            notes.insert(0, f"the key goes to {self.service.host} unencrypted: use https")
        return Loaded(
            load_s=(time.monotonic_ns() - started) / 1e9,
            family=self.service.name,
            device=", ".join(self.service.at(url).host for url in self.service.base_urls),
            prompt_format="the service's own",
            notes=notes,
        )

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        """Ask all of them, as many at once as the service's limit allows. May be called by
        several threads at once; the limit holds for all of them together."""
        arrived: queue.SimpleQueue[TimedBody] = queue.SimpleQueue()
        with self._lock:  # so that `close` comes either before all of them or after
            for request in requests:
                self._ensure_loop().call_soon_threadsafe(self._start_task, request, arrived)
        open_ = {request.answer for request in requests}
        try:
            while open_:
                item = arrived.get()
                if isinstance(item[1], Answered | Failed | Cancelled):
                    open_.discard(item[1].answer)
                yield item
        finally:
            if open_:
                self.cancel(list(open_))

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """Close the connections of these answers (all by default) now."""
        with self._lock:
            loop = self._loop
            if loop is not None:
                loop.call_soon_threadsafe(self._cancel, answers)

    def close(self) -> None:
        """Cancel what is open, close the connections and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._shut_down(), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    # -- the thread of the connections ------------------------------------------------

    def _ensure_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of this engine, in a thread of its own. To be asked under the lock."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            name = f"endpoint-{self.service.name}"
            threading.Thread(target=_run_loop, args=(self._loop,), name=name, daemon=True).start()
        return self._loop

    def _check_in_loop(self, progress: Callable[[int, Body], None]) -> list[str]:
        """`_check_service` in the engine's own thread; `close` ends it.

        Raises:
            Fault: the service cannot be asked.
        """

        async def look() -> list[str]:
            self._check_task = asyncio.current_task()
            return await self._check_service(progress)

        with self._lock:
            looking = asyncio.run_coroutine_threadsafe(look(), self._ensure_loop())
        try:
            return looking.result()
        except concurrent.futures.CancelledError:
            raise ServiceError("cancelled", "closed before it was ready") from None

    def _start_task(self, request: Request, arrived: queue.SimpleQueue[TimedBody]) -> None:
        def emit(at: int, body: Body) -> None:
            arrived.put((at, body))

        def ended(task: asyncio.Task[Body]) -> None:
            # The one place where an answer ends, whatever ended it.
            self._tasks.pop(request.answer, None)
            emit(time.monotonic_ns(), _final_event(task, request.answer, self.service.host))

        task = asyncio.ensure_future(self._answer(request, emit))
        self._tasks[request.answer] = task
        task.add_done_callback(ended)

    def _cancel(self, answers: Sequence[int] | None) -> None:
        for answer in list(self._tasks) if answers is None else answers:
            if task := self._tasks.get(answer):
                task.cancel()

    async def _shut_down(self) -> None:
        self._cancel(None)
        open_: list[asyncio.Task[Any]] = list(self._tasks.values())
        if self._check_task is not None and not self._check_task.done():
            self._check_task.cancel()
            open_.append(self._check_task)
        if open_:
            await asyncio.wait(open_)
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()
        await asyncio.get_running_loop().shutdown_asyncgens()

    # -- one answer ---------------------------------------------------------------------

    async def _check_service(self, progress: Callable[[int, Body], None]) -> list[str]:
        """Open the clients and see what each address offers; the remarks of it."""
        if not self.can_ask_elsewhere:
            try:
                return await self._with_retries(self._check_place, lambda: False, progress, -1)
            except ServiceError as fault:
                if fault.cause not in model_list.INCONCLUSIVE_CAUSES:
                    raise
                return [f"not checked before the first question: {fault.message}"]
        found: list[str] = []
        faults: list[ServiceError] = []
        places = self._limiter.places
        checked = await asyncio.gather(*map(self._check_place, places), return_exceptions=True)
        for place, told in zip(places, checked, strict=True):
            if isinstance(told, ServiceError) and told.cause in GONE_CAUSES:
                self._limiter.leave(place)
                faults.append(told)
            elif isinstance(told, ServiceError) and told.cause in model_list.INCONCLUSIVE_CAUSES:
                found.append(f"not checked before the first question: {told.message}")
            elif isinstance(told, BaseException):
                raise told
            else:
                found += told
        if len(faults) == len(places):
            raise faults[0]
        return [*(f"left out for now: {fault.message}" for fault in faults), *found]

    async def _check_place(self, place: Place) -> list[str]:
        """The remarks of what one address offers.

        Raises:
            ServiceError: it cannot be asked.
        """
        service = self._service_at(place)
        try:
            found = await model_list.list_models(self._client(service), service, self._key)
        except ServiceError as fault:
            if not service.has_model_list and fault.cause in model_list.REACHED_CAUSES:
                return []
            raise
        if found and not model_list.is_listed(self.model, found):
            return [f"{self.model} is not in the list of models that {service.host} offers"]
        return []

    async def _answer(self, request: Request, emit: Emit) -> Body:
        body, left_out = request_body(request, self.model, self.service)
        made: list[HttpAttempt] = []

        async def attempt(place: Place) -> Answered:
            # Waiting, for a turn or after a failure, is no latency: each attempt starts
            # the clock anew, and the one that succeeds has the figures.
            if left_out and not made:
                said = f"{self.service.title} does not take {', '.join(left_out)}: left out"
                emit(time.monotonic_ns(), Note(said, request.answer))
            service = self._service_at(place)
            while True:
                # Other answers learn what is refused at the same time.
                known = tuple(self._refused)
                asked = without_fields(body, known)
                start = time.monotonic_ns()
                emit(start, Started(request.answer))
                made.append(
                    HttpAttempt(
                        *(self._client(service), service, self.model, self._key),
                        *(request.answer, emit),
                        loop_stop=self._loop_stop,
                    )
                )
                try:
                    return await made[-1].run(asked, start)
                except ServiceError as fault:
                    refused = refused_field(asked, fault)
                    if not refused or refused in known:
                        raise
                    if refused not in self._refused:
                        self._refused.append(refused)
                    said = f"{service.host} refuses {refused}: asked without it"
                    emit(time.monotonic_ns(), Note(said, request.answer))

        return await self._with_retries(
            attempt, lambda: any(one.has_begun for one in made), emit, request.answer
        )

    async def _with_retries(
        self,
        attempt: Callable[[Place], Coroutine[Any, Any, _T]],
        began: Callable[[], bool],
        emit: Emit,
        answer: int,
    ) -> _T:
        """The result of an attempt in its turn, repeated at most `MAX_RETRIES` times, and at other
        addresses where one is lost; each repetition is said in a note, and none is made once a
        token arrived.

        Raises:
            ServiceError: of the last attempt.
        """
        again = moved = 0
        while True:
            place = await self._limiter.take(first=again + moved > 0)
            try:
                found = await attempt(place)
            except ServiceError as fault:
                wait = self._backoff_s(fault, again)
                if fault.is_busy:
                    self._limiter.slow_down(place, wait)
                if fault.cause in LEFT_CAUSES:
                    self._limiter.leave(place)
                if began():
                    raise
                is_gone = fault.cause in GONE_CAUSES
                if is_gone and moved < MAX_MOVES and self._limiter.has_other(place):
                    moved += 1
                    wait, said = 0.0, f"{fault.message}; asking another address"
                elif again == MAX_RETRIES or not fault.is_retryable:
                    raise
                else:
                    again += 1
                    said = (
                        f"{fault.message}; trying again in {wait:.3g} s ({again} of {MAX_RETRIES})"
                    )
                emit(time.monotonic_ns(), Note(said, answer))
            else:
                waited_ms = found.ttft_ms if isinstance(found, Answered) else None
                self._limiter.succeeded(place, (waited_ms or 0.0) / 1000)
                return found
            finally:
                self._limiter.give_back(place)
            await asyncio.sleep(wait)

    def _backoff_s(self, fault: ServiceError, again: int) -> float:
        """How long to wait before the next attempt, after ``again`` repetitions."""
        asked = fault.retry_after_s
        wait = self._first_backoff_s * 4**again if asked is None else asked
        return min(wait, MAX_BACKOFF_S) if math.isfinite(wait) else MAX_BACKOFF_S

    def _service_at(self, place: Place) -> Service:
        """The service at one of its addresses."""
        return self.service.at(place.url) if place.url else self.service

    def _client(self, service: Service) -> "httpx2.AsyncClient":
        if service.base_url not in self._clients:
            self._clients[service.base_url] = open_client(service, self._key)
        return self._clients[service.base_url]


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _final_event(task: "asyncio.Task[Body]", answer: int, host: str) -> Body:
    """The event that ends an answer."""
    if task.cancelled():
        return Cancelled(answer)
    error = task.exception()
    if error is None:
        return task.result()
    fault = error if isinstance(error, ServiceError) else error_from_exception(error, host)
    return fault.to_failed(answer)
