"""A GGUF file as it was published: mapped, and computed with by llama.cpp."""

from collections.abc import Callable
from pathlib import Path

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import GgufHeader, read_header
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.worker.checkpoint import Checkpoint, Progress
from tui.worker.gguf.llama_server import LlamaServer
from tui.worker.gguf.vocabulary import read_chat_format
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import Stopwatch
from tui.worker_protocol import LoadOrder

_DEFAULT_CONTEXT = 8192
"""Tokens for which there is room where nobody asked for a number: llama.cpp takes the memory of
all keys and values when it loads."""


def load_published(
    order: LoadOrder, progress: Callable[[str], Progress], reading: Stopwatch
) -> LoadedModel:
    """The model of an order whose dtype is `PUBLISHED`; its ``model`` is a `LlamaServer`.

    Raises:
        CheckpointError: the file cannot be used.
    """
    path = Path(order.checkpoint)
    with reading:
        header = read_header(path, words=True)
    size, own = path.stat().st_size, _context(path, header)
    context = min(own, order.context or _DEFAULT_CONTEXT)
    progress("weights")(0, size)
    # One more than those of a set: a person may ask meanwhile.
    server = LlamaServer(
        path, max(context, order.max_cached_tokens), order.batch + 1, order.threads
    )
    progress("weights")(size, size)
    words = read_chat_format(server, header, context)
    notes = list(words.notes)
    if context < own and not order.context:
        notes.append(f"answers and prompts of up to {context} tokens; --context {own} for more")
    checkpoint = Checkpoint(
        path=path,
        family="gguf",
        architecture=header.architecture,
        tokenizer=words.tokenizer,
        stop_ids=words.stop_ids,
        context=context,
        prompt_format=words.prompt_format,
        parameters=header.parameters,
        checkpoint_bytes=size,
        kv_values_per_token=0,
        build=_never_built,
        new_splitter=words.new_splitter,
        thought=words.thought,
        thought_ending=words.thought_ending,
        sampling_defaults=words.sampling_defaults,
    )
    return LoadedModel(
        checkpoint,
        server,
        server.device,
        context=context,
        dtype=PUBLISHED,
        weights_bytes=sum(tensor.size for tensor in header.tensors),
        max_cached_tokens=server.pool,
        notes=(f"computed as published by llama.cpp ({server.instruction_set})", *notes),
    )


def _context(path: Path, header: GgufHeader) -> int:
    if not header.context:
        raise CheckpointError(
            "damaged", f"{path.name} tells of no context length", "download the file again"
        )
    return header.context


def _never_built(dtype: str, progress: Progress) -> None:
    raise AssertionError("llama.cpp holds the weights")
