"""A model that torch computes, with the batches that answer by it. Imports torch."""

from collections.abc import Callable

from tui.worker.checkpoint import Progress
from tui.worker.control import Control
from tui.worker.decode.batch import DecodeBatch
from tui.worker.decode.kv_cache import PrefixCache
from tui.worker.loaded_model import LoadedModel
from tui.worker.lost_cores import StopWatcher
from tui.worker.measure import PeakMemory, Stopwatch
from tui.worker.process.load_model import load_model
from tui.worker_protocol import LoadOrder


def load(
    order: LoadOrder,
    control: Control,
    peak: PeakMemory,
    watcher: StopWatcher,
    progress: Callable[[str], Progress],
    reading: Stopwatch,
) -> tuple[LoadedModel, DecodeBatch, DecodeBatch]:
    """The model of an order, the batch of what a person waits for and that of all else. The
    arguments are those of `load_model`, and what the batches measure by.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """
    loaded = load_model(order, control, progress, reading)
    prefix_cache, most = PrefixCache(), loaded.max_cached_tokens
    asked, others = (
        DecodeBatch(
            loaded, control, peak, order.lookup, prefix_cache, most, order.loop_stop, watcher
        )
        for _ in range(2)
    )
    return loaded, asked, others
