import random

from tui.sessions.packed import Packed


def test_what_comes_out_is_what_went_in_and_takes_less() -> None:
    chance, packed, whole = random.Random(1), Packed(), b""
    for number in range(4000):
        line = b'[%d,%d,0,"delta",{"answer":1}]\n' % (number, chance.randrange(10**9))
        whole += line
        packed.append(line)
    packed.append(bytes(200_000))
    whole += bytes(200_000)
    assert b"".join(packed.pieces()) == whole
    assert packed.size == len(whole)
    assert sum(map(len, packed._blocks)) + len(packed._tail) < len(whole) / 2
