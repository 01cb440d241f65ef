"""Models keep to the cores that other programs leave."""

from tests.support.engines import EchoEngine
from tui.run.core_allocator import CoreAllocator


def test_the_models_divide_what_is_left() -> None:
    one, two = EchoEngine(), EchoEngine()
    cores = CoreAllocator(4)
    with cores.allocate(one), cores.allocate(two):
        cores.set_available(2)
        cores.set_available(2)
        assert (one.threads, two.threads) == ([4, 2, 1], [2, 1])
        cores.set_available(9)
        assert (one.threads[-1], two.threads[-1]) == (2, 2)
    cores.set_available(1)
    with cores.allocate(one):
        assert one.threads[-1] == 1
        with cores.allocate(two):
            assert two.threads[-1] == 1, "nobody is kept waiting for what others take"
