"""Models keep to the cores that other programs leave."""

from tests.support.engines import EchoEngine
from tui.run.core_allocator import Cores


def test_the_models_divide_what_is_left() -> None:
    one, two = EchoEngine(), EchoEngine()
    cores = Cores(4)
    with cores.use(one), cores.use(two):
        cores.leave(2)
        cores.leave(2)
        assert (one.threads, two.threads) == ([4, 2, 1], [2, 1])
        cores.leave(9)
        assert (one.threads[-1], two.threads[-1]) == (2, 2)
    cores.leave(1)
    with cores.use(one):
        assert one.threads[-1] == 1
        with cores.use(two):
            assert two.threads[-1] == 1, "nobody is kept waiting for what others take"
