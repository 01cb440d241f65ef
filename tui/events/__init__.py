"""The events of a run.

Everything that happens in a run is an :class:`Event`. Producers make bodies (one
dataclass per kind), the journal numbers and stamps them, `tui.board` folds them.
`tui.events.json_form` writes and reads them.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tui.events.session import VERSION as VERSION
from tui.events.session import JsonObject as JsonObject
from tui.events.session import Session as Session

RUN = -1
"""Value of :attr:`Event.model` for what concerns the run and no single model."""


@dataclass(frozen=True, slots=True)
class Load:
    """Progress of loading: ``done`` of ``total`` (bytes, or 0 of 0 where unknown)."""

    kind: ClassVar[str] = "load"
    stage: str
    done: int = 0
    total: int = 0


TORCH = "torch"
"""`Loaded.kernels` where our own do not compute."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready. Bytes are bytes, times seconds; ``notes`` are one-line remarks.

    Of ``load_s``, ``import_s`` went into importing libraries, ``read_s`` into reading the files
    and ``prepare_s`` into converting, quantising and packing what was read. ``file_cache`` is the
    part (0 to 1) of the weights' files that was in memory when it began, None if not known.
    ``stored`` is the format of the weights in these files, ``dtype`` the one computed with;
    ``checkpoint_bytes`` is the size of what was given, ``weights_bytes`` of the weights as they
    are held, quantised or widened (0: not known).
    ``private`` and ``mapped`` are its memory at the end, ``peak_private`` and ``peak_mapped``
    that of the moment of loading when the two together were highest. ``contended``: it lost
    cores meanwhile, ``contended_by`` says to whom (`tui.metrics.CONTENDERS`). ``kernels``: whose
    kernels multiply the weights on a CPU, ``torch`` or the instruction set of our own;
    ``kernels_note`` is a clause on what is amiss with them.
    """

    kind: ClassVar[str] = "loaded"
    load_s: float
    import_s: float = 0.0
    family: str = ""
    dtype: str = ""
    device: str = ""
    parameters: int = 0
    checkpoint_bytes: int = 0
    weights_bytes: int = 0
    context: int = 0
    threads: int = 0
    prompt_format: str = ""
    sampling: JsonObject = field(default_factory=dict)
    private: int = 0
    mapped: int = 0
    notes: list[str] = field(default_factory=list)
    contended: bool = False
    kernels: str = ""
    kernels_note: str = ""
    read_s: float = 0.0
    prepare_s: float = 0.0
    file_cache: float | None = None
    peak_private: int = 0
    peak_mapped: int = 0
    contended_by: str = ""
    stored: str = ""


@dataclass(frozen=True, slots=True)
class Measuring:
    """The standard measure of a model began. It ends with `Measured` or a note, or is left for
    whatever the model does next."""

    kind: ClassVar[str] = "measuring"


@dataclass(frozen=True, slots=True)
class Measured:
    """The standard measure of a model: one answer at a time, alone on the cores, with as many
    tokens for every model. Medians over ``rounds``. Milliseconds, tokens per second, bytes.

    ``prompt_tokens`` and ``output_tokens`` are what was computed: fewer than
    `tui.metrics.STANDARD_PROMPT_TOKENS` and `tui.metrics.STANDARD_NEW_TOKENS` where a slow model
    would take too long. ``load_s``, ``load_contended`` and ``file_cache`` are those of the load
    before it (None: it was not loaded here). ``load_private`` and ``load_mapped`` are the memory
    at its highest while it loaded, ``peak_private`` and ``peak_mapped`` while it was measured.
    ``lost`` is the share of its cores that it did not get, ``contended`` that this was too much,
    ``contended_by`` to whom they went.
    """

    kind: ClassVar[str] = "measured"
    prompt_tokens: int
    output_tokens: int
    rounds: int = 1
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    prefill_tok_s: float | None = None
    decode_tok_s: float | None = None
    threads: int = 0
    load_s: float | None = None
    load_contended: bool = False
    file_cache: float | None = None
    load_private: int = 0
    load_mapped: int = 0
    peak_private: int = 0
    peak_mapped: int = 0
    lost: float = 0.0
    contended: bool = False
    contended_by: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question was put to a model. ``answer`` is the id all later events of it carry.

    ``turn`` counts from 0 within the conversation under ``question``; asking a turn
    again gives a new ``answer`` with the same ``turn``.
    """

    kind: ClassVar[str] = "asked"
    answer: int
    question: str
    text: str
    turn: int = 0
    repeat: int = 0
    sampling: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """The model began to work on an answer (prefill); waiting before it is no latency."""

    kind: ClassVar[str] = "started"
    answer: int
    prompt_tokens: int = 0
    dropped_turns: int = 0
    threads: int = 0
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Delta:
    """``n`` more tokens and the text they made visible (may be empty). With ``recast`` the visible
    text before it turned out to be reasoning: its closing mark came, which nothing had opened."""

    kind: ClassVar[str] = "delta"
    answer: int
    n: int = 1
    text: str = ""
    reasoning: bool = False
    recast: bool = False


