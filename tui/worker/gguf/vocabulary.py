"""The words of a GGUF file as llama.cpp reads them, and its conversations by our template."""

from collections.abc import Collection, Sequence
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import GgufHeader
from tui.worker.gguf.llama_server import LlamaServer
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.families import ChatFormat
from tui.worker.load.families.general import (
    CompletionTokenizer,
    TemplateTokenizer,
    template_format,
)
from tui.worker.load.generation_defaults import sampling_defaults

_CONTROL, _USER_DEFINED = 3, 4
_KEY = "tokenizer.ggml."
_SAMPLING_KEYS = {
    "temperature": "temp",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "penalty_repeat",
}
"""Our names, and those behind ``general.sampling.`` in a file."""

_ANY_TEXT = "a"
_NO_TEMPLATE = "no chat format: the text is completed, not answered"


class LlamaVocabulary:
    """See `tui.worker.load.families.text_tokenizer.ControlTokenizer`."""

    def __init__(self, server: LlamaServer, header: GgufHeader) -> None:
        self._server = server
        words, types = header.metadata[_KEY + "tokens"], header.metadata.get(_KEY + "token_type")
        types = types if isinstance(types, list) else []
        self.control_tokens = {
            word: number
            for number, (word, kind) in enumerate(zip(words, types, strict=False))
            if word and kind in (_CONTROL, _USER_DEFINED)
        }
        try:
            self.prefix_ids = _prefix_ids(server)
        except RuntimeError as error:
            # Some vocabularies lack the words that every text can be written with.
            what = f"the vocabulary of {header.files[0].name} cannot be used: {error}"
            raise CheckpointError("damaged", what, "download the file again") from None

    def encode_text(self, text: str) -> list[int]:
        """See `TextTokenizer.encode_text`."""
        return self._server.tokenise(text, special=False)

    def encode_with_controls(self, text: str) -> list[int]:
        """See `ControlTokenizer.encode_with_controls`."""
        return self._server.tokenise(text, special=True)

    def show(self, tokens: Collection[str]) -> None:
        """See `ControlTokenizer.show`: llama.cpp gives the text of all tokens here."""

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer.decode`."""
        return self._server.detokenise(ids)


def _prefix_ids(server: LlamaServer) -> list[int]:
    """What the vocabulary begins a text with; some also end one with a token."""
    whole, text = (server.tokenise(_ANY_TEXT, special=False, whole=it) for it in (True, False))
    starts = range(len(whole) - len(text) + 1)
    return whole[: next((n for n in starts if whole[n : n + len(text)] == text), 0)]


class _Conversations(TemplateTokenizer):
    def _ids(self, turns: Sequence[Any], think: str = "") -> list[int]:
        """The template's text, with what the vocabulary begins a text with exactly once."""
        ids, prefix = super()._ids(turns, think), self._text_tokenizer.prefix_ids
        return ids if ids[: len(prefix)] == prefix else [*prefix, *ids]


def read_chat_format(
    server: LlamaServer, header: GgufHeader, context: int, template: str = ""
) -> ChatFormat:
    """The words and the sampling defaults of a file that was loaded, and its conversations by the
    ``template`` given, else by its own; without one its texts are just continued.

    Raises:
        CheckpointError: its vocabulary or its template cannot be used.
    """
    vocabulary, defaults = LlamaVocabulary(server, header), _sampling_defaults(header)
    words = len(header.metadata[_KEY + "tokens"])
    if not (source := template or header.template):
        return ChatFormat(
            tokenizer=CompletionTokenizer(vocabulary, context, words),
            stop_ids=frozenset(),
            prompt_format="completion",
            sampling_defaults=defaults,
            notes=(_NO_TEMPLATE,),
        )
    made = ChatTemplate(source, _named_tokens(header))
    tokenizer = _Conversations(vocabulary, made, context, words)
    # llama.cpp knows all tokens that end an answer, and ends it.
    return template_format(tokenizer, vocabulary.control_tokens, frozenset(), defaults)


def _named_tokens(header: GgufHeader) -> dict[str, str]:
    words = header.metadata[_KEY + "tokens"]
    names = {
        "bos_token": "bos",
        "eos_token": "eos",
        "pad_token": "padding",
        "unk_token": "unknown",
        "sep_token": "seperator",  # So it is spelt in the format.
        "cls_token": "cls",
    }
    found = {}
    for name, key in names.items():
        id_ = header.metadata.get(f"{_KEY}{key}_token_id")
        if isinstance(id_, int) and 0 <= id_ < len(words):
            found[name] = words[id_]
    return found


def _sampling_defaults(header: GgufHeader) -> dict[str, Any]:
    told = {
        ours: header.metadata.get(f"general.sampling.{theirs}")
        for ours, theirs in _SAMPLING_KEYS.items()
    }
    found = sampling_defaults(told)
    return found | {"do_sample": True} if found else {}
