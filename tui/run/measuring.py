"""The standard measure of a model in a run."""

from dataclasses import replace

from tui import events as ev
from tui.engines.base import Engine
from tui.engines.standard_measure import MeasureStopped, StopSwitch, measure
from tui.run.shared_state import SharedState


def take_measure(
    engine: Engine, loaded: ev.Loaded | None, switch: StopSwitch, shared: SharedState
) -> ev.Measured | ev.Note | None:
    """What was measured, or a remark where the model failed at it; None where it was stopped, so
    that somebody could be answered."""
    try:
        with shared.cores.allocate(engine, background=True) as use:
            if shared.closing.is_set():
                return None
            measured = measure(engine, loaded, switch)
    except MeasureStopped as stopped:
        if stopped.failure is None or shared.closing.is_set():
            return None
        return ev.Note(f"the model could not be measured: {stopped.failure.message}")
    if use.contended:
        return replace(measured, contended=True, contended_by="model")
    return measured
