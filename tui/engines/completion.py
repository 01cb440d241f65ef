"""A chat completion as it streams in: from the data of server-sent events to pieces of text."""

import json
from dataclasses import dataclass
from typing import Any

from tui.engines.base import Request
from tui.engines.errors import Fault, cause_of, remark, said_by
from tui.engines.secret import NONE, Secret
from tui.engines.sse import ServerEvent
from tui.services import Service
from tui.text.reasoning import Stream

DONE = "[DONE]"
LONGEST_ANSWER = 4 * 1024 * 1024
"""Characters an answer may have: no model writes that much, a broken server may."""

_STOP = frozenset(("stop", "eos", "eos_token", "end_turn", "stop_sequence"))
_LENGTH = frozenset(("length", "max_tokens"))


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that arrived, of the answer or of the reasoning before it."""

    text: str
    reasoning: bool = False


def body_of(request: Request, model: str, service: Service) -> tuple[dict[str, Any], list[str]]:
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
    return body | dict(service.body), [n for n in given if n not in service.parameters]


class Completion:
    """What has been received of one answer.

    ``finish`` is empty until the service said that the answer is complete (``stop``) or at
    its limit (``length``); ``trouble`` is why it ended in any other way, once it did.
    ``is_over`` says that nothing more will come, ``has_begun`` that a token arrived.
    """

    def __init__(self, host: str, secret: Secret = NONE) -> None:
        self.finish = ""
        self.trouble: Fault | None = None
        self.is_over = False
        self.has_begun = False
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.parts: list[str] = []
        self.reasoning: list[str] = []
        self._host, self._secret = host, secret
        self._size = 0
        self._half = {False: "", True: ""}
        # For servers that leave the thoughts in the answer: those without a reasoning parser.
        self._thoughts = Stream()

    def take(self, event: ServerEvent) -> list[Piece]:
        """The pieces of text in one event.

        Raises:
            Fault: the server reports an error, or sends what is no part of a completion.
        """
        if event.data.strip() == DONE:
            self.is_over = True
            return []
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            if event.type == "error":
                raise self._reported("", event.data) from None
            raise Fault("malformed", f"{self._host} sends a line that is not JSON") from None
        if not isinstance(data, dict):
            raise Fault("malformed", f"{self._host} sends a line that is no JSON object")
        if data.get("error") or event.type == "error":
            raise self._reported(*said_by(data))
        self._take_usage(data.get("usage"))
        choices = data.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise Fault("malformed", f"{self._host} sends choices that are no list")
        return [piece for choice in choices or () for piece in self._take_choice(choice)]

    def _take_choice(self, choice: Any) -> list[Piece]:
        if not isinstance(choice, dict):
            raise Fault("malformed", f"{self._host} sends a choice that is no object")
        if choice.get("index") not in (None, 0):
            return []
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        thought = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        said = _text(delta.get("content")) or _text(delta.get("refusal"))
        divided = self._thoughts.feed(said) if said else []
        finish = choice.get("finish_reason")
        if finish:
            divided += self._thoughts.finish()
            self._end(str(finish))
        elif said and not divided and not self.has_begun:
            # What it belongs to is not clear yet, but it is the first token.
            self.has_begun = True
            return [Piece("")]
        pieces = []
        for text, reasoning in ((thought, True), *divided):
            if text and (whole := self._whole(text, reasoning)):
                pieces.append(Piece(whole, reasoning))
        return pieces

    def _whole(self, text: str, reasoning: bool) -> str:
        """Text in whole characters: JSON may cut one in two escaped halves (surrogates), and
        a half that stays alone cannot be written to a file."""
        self._size += len(text)
        if self._size > LONGEST_ANSWER:
            raise Fault("oversized", f"{self._host} sends more than {LONGEST_ANSWER} characters")
        text = self._half[reasoning] + text
        self._half[reasoning] = ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half[reasoning] = text[:-1], text[-1]
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if text:
            self.has_begun = True
            (self.reasoning if reasoning else self.parts).append(text)
        return text

    def _end(self, finish: str) -> None:
        if finish in _STOP:
            self.finish = "stop"
        elif finish in _LENGTH:
            self.finish = "length"
        elif finish == "content_filter":
            self.trouble = Fault("content_filter", f"{self._host} withheld the answer")
        else:
            reason = remark(finish, self._secret)
            self.trouble = Fault("unfinished", f"{self._host} stopped the answer: {reason}")

    def _take_usage(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if type(prompt) is int and 0 < prompt < 2**31:
            self.prompt_tokens = prompt
        if type(output) is int and 0 < output < 2**31:
            self.output_tokens = output

    def _reported(self, code: str, said: str) -> Fault:
        said = remark(said or code or "an error without a word", self._secret)
        return Fault(cause_of(500, code, said), f"{self._host} reports: {said}")


def _text(value: Any) -> str:
    """Text as a string, or as the list of parts that some services send."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = (part.get("text") for part in value if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return ""
