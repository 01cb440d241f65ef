"""A chat completion as it streams in: from the data of server-sent events to pieces of text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui.engines.base import Request
from tui.engines.errors import ServiceError, error_within_success, is_error, quote_text
from tui.engines.secret import NO_SECRET, Secret
from tui.engines.sse import ServerEvent
from tui.services import Service
from tui.services.request_fields import within_limit
from tui.text.reasoning import ReasoningParser
from tui.text.token_logprobs import TokenLogprobs, read_logprobs

DONE_MARK = "[DONE]"
LONGEST_ANSWER = 4 * 1024 * 1024
"""Characters an answer may have: no model writes that much, a broken server may."""

_FINISHES = {
    "stop": (
        *("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end"),
        *("complete", "completed"),
    ),
    "length": (
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"),
        *("token_limit", "length_limit", "model_context_window_exceeded"),
    ),
    "content_filter": (
        *("content_filter", "content_filtered", "sensitive", "safety", "refusal", "blocked"),
        *("recitation", "blocklist", "prohibited_content", "spii"),
    ),
    "": ("null", "none", "unspecified", "finish_reason_unspecified"),
}
_MEANING = {word: finish for finish, words in _FINISHES.items() for word in words}
"""What a finish_reason means, in lower case; "" means that there is none yet."""
_TOOLS = ("tool_calls", "tool_call", "tool_use", "function_call")


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text that arrived, of the answer or of the reasoning before it; ``recast`` as in
    `tui.events.Delta`."""

    text: str
    reasoning: bool = False
    recast: bool = False


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
    most = request.max_new_tokens + (request.think_tokens or 0 if service.budget_field else 0)
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "stream": True,
        service.max_tokens_field: most,
    }
    if service.include_usage:
        body["stream_options"] = {"include_usage": True}
    body |= {name: value for name, value in given.items() if name in service.parameters}
    if sampling.logprobs and "logprobs" in service.parameters:
        body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    elif sampling.logprobs:
        given["logprobs"] = sampling.logprobs
    refused = [name for name in given if name not in service.parameters]
    body |= within_limit(service.added_body(request.think, request.think_tokens), service, most)
    return body, refused + service.refused_thinking(request.think, request.think_tokens)


class Completion:
    """What has been received of one answer.

    ``finish`` is empty until the service said that the answer is complete (``stop``) or at
    its limit (``length``); ``fault`` is why it ended in any other way, once it did.
    ``is_over`` says that nothing more will come, ``has_begun`` that a token arrived.

    Some servers write a finish_reason into every piece. So one that came with a piece of text is
    believed only if another piece had none, and one that was followed by text is not; then it
    takes the end of the stream for the answer to be complete (``is_complete``).
    """

    def __init__(self, host: str, secret: Secret = NO_SECRET) -> None:
        self.finish = ""
        self.fault: ServiceError | None = None
        self.is_over = False
        self.has_begun = False
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.reused = 0
        """Tokens of the prompt that the service knew already: the cached ones."""
        self.thought_tokens: int | None = None
        self.text_pieces: list[str] = []
        self.reasoning_pieces: list[str] = []
        self.logprobs: list[TokenLogprobs] = []
        """What was told of the tokens, and not yet taken."""
        self._tells_tokens = True
        self._host, self._secret = host, secret
        self._pieces = self._finished_pieces = 0
        self._text_after_finish = self._usage_is_last = False
        self._size = 0
        self._half_surrogate = {False: "", True: ""}
        # For servers that leave the thoughts in the answer: those without a reasoning parser.
        self._reasoning_stream = ReasoningParser()

    def feed(self, event: ServerEvent) -> list[TextPiece]:
        """The pieces of text in one event.

        Raises:
            Fault: the server reports an error, or sends what is no part of a completion.
        """
        if event.document is not None:
            return self.feed_json(event.document, event.type == "error")
        said = event.data.strip()
        if said.strip('"') == DONE_MARK:
            self.end()
            return []
        if said in ("", "null"):
            return []  # a heartbeat
        try:
            data = json.loads(said)
        except (ValueError, RecursionError):
            if event.type == "error":
                raise error_within_success({"error": said}, self._host, self._secret) from None
            if event.type != "message":
                return []  # of another protocol: a ping
            raise ServiceError("malformed", f"{self._host} sends a line that is not JSON") from None
        return self.feed_json(data, event.type == "error")

    def feed_json(self, data: Any, reports_error: bool = False) -> list[TextPiece]:
        """The pieces of text in one chunk, or in a completion that came as a whole.

        Raises:
            Fault: as `feed`.
        """
        one = data[0] if isinstance(data, list) and data else data
        if reports_error or (isinstance(one, dict) and is_error(one)):
            raise error_within_success(data, self._host, self._secret)
        if not isinstance(data, dict):
            raise ServiceError("malformed", f"{self._host} sends a line that is no JSON object")
        choices = data.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise ServiceError("malformed", f"{self._host} sends choices that are no list")
        pieces = [piece for choice in choices or () for piece in self._take_choice(choice)]
        self._usage_is_last = self._take_usage(data.get("usage")) or (
            self._usage_is_last and not pieces
        )
        return pieces

    def end(self) -> None:
        """The server said that nothing more comes. An answer that it counted is complete, though no
        finish_reason says so."""
        self.is_over = True
        if not self.finish and self.fault is None and self._usage_is_last:
            self.finish = "stop"

    def flush(self) -> list[TextPiece]:
        """What was held back, as it could have become the mark of reasoning."""
        return self._whole_pieces(self._reasoning_stream.finish())

    @property
    def is_complete(self) -> bool:
        """Whether the answer is whole, whatever happens to the connection now."""
        return bool(self.finish) and (self.is_over or self.is_sure)

    @property
    def is_sure(self) -> bool:
        """Whether its finish_reason means what it says."""
        in_every_piece = 0 < self._pieces == self._finished_pieces
        return not self._text_after_finish and not in_every_piece

    def _take_choice(self, choice: Any) -> list[TextPiece]:
        if not isinstance(choice, dict):
            raise ServiceError("malformed", f"{self._host} sends a choice that is no object")
        if choice.get("index") not in (None, 0):
            return []
        if choice.get("error"):
            raise error_within_success(choice, self._host, self._secret)
        if self._tells_tokens:
            found, self._tells_tokens = read_logprobs(choice.get("logprobs"))
            self.logprobs += found
        self._take_usage(choice.get("usage"))
        thought, said = _thought_and_said(choice, is_first=not self.has_begun)
        if thought:
            self._reasoning_stream.may_turn = False
        divided = self._reasoning_stream.feed(said) if said else []
        if thought or said:
            self._text_after_finish |= bool(self.finish)
        self._set_finish(str(choice.get("finish_reason") or ""), bool(thought or said))
        if said and not divided and not thought and not self.has_begun:
            # Reasoning or answer is still unknown, but it is the first token.
            self.has_begun = True
            return [TextPiece("")]
        recast: list[TextPiece] = []
        if said and self._reasoning_stream.turned:
            self.reasoning_pieces, self.text_pieces = self.text_pieces, []
            recast = [TextPiece("", reasoning=True, recast=True)]
        return [*recast, *self._whole_pieces([(thought, True), *divided])]

    def _whole_pieces(self, divided: Sequence[tuple[str, bool]]) -> list[TextPiece]:
        pieces = []
        for text, reasoning in divided:
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

    def _set_finish(self, finish: str, has_text: bool) -> None:
        meaning = _MEANING.get(finish.lower(), "?") if finish else ""
        self._pieces += has_text
        self._finished_pieces += has_text and bool(meaning)
        if meaning in ("stop", "length"):
            self.finish = meaning
        elif meaning == "content_filter":
            self.fault = ServiceError("content_filter", f"{self._host} withheld the answer")
        elif finish.lower() in _TOOLS:
            told = f"{self._host} asks for a tool in place of an answer"
            self.fault = ServiceError("unfinished", told, "ask without tools, or another model")
        elif meaning:
            reason = quote_text(finish, self._secret)
            self.fault = ServiceError("unfinished", f"{self._host} stopped the answer: {reason}")

    def _take_usage(self, usage: Any) -> bool:
        """Take the counts; whether the output was counted."""
        if not isinstance(usage, dict):
            return False
        prompt = _count(usage, "prompt_tokens", "input_tokens")
        output = _count(usage, "completion_tokens", "output_tokens")
        if prompt:
            self.prompt_tokens = prompt
            self.reused = min(prompt, _cached_count(usage))
            # Some count the reasoning in the total alone (Gemini).
            output = max(output, _count(usage, "total_tokens") - prompt) if output else 0
        if output:
            self.output_tokens = output
            details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
            if isinstance(details, dict):
                self.thought_tokens = min(output, _count(details, "reasoning_tokens")) or None
        return bool(output)


