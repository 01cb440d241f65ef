"""From an order of the parent to a model that can decode. Imports torch."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from tui.checkpoints.gguf_cache import entry_folder, form_of
from tui.checkpoints.gguf_parts import is_gguf
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.host.memory import trim_heap
from tui.worker.checkpoint import Checkpoint, Progress
from tui.worker.control import Control, install_stop_hooks
from tui.worker.decode.attention import attach, supports_model
from tui.worker.decode.other_past import adapt
from tui.worker.decode.padded_batch import SLOW_REMARK, can_pad, keeps_state
from tui.worker.decode.prompt_lookup import LOOKUP_OFF_REMARK, rounds_rows_alike
from tui.worker.gguf.convert import conversion_remarks, convert_gguf
from tui.worker.kernels import build
from tui.worker.load.device import gpu_failure, kv_cache_capacity
from tui.worker.load.loader import open_checkpoint
from tui.worker.load.prefix_states import prefix_states
from tui.worker.load.prepare import model_nbytes, prepare_model
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import Stopwatch
from tui.worker.quant.choose_format import kernels_of
from tui.worker_protocol import LoadOrder

_BETWEEN = "bf16"
"""The form of a GGUF file's weights that int8 and int4 are made of."""


def load_model(
    order: LoadOrder,
    control: Control,
    progress: Callable[[str], Progress],
    reading: Stopwatch,
) -> LoadedModel:
    """The model of an order, which ``control`` can stop, computed by torch. Sets for the calling
    thread how many threads torch takes, and that it keeps no gradients.

    ``progress(stage)`` gives what is told of that stage (``convert``, ``weights``): bytes done and
    bytes in all. What is spent in reading files is added to ``reading``.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """
    torch.set_num_threads(order.threads)
    torch.set_grad_enabled(False)
    path, notes = Path(order.checkpoint), []
    file = path if is_gguf(path) else None
    has_between = file is not None and entry_folder(file, _BETWEEN).is_dir()
    if file is not None:
        path = convert_gguf(file, progress("convert"), form=form_of(order.dtype))
        notes += conversion_remarks(path)
    with reading:
        adapter = Path(order.adapter) if order.adapter else None
        checkpoint = open_checkpoint(path, order.remote_code, order.chat_template, adapter)
    if file is not None and order.dtype in QUANTISED_DTYPES:
        convert = partial(_reducible, file, progress("convert"))
        checkpoint = replace(
            checkpoint,
            build=lambda dtype, told: convert().build(dtype, told),
            build_deferred=lambda dtype, told: convert().build_deferred(dtype, told),
        )
    # The parent bounds this process's memory when it hears of the weights: a GPU is asked first.
    if order.dtype in QUANTISED_DTYPES or gpu_failure() != "":
        build.prepare(lambda: progress("kernels")(0, 0))
    report = progress("weights")
    report(0, checkpoint.checkpoint_bytes)
    model, device, remarks = prepare_model(
        checkpoint, order.dtype, report, reading, progress("convert")
    )
    if file is not None and order.dtype in QUANTISED_DTYPES and not has_between:
        # Where it is still mapped its disk is given back with the last mapping.
        shutil.rmtree(entry_folder(file, _BETWEEN), ignore_errors=True)
    trim_heap()
    install_stop_hooks(model, control)
    if (flag := build.stop_flag()) is not None:
        control.share_stop_flag(flag)
    weights_bytes = model_nbytes(model)
    kernels, kernels_note = kernels_of(model) if device == "cpu" else ("", "")
    padded = False
    if supports_model(model):
        attach(model)
    elif remark := adapt(model, SLOW_REMARK):
        remarks.append(remark)
    elif keeps_state(model):
        remarks.append(SLOW_REMARK)
    elif order.batch > 1:
        padded = can_pad(model)
    if order.lookup and not rounds_rows_alike(model):
        remarks.append(LOOKUP_OFF_REMARK)
    capacity = kv_cache_capacity(model, checkpoint.kv_values_per_token, device)
    return LoadedModel(
        checkpoint,
        model,
        device,
        context=_min_bound(checkpoint.context, order.context),
        dtype=order.dtype,
        weights_bytes=weights_bytes,
        max_cached_tokens=_min_bound(order.max_cached_tokens, capacity),
        notes=(*notes, *remarks, *checkpoint.notes),
        kernels=kernels,
        kernels_note=kernels_note,
        can_pad=padded,
        prefix=prefix_states(checkpoint.prefix, model) if checkpoint.prefix else None,
    )


def _reducible(file: Path, progress: Progress) -> Checkpoint:
    """A copy of a GGUF file in bf16: weights are reduced layer by layer, and the pages of a file
    can be let go meanwhile."""
    return open_checkpoint(convert_gguf(file, progress, form=_BETWEEN))


def _min_bound(*bounds: int) -> int:
    """The lowest of several bounds, of which 0 is none."""
    return min((bound for bound in bounds if bound), default=0)
