"""What a request means for the model that is loaded: its prompt's ids, its bounds, its sampling."""

from dataclasses import dataclass

from tui.checkpoints.errors import CheckpointError
from tui.worker.checkpoint import Prompt
from tui.worker.decode.sampling import SamplingParams, resolve_sampling
from tui.worker.loaded_model import LoadedModel
from tui.worker_protocol import DecodeRequest

_DEFAULT_MAX_NEW_TOKENS = 4096
"""New tokens at most where neither the request nor the checkpoint sets a bound."""
NO_BUDGET = "nothing marks a thought in its chat format: --think-tokens has no effect"
VIRTUAL_ID = -1
"""In the place of a token of a learned prefix. No token has it, and no model is given it: the cache
begins with what it stands for."""
_FILLER_TEXT = (
    "the keeper of the old lighthouse wrote down what the sea had brought that night and "
)


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """A request against a checkpoint: the prompt's ids, turns left out of it, new tokens at
    most, and how they are chosen. ``is_measure``: no token ends the answer, and nothing that was
    computed for another one is used again.

    ``opens_thought``: the prompt ends in the mark that opens a thought. A thought has at most
    ``think_tokens`` (None: no bound of its own), and the answer behind it ``answer_tokens``;
    ``note`` is what could not be told of the thinking that was asked for.
    """

    ids: list[int]
    dropped_turns: int
    max_new_tokens: int
    sampling: SamplingParams
    is_measure: bool = False
    virtual_tokens: int = 0
    """Of the ids, those of a learned prefix: they stand for no text (`VIRTUAL_ID`)."""
    opens_thought: bool = False
    think_tokens: int | None = None
    answer_tokens: int = 0
    note: str = ""
    column: int = 0
    """See `DecodeRequest`."""

    @property
    def max_length(self) -> int:
        """Tokens of prompt and answer at most."""
        return len(self.ids) + self.max_new_tokens

    @property
    def text_ids(self) -> list[int]:
        """The ids of the prompt without a learned prefix."""
        return self.ids[self.virtual_tokens :]


def plan_answer(loaded: LoadedModel, request: DecodeRequest) -> AnswerPlan:
    """Fit a request into the context.

    Raises:
        CheckpointError: it does not fit, or is no conversation.
    """
    checkpoint = loaded.checkpoint
    if request.prompt_tokens:
        return _plan_measure(loaded, request)
    budget = request.think_tokens if checkpoint.thought else None
    ending, virtual = len(checkpoint.thought_ending), loaded.prefix_tokens
    prompt = _fitted_prompt(loaded, request, 0 if budget is None else budget + ending)
    held = virtual + len(prompt.ids)
    room = loaded.context - held if loaded.context else _DEFAULT_MAX_NEW_TOKENS
    answer = min(request.max_new_tokens, room) if request.max_new_tokens > 0 else room
    if budget is None:
        limit = answer
    else:
        # Where all does not fit, the answer goes before the thought.
        budget = max(0, min(budget, room - ending - answer))
        answer = max(1, min(answer, room - ending - budget))
        limit = min(room, budget + ending + answer)
    if not prompt.ids or limit < 1:
        raise CheckpointError(
            "too_long",
            f"the prompt of {len(prompt.ids)} tokens leaves no room in a context of "
            f"{loaded.context}",
            "ask a shorter question",
        )
    sampling = resolve_sampling(checkpoint.sampling_defaults, request.sampling)
    lost = NO_BUDGET if request.think_tokens is not None and budget is None else ""
    return AnswerPlan(
        [VIRTUAL_ID] * virtual + prompt.ids,
        prompt.dropped_turns,
        limit,
        sampling,
        virtual_tokens=virtual,
        opens_thought=prompt.opens_thought,
        think_tokens=budget,
        answer_tokens=answer,
        note="; ".join(filter(None, (prompt.note, lost))),
        column=request.column,
    )


def _fitted_prompt(loaded: LoadedModel, request: DecodeRequest, thought: int) -> Prompt:
    """The prompt, with room for the answer and a thought of so many tokens; only for the answer
    where both do not fit.

    Raises:
        CheckpointError: as `ChatTokenizer.encode_chat`.
    """
    checkpoint = loaded.checkpoint
    # The tokenizer fits the conversation into the checkpoint's own context: reserve what is
    # above our bound.
    reserved = max(0, checkpoint.context - loaded.context) if loaded.context else 0
    reserved += loaded.prefix_tokens
    answer = max(0, request.max_new_tokens) + reserved
    encode = checkpoint.tokenizer.encode_chat
    try:
        return encode(request.messages, answer + thought, request.think)
    except CheckpointError as error:
        if error.cause != "too_long" or not thought:
            raise
        return encode(request.messages, answer, request.think)


def _plan_measure(loaded: LoadedModel, request: DecodeRequest) -> AnswerPlan:
    """A prompt of exactly so many tokens, or as many as the context holds."""
    encode = loaded.checkpoint.tokenizer.encode
    new_tokens, virtual = max(1, request.max_new_tokens), loaded.prefix_tokens
    room = loaded.context - new_tokens - virtual if loaded.context else request.prompt_tokens
    wanted = max(1, min(request.prompt_tokens, room))
    # Prompts that differ, so that answers of one batch are not the same text.
    ids = encode(f"{request.answer} ")
    filler = encode(_FILLER_TEXT) or ids
    while len(ids) < wanted:
        ids += filler
    sampling = SamplingParams(greedy=True)
    ids = [VIRTUAL_ID] * virtual + ids[:wanted]
    return AnswerPlan(ids, 0, new_tokens, sampling, is_measure=True, virtual_tokens=virtual)
