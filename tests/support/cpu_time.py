"""CPU time: a bound on it holds however loaded the machine is."""

import resource
import time


def cpu_seconds() -> float:
    """Seconds that this process and its ended children have computed."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
