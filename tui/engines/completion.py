"""A chat completion as it streams in: from the data of server-sent events to pieces of text."""

import json
from dataclasses import dataclass
from typing import Any

from tui.engines.base import Request
from tui.engines.errors import ServiceError, cause_from_status, code_and_message, quote_text
from tui.engines.secret import NO_SECRET, Secret
from tui.engines.sse import ServerEvent
from tui.services import Service
from tui.text.reasoning import ReasoningParser

DONE_MARK = "[DONE]"
LONGEST_ANSWER = 4 * 1024 * 1024
"""Characters an answer may have: no model writes that much, a broken server may."""

_STOP = frozenset(("stop", "eos", "eos_token", "end_turn", "stop_sequence"))
_LENGTH = frozenset(("length", "max_tokens"))


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text that arrived, of the answer or of the reasoning before it."""

    text: str
    reasoning: bool = False


TokenLogprobs = tuple[str, float, list[list[str | float]]]
"""A token's text, the logarithm of its probability, and the likeliest ones as [text, logarithm]."""


def read_logprobs(said: Any) -> list[TokenLogprobs]:
    """What a choice tells of its tokens (OpenAI's form); whatever else it holds is left out."""
    content = said.get("content") if isinstance(said, dict) else None
    found: list[TokenLogprobs] = []
    for item in content if isinstance(content, list) else ():
        if pair := _token_pair(item):
            top = item.get("top_logprobs")
            others = [_token_pair(one) for one in top] if isinstance(top, list) else []
            found.append((pair[0], pair[1], [[*one] for one in others if one]))
    return found


def _token_pair(item: Any) -> tuple[str, float] | None:
    if not isinstance(item, dict):
        return None
    token, log = item.get("token"), item.get("logprob")
    if not isinstance(token, str) or not isinstance(log, int | float) or not -1e9 < log <= 0:
        return None
    return token.encode("utf-8", "replace").decode(), float(log)


def request_body(
    request: Request, model: str, service: Service
) -> tuple[dict[str, Any], list[str]]:
    """The JSON body of a request, and the names of parameters that the service does not take."""
    sampling = request.sampling
    wanted: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "seed": sampling.seed,
    }
    if sampling.greedy:
        wanted |= {"temperature": 0, "top_p": None, "top_k": None}
    given = {name: value for name, value in wanted.items() if value is not None}
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "stream": True,
        service.max_tokens_field: request.max_new_tokens,
    }
    if service.include_usage:
        body["stream_options"] = {"include_usage": True}
    body |= {name: value for name, value in given.items() if name in service.parameters}
    if sampling.logprobs and "logprobs" in service.parameters:
        body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    elif sampling.logprobs:
        given["logprobs"] = sampling.logprobs
    return body | dict(service.body), [n for n in given if n not in service.parameters]


class Completion:
    """What has been received of one answer.

    ``finish`` is empty until the service said that the answer is complete (``stop``) or at
    its limit (``length``); ``fault`` is why it ended in any other way, once it did.
    ``is_over`` says that nothing more will come, ``has_begun`` that a token arrived.
    """

    def __init__(self, host: str, secret: Secret = NO_SECRET) -> None:
        self.finish = ""
        self.fault: ServiceError | None = None
        self.is_over = False
        self.has_begun = False
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.text_pieces: list[str] = []
        self.reasoning_pieces: list[str] = []
        self.logprobs: list[TokenLogprobs] = []
        """What was told of the tokens, and not yet taken."""
        self._host, self._secret = host, secret
        self._size = 0
        self._half_surrogate = {False: "", True: ""}
        # For servers that leave the thoughts in the answer: those without a reasoning parser.
        self._reasoning_stream = ReasoningParser()

    def feed(self, event: ServerEvent) -> list[TextPiece]:
        """The pieces of text in one event.

        Raises:
            Fault: the server reports an error, or sends what is no part of a completion.
        """
        if event.data.strip() == DONE_MARK:
            self.is_over = True
            return []
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            if event.type == "error":
                raise self._server_fault("", event.data) from None
            raise ServiceError("malformed", f"{self._host} sends a line that is not JSON") from None
        if not isinstance(data, dict):
            raise ServiceError("malformed", f"{self._host} sends a line that is no JSON object")
        if data.get("error") or event.type == "error":
            raise self._server_fault(*code_and_message(data))
        self._take_usage(data.get("usage"))
        choices = data.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise ServiceError("malformed", f"{self._host} sends choices that are no list")
        return [piece for choice in choices or () for piece in self._take_choice(choice)]

    def _take_choice(self, choice: Any) -> list[TextPiece]:
        if not isinstance(choice, dict):
            raise ServiceError("malformed", f"{self._host} sends a choice that is no object")
        if choice.get("index") not in (None, 0):
            return []
        self.logprobs += read_logprobs(choice.get("logprobs"))
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        thought = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        said = _text(delta.get("content")) or _text(delta.get("refusal"))
        divided = self._reasoning_stream.feed(said) if said else []
        finish = choice.get("finish_reason")
        if finish:
            divided += self._reasoning_stream.finish()
            self._set_finish(str(finish))
        elif said and not divided and not self.has_begun:
            # Reasoning or answer is still unknown, but it is the first token.
            self.has_begun = True
            return [TextPiece("")]
        pieces = []
        for text, reasoning in ((thought, True), *divided):
            if text and (whole := self._whole_characters(text, reasoning)):
                pieces.append(TextPiece(whole, reasoning))
        return pieces

    def _whole_characters(self, text: str, reasoning: bool) -> str:
        """Text in whole characters: JSON may cut one in two escaped halves (surrogates), and
        a half that stays alone cannot be written to a file."""
        self._size += len(text)
        if self._size > LONGEST_ANSWER:
            raise ServiceError(
                "oversized", f"{self._host} sends more than {LONGEST_ANSWER} characters"
            )
        text = self._half_surrogate[reasoning] + text
        self._half_surrogate[reasoning] = ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half_surrogate[reasoning] = text[:-1], text[-1]
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if text:
            self.has_begun = True
            (self.reasoning_pieces if reasoning else self.text_pieces).append(text)
        return text

    def _set_finish(self, finish: str) -> None:
        if finish in _STOP:
            self.finish = "stop"
        elif finish in _LENGTH:
            self.finish = "length"
        elif finish == "content_filter":
            self.fault = ServiceError("content_filter", f"{self._host} withheld the answer")
        else:
            reason = quote_text(finish, self._secret)
            self.fault = ServiceError("unfinished", f"{self._host} stopped the answer: {reason}")

    def _take_usage(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if type(prompt) is int and 0 < prompt < 2**31:
            self.prompt_tokens = prompt
        if type(output) is int and 0 < output < 2**31:
            self.output_tokens = output

    def _server_fault(self, code: str, said: str) -> ServiceError:
        said = quote_text(said or code or "an error without a word", self._secret)
        return ServiceError(cause_from_status(500, code, said), f"{self._host} reports: {said}")


def _text(value: Any) -> str:
    """Text as a string, or as the list of parts that some services send."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = (part.get("text") for part in value if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return ""