def _count(usage: dict[str, Any], *names: str) -> int:
    """The first of these counts that is one; 0 without."""
    counts = (usage.get(name) for name in names)
    return next((n for n in counts if type(n) is int and 0 < n < 2**31), 0)


def _cached_count(usage: dict[str, Any]) -> int:
    """The tokens of the prompt that were cached, as OpenAI and most (``prompt_tokens_details``),
    DeepSeek (``prompt_cache_hit_tokens``), Moonshot (``cached_tokens``) and Anthropic
    (``cache_read_input_tokens``) write it."""
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = usage.get(name)
        if isinstance(details, dict) and (found := _count(details, "cached_tokens")):
            return found
    return _count(usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")


def _thought_and_said(choice: dict[str, Any], is_first: bool) -> tuple[str, str]:
    """The reasoning and the answer that a choice holds: in ``delta``, or where the whole came at
    once in ``message``, or as the ``text`` of the protocol before chats."""
    holder = choice.get("delta")
    if not isinstance(holder, dict) and is_first:
        holder = choice.get("message")
        if not isinstance(holder, dict):
            holder = {"content": choice.get("text")}
    if not isinstance(holder, dict):
        return "", ""
    thought, said = _divided_parts(holder.get("content"))
    for name in ("reasoning_content", "reasoning", "thinking"):
        if apart := "".join(_divided_parts(holder.get(name))):
            return apart, said
    return thought, said or "".join(_divided_parts(holder.get("refusal")))


def _divided_parts(value: Any) -> tuple[str, str]:
    """``(reasoning, answer)`` of a text, which is all answer, or of the list of parts that some
    services send: ``{"type": "thinking", "thinking": [...]}``, ``{"type": "text", "text": "..."}``.
    """
    if isinstance(value, str):
        return "", value
    thought, said = "", ""
    for part in value if isinstance(value, list) else ():
        if not isinstance(part, dict):
            continue
        kind = str(part.get("type", ""))
        for name in ("text", "thinking", "reasoning", "summary"):
            text = part.get(name)
            text = text if isinstance(text, str) else _joined_texts(text)
            if "think" in kind or "reason" in kind or name != "text":
                thought += text
            else:
                said += text
    return thought, said


def _joined_texts(parts: Any) -> str:
    parts = parts if isinstance(parts, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
