"""What the lanes of a run have in common."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tui import events as ev
from tui.engines.base import Message
from tui.run.answer_queue import AnswerTask
from tui.run.budget import Budget
from tui.run.columns import ColumnOptions
from tui.run.core_allocator import CoreAllocator
from tui.run.memory_scheduler import MemoryScheduler
from tui.run.recorder import Recorder
from tui.run.turns import ComputingTurns


@dataclass(frozen=True, slots=True)
class SharedState:
    """What the lanes of a run have in common. ``changed`` guards the queues and the memory
    scheduler and is notified whenever a lane may have something new to do."""

    recorder: Recorder
    cores: CoreAllocator
    memory_scheduler: MemoryScheduler
    turns: ComputingTurns
    columns: list[ColumnOptions]
    build_messages: Callable[[int, AnswerTask], tuple[Message, ...] | ev.Failed]
    budget: Budget
    changed: threading.Condition
    closing: threading.Event = field(default_factory=threading.Event)