@dataclass(frozen=True, slots=True)
class Logprobs:
    """One token of an answer as it was chosen, where that was asked for: its text, the natural
    logarithm of its probability (None: the service told none), and in ``top`` the likeliest tokens
    as [text, logarithm]."""

    kind: ClassVar[str] = "logprobs"
    answer: int
    token: str
    logprob: float | None = 0.0
    top: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer is complete. Milliseconds, tokens per second, bytes.

    The formulas are those of `tui.metrics`. ``finish`` is ``stop``, ``length``, or ``repetition``:
    from token ``repeats_from`` (the first is 1) on it only repeated itself, and was ended;
    ``token_source`` is ``tokenizer``, ``usage`` or ``estimate``. None: not measured.
    Of the prompt tokens ``reused`` were not computed again (a common beginning), of the
    output tokens ``accepted`` were right among those ``guessed`` by prompt lookup. ``waited_ms``
    passed while the prompts of other answers of the batch were computed: it is no decoding.
    ``peak_private`` and ``peak_mapped`` are of the moment when the two together were highest.
    ``lost`` is the share of its cores that it did not get; ``contended``: too much of them, or
    another model computed meanwhile; ``contended_by`` says who had them
    (`tui.metrics.CONTENDERS`). ``thought_tokens`` of the output are its thought, with the marks
    around it that the model wrote, without those by which a budget ended it; ``answer_ttft_ms``
    passed until the first one behind it; ``thought_cut``: a budget ended the thought.
    """

    kind: ClassVar[str] = "answered"
    answer: int
    finish: str
    prompt_tokens: int = 0
    output_tokens: int = 0
    token_source: str = "tokenizer"
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None
    prefill_tok_s: float | None = None
    decode_tok_s: float | None = None
    chars_s: float | None = None
    peak_private: int = 0
    peak_mapped: int = 0
    majflt: int = 0
    contended: bool = False
    threads: int = 0
    batch: int = 1
    guessed: int = 0
    accepted: int = 0
    reused: int = 0
    repeats_from: int = 0
    waited_ms: float = 0.0
    lost: float = 0.0
    contended_by: str = ""
    answer_ttft_ms: float | None = None
    thought_tokens: int = 0
    thought_cut: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether it was ended before the model ended it."""
        return self.finish in ("length", "repetition")


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer (or, with ``answer`` -1, the model) failed. One line, and what to do."""

    kind: ClassVar[str] = "failed"
    cause: str
    message: str
    next_step: str = ""
    answer: int = -1


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A person, or the end of the run, stopped an answer; what had arrived is kept."""

    kind: ClassVar[str] = "cancelled"
    answer: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of a model its private and mapped memory, of the run used and limit."""

    kind: ClassVar[str] = "memory"
    private: int = 0
    mapped: int = 0
    used: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Rated:
    """A person gave an answer 1 to 5 stars in a dimension (0 takes them back).

    ``rater`` is the name of that person, empty where nobody was named.
    """

    kind: ClassVar[str] = "rated"
    answer: int
    dimension: str
    stars: int
    rater: str = ""


@dataclass(frozen=True, slots=True)
class Voted:
    """A pairwise vote: ``left``, ``right``, ``tie``, ``bad`` (both), or ``none``; ``rater`` as
    in `Rated`."""

    kind: ClassVar[str] = "voted"
    question: str
    left: int
    right: int
    choice: str
    rater: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Of several answers of a model to one turn, the one that counts from now on, until it is
    asked again or another one is chosen. Without this it is the newest one."""

    kind: ClassVar[str] = "chosen"
    answer: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge model's verdict on two answers to the same question.

    ``verdicts`` holds what it said with the left answer shown first, then with the right
    one shown first, each ``left``, ``right``, ``tie`` or ``none`` (unreadable); ``choice``
    is what both orders agree on, ``tie`` where the position flipped it, ``none`` where one
    was unreadable. ``reasons`` are its words, ``same_family`` that its family is that of one side.
    ``dimensions`` holds what it said of each dimension of the stars, as in ``verdicts``;
    ``plain_text``: it was shown the answers without their Markdown.
    """

    kind: ClassVar[str] = "judged"
    question: str
    left: int
    right: int
    choice: str
    judge: str
    verdicts: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    same_family: bool = False
    dimensions: JsonObject = field(default_factory=dict)
    plain_text: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A remark, by a ``person`` or by the ``program``, on an answer or (-1) on the run; with
    the source ``setup`` what the program said before anything was loaded, with ``title`` what the
    session is called from now on."""

    kind: ClassVar[str] = "note"
    text: str
    answer: int = -1
    source: str = "program"


@dataclass(frozen=True, slots=True)
class Joined:
    """A model was added while the run went on: the one of ``index``, described as in the
    header."""

    kind: ClassVar[str] = "joined"
    index: int
    model: JsonObject


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run was taken up again, on the machine that ``host`` describes as the header does."""

    kind: ClassVar[str] = "resumed"
    host: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A model's memory was given back."""

    kind: ClassVar[str] = "unloaded"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The run was closed. ``crc`` is the CRC-32 of all bytes of the file before this line."""

    kind: ClassVar[str] = "end"
    status: str
    events: int = 0
    answers: int = 0
    crc: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a kind this version does not know: kept, never interpreted."""

    kind: str
    payload: JsonObject


Body = (
    Session
    | Load
    | Loaded
    | Measuring
    | Measured
    | Asked
    | Started
    | Delta
    | Logprobs
    | Answered
    | Failed
    | Cancelled
    | Memory
    | Rated
    | Voted
    | Chosen
    | Judged
    | Note
    | Joined
    | Resumed
    | Unloaded
    | End
    | Unknown
)

Judgement = Rated | Voted | Note | Chosen
"""What a person says of answers."""

TimedBody = tuple[int, Body]
"""When it happened (`time.monotonic_ns`, measured where it happened) and what."""


def answer_of(body: Body) -> int:
    """The id of the answer that a body is about, -1 if it is about none."""
    answer: int = getattr(body, "answer", -1)
    return answer


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: ``t_us`` microseconds after the session began."""

    seq: int
    t_us: int
    model: int
    body: Body
