"""A GGUF file as it was published: mapped, and computed with by llama.cpp."""

from collections.abc import Callable
from pathlib import Path

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import GgufHeader, read_header
from tui.checkpoints.gguf_parts import size_of
from tui.checkpoints.gguf_use import require_usable
from tui.checkpoints.llama_cpp import FIRST_POOL, PUBLISHED
from tui.worker.checkpoint import Checkpoint, Progress
from tui.worker.gguf import llama_build
from tui.worker.gguf.llama_server import LlamaServer
from tui.worker.gguf.vocabulary import read_chat_format
from tui.worker.load.families import ChatFormat
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import Stopwatch
from tui.worker_protocol import LoadOrder

_WORDS, _NO_UTF8 = "tokenizer.ggml.tokens", "\ufffd"


def open_words(path: Path) -> ChatFormat:
    """The text side of a GGUF file, by llama.cpp.

    Raises:
        CheckpointError: the file cannot be used.
    """
    header = _readable_header(path)
    # Its server computes two tokens when it loads: threads that wait for each other cost more.
    server = LlamaServer(header.files[0], FIRST_POOL // 8, 1, 1, for_words=True)
    return read_chat_format(server, header, header.context)


def load_published(
    order: LoadOrder, progress: Callable[[str], Progress], reading: Stopwatch
) -> LoadedModel:
    """The model of an order whose dtype is `PUBLISHED`; its ``model`` is a `LlamaServer`.

    Raises:
        CheckpointError: the file cannot be used.
    """
    path = Path(order.checkpoint)
    with reading:
        header = _readable_header(path)
    size = size_of(path)
    context = min(header.context, order.context or header.context)
    # The parent bounds this process's memory when it hears of the weights: a GPU is asked first.
    gpu = llama_build.gpu()
    progress("weights")(0, size)
    pool = min(context, FIRST_POOL)
    # One more than those of a set, with room of its own: a person may ask meanwhile.
    server = LlamaServer(
        header.files[0],
        max(pool, order.max_cached_tokens) + (pool if order.batch > 1 else 0),
        order.batch + 1,
        order.threads,
        gpu=gpu,
    )
    progress("weights")(size, size)
    kernels = llama_build.instruction_set()
    words = read_chat_format(server, header, context, order.chat_template)
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
        build_deferred=_never_built,
        new_splitter=words.new_splitter,
        thought=words.thought,
        thought_ending=words.thought_ending,
        sampling_defaults=words.sampling_defaults,
    )
    return LoadedModel(
        checkpoint,
        server,
        server.placement.device,
        context=context,
        dtype=PUBLISHED,
        weights_bytes=sum(tensor.size for tensor in header.tensors),
        notes=(
            f"computed as published by llama.cpp ({kernels})",
            *filter(None, (server.placement.remark, header.name_remark)),
            *words.notes,
        ),
    )


def _readable_header(path: Path) -> GgufHeader:
    """The header with its words, of a file that llama.cpp survives."""
    header = read_header(path, words=True)
    require_usable(path.name, header)
    if _has_equal_words(header):
        what = f"{path.name} has the same token twice in its vocabulary"
        raise CheckpointError("damaged", what, "download the file again")
    return header


def _has_equal_words(header: GgufHeader) -> bool:
    """llama.cpp numbers empty ones, and those that are no UTF-8 look alike only here."""
    words = header.metadata.get(_WORDS)
    known = [w for w in words if w and _NO_UTF8 not in w] if isinstance(words, list) else []
    return len(set(known)) < len(known)


def _never_built(dtype: str, progress: Progress) -> None:
    raise AssertionError("llama.cpp holds the weights")
