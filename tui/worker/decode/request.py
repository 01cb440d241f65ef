"""What a request means for the model that is loaded: its prompt's ids, its bounds, its sampling."""

from dataclasses import dataclass

from tui.checkpoints.errors import CheckpointError
from tui.worker.decode.sampler import SamplingParams, resolve_sampling
from tui.worker.loaded_model import LoadedModel
from tui.worker_protocol import DecodeRequest

_DEFAULT_MAX_NEW_TOKENS = 4096
"""New tokens at most where neither the request nor the checkpoint sets a bound."""
_FILLER_TEXT = (
    "the keeper of the old lighthouse wrote down what the sea had brought that night and "
)


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """A request against a checkpoint: the prompt's ids, turns left out of it, new tokens at
    most, how they are chosen, and whether no token ends the answer."""

    ids: list[int]
    dropped_turns: int
    max_new_tokens: int
    sampling: SamplingParams
    ignores_stop_ids: bool = False

    @property
    def max_length(self) -> int:
        """Tokens of prompt and answer at most."""
        return len(self.ids) + self.max_new_tokens


def plan_answer(loaded: LoadedModel, request: DecodeRequest) -> AnswerPlan:
    """Fit a request into the context.

    Raises:
        CheckpointError: it does not fit, or is no conversation.
    """
    checkpoint = loaded.checkpoint
    if request.prompt_tokens:
        return _plan_measure(loaded, request)
    # The tokenizer fits the conversation into the checkpoint's own context: reserve what is
    # above our bound.
    reserved = max(0, checkpoint.context - loaded.context) if loaded.context else 0
    prompt = checkpoint.tokenizer.encode_chat(
        request.messages, max(0, request.max_new_tokens) + reserved
    )
    room = loaded.context - len(prompt.ids) if loaded.context else _DEFAULT_MAX_NEW_TOKENS
    limit = min(request.max_new_tokens, room) if request.max_new_tokens > 0 else room
    if not prompt.ids or limit < 1:
        raise CheckpointError(
            "too_long",
            f"the prompt of {len(prompt.ids)} tokens leaves no room in a context of "
            f"{loaded.context}",
            "ask a shorter question",
        )
    sampling = resolve_sampling(checkpoint.sampling_defaults, request.sampling)
    return AnswerPlan(prompt.ids, prompt.dropped_turns, limit, sampling)


def _plan_measure(loaded: LoadedModel, request: DecodeRequest) -> AnswerPlan:
    """A prompt of exactly so many tokens, or as many as the context holds. Its first words are its
    own, so that nothing of an earlier one is used again."""
    encode = loaded.checkpoint.tokenizer.encode
    new_tokens = max(1, request.max_new_tokens)
    room = loaded.context - new_tokens if loaded.context else request.prompt_tokens
    wanted = max(1, min(request.prompt_tokens, room))
    ids = encode(f"{request.answer * 7919} ")
    filler = encode(_FILLER_TEXT) or ids
    while len(ids) < wanted:
        ids += filler
    sampling = SamplingParams(greedy=True)
    return AnswerPlan(ids[:wanted], 0, new_tokens, sampling, ignores_stop_ids=True)
