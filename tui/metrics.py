"""The figures of an answer from its times and counts.

TTFT: time to first token. TPOT: time per output token after the first. E2E: time of the whole
answer. `FORMULAS` says them in words; the report's footnote and the READMEs quote these.
A figure that its times and counts do not give is None.
"""

from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, TypeVar

STANDARD_PROMPT_TOKENS, STANDARD_NEW_TOKENS = 256, 64
"""Tokens of prompt and answer in the standard measure of a model."""
MAX_LOST_SHARE = 0.1
"""An answer that lost more of its cores than this is marked as contended."""
CONTENDERS = ("model", "question", "programs", "threads", "stopped", "suspended")
"""Why a figure is contended: another model of the run computed, an answer that a person waited
for went first, other programs took cores, the number of threads changed meanwhile, the process
was stopped, the machine was suspended."""


def known_contender(by: str, lost: float) -> str:
    """``by`` where it is one of `CONTENDERS` of whom something can be told, else "";
    ``lost`` is the share of the cores."""
    return by if by in CONTENDERS and (by != "programs" or lost > 0) else ""


FORMULAS = {
    "en": {
        "ttft": "TTFT = first generated token - start of the request",
        "answer_ttft": "TTFT of the answer = first token behind the thought - start of the request",
        "tpot": "TPOT = (E2E - TTFT - wait) / (output tokens - 1), wait = time in which prompts "
        "of other answers of the batch were computed",
        "decode": "decode tok/s = 1 / TPOT",
        "prefill": "prefill tok/s = (prompt tokens - reused prompt tokens) / TTFT",
        "chars": "text speed (chars/s) = sum of the code points of the visible texts / sum of E2E",
    },
    "zh": {
        "ttft": "TTFT = 首个生成 token 的时刻 - 请求开始的时刻",
        "answer_ttft": "正文首字延迟 = 思考结束后首个 token 的时刻 - 请求开始的时刻",
        "tpot": "TPOT = (E2E - TTFT - 等待) / (输出 token 数 - 1)，"
        "等待 = 计算同批其他回答的提示所占的时间",
        "decode": "解码速度 = 1 / TPOT",
        "prefill": "预填充速度 = (提示 token 数 - 复用的提示 token 数) / TTFT",
        "chars": "文本速度（字符/秒）= 可见文本的码点数之和 / E2E 之和",
    },
}
"""By language and figure. Reused prompt tokens are a beginning in common with an earlier
conversation, whose keys and values were not computed again."""


@dataclass(frozen=True, slots=True)
class AnswerMetrics:
    """Milliseconds, tokens per second, and code points per second."""

    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float
    prefill_tok_s: float | None
    decode_tok_s: float | None
    chars_s: float | None
    answer_ttft_ms: float | None = None

    def rounded(self) -> "AnswerMetrics":
        """Times to 3 digits after the point, rates to 2."""
        return AnswerMetrics(
            _rounded(self.ttft_ms, 3),
            _rounded(self.tpot_ms, 3),
            round(self.e2e_ms, 3),
            _rounded(self.prefill_tok_s, 2),
            _rounded(self.decode_tok_s, 2),
            _rounded(self.chars_s, 2),
            _rounded(self.answer_ttft_ms, 3),
        )


def answer_metrics(
    *,
    start_ns: int,
    first_ns: int | None,
    end_ns: int,
    prompt_tokens: int,
    reused: int,
    output_tokens: int,
    characters: int,
    answer_ns: int | None = None,
    waited_ns: int = 0,
) -> AnswerMetrics:
    """All figures of a complete answer.

    Times are nanoseconds of one clock: the start of the request, the first generated token
    (None: no token came, then only E2E is known), the end. ``output_tokens`` counts the stop
    id if there was one, ``characters`` the code points of the visible text; at ``answer_ns`` the
    first token behind the thought came (None: there was only thought); for ``waited_ns`` after
    the first token the prompts of other answers were computed.
    """
    e2e = elapsed_ms(start_ns, end_ns)
    if first_ns is None:
        return AnswerMetrics(None, None, e2e, None, None, None)
    ttft = elapsed_ms(start_ns, first_ns)
    tpot = tpot_ms(ttft, e2e - waited_ns / 1e6, output_tokens)
    return AnswerMetrics(
        ttft_ms=ttft,
        tpot_ms=tpot,
        e2e_ms=e2e,
        prefill_tok_s=prefill_tok_s(prompt_tokens, reused, ttft),
        decode_tok_s=decode_tok_s(tpot),
        chars_s=chars_s(characters, e2e),
        answer_ttft_ms=None if answer_ns is None else elapsed_ms(start_ns, answer_ns),
    )


def elapsed_ms(start_ns: int, end_ns: int) -> float:
    """TTFT or E2E: milliseconds from the start of the request to the first token or the end."""
    return (end_ns - start_ns) / 1e6


def tpot_ms(ttft_ms: float, e2e_ms: float, output_tokens: int) -> float | None:
    """Milliseconds per output token; ``e2e_ms`` without what was spent waiting. None for fewer
    than two tokens or no time between them."""
    if output_tokens < 2 or e2e_ms <= ttft_ms:
        return None
    return (e2e_ms - ttft_ms) / (output_tokens - 1)


def decode_tok_s(tpot_ms: float | None) -> float | None:
    """Output tokens per second after the first one."""
    return 1000 / tpot_ms if tpot_ms else None


def prefill_tok_s(prompt_tokens: int, reused: int, ttft_ms: float) -> float | None:
    """Computed prompt tokens per second; None where none was computed or no time passed."""
    if ttft_ms <= 0 or prompt_tokens <= reused:
        return None
    return (prompt_tokens - reused) / ttft_ms * 1000


def chars_s(characters: int, e2e_ms: float) -> float | None:
    """Code points of visible text per second; None where no time passed."""
    return characters / e2e_ms * 1000 if e2e_ms > 0 else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


LARGEST, SMALLEST = 1e15, 1e-12
"""No figure is beyond them: a file of others may hold any number, and what is computed from
1.7e308 is infinite."""
_SHARES = ("lost", "file_cache")
_T = TypeVar("_T")


def without_absurd(record: _T) -> _T:
    """A dataclass without figures that no machine can have measured: below 0, too large or too
    small, a share above 1. They have the default of their field, "not measured" or 0."""
    found: Any = record
    wrong = {
        field.name: 0 if field.default is MISSING else field.default
        for field in fields(found)
        if field.name != "answer"
        if type(value := getattr(record, field.name)) in (int, float) and value
        if not SMALLEST <= value <= (1 if field.name in _SHARES else LARGEST)
    }
    return replace(found, **wrong) if wrong else record
