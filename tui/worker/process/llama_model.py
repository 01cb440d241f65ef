"""A GGUF file as published, with the one batch that answers by it. Needs no torch."""

from collections.abc import Callable

from tui.worker.checkpoint import Progress
from tui.worker.control import Control
from tui.worker.gguf.llama_batch import LlamaBatch
from tui.worker.gguf.published import load_published
from tui.worker.loaded_model import LoadedModel
from tui.worker.lost_cores import StopWatcher
from tui.worker.measure import PeakMemory, Stopwatch
from tui.worker_protocol import LoadOrder


def load(
    order: LoadOrder,
    control: Control,
    peak: PeakMemory,
    watcher: StopWatcher,
    progress: Callable[[str], Progress],
    reading: Stopwatch,
) -> tuple[LoadedModel, LlamaBatch, LlamaBatch]:
    """As `tui.worker.process.torch_model.load`; both batches are the same one.

    Raises:
        CheckpointError: the file cannot be used.
    """
    loaded = load_published(order, progress, reading)
    batch = LlamaBatch(loaded, control, peak, order.loop_stop, watcher)
    return loaded, batch, batch
