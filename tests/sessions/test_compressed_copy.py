import random

from tui.sessions.compressed_copy import CompressedCopy
from tui.sessions.lines import add_crc


def test_what_comes_out_is_what_went_in_and_takes_less() -> None:
    chance, packed, whole = random.Random(1), CompressedCopy(), b""
    for number in range(4000):
        line = add_crc(b'[%d,%d,0,"delta",{"answer":1}]' % (number, chance.randrange(10**9)))
        whole += line
        packed.append(line)
    more = b"".join(add_crc(b'[%d,0,0,"note",{"text":"\\r\xe5\x95\x8a"}]' % n) for n in range(9000))
    packed.append(more)
    packed.append(b"")
    whole += more
    assert b"".join(packed.pieces()) == whole
    assert packed.size == len(whole)
    assert sum(map(len, packed._blocks)) + len(packed._uncompressed) < len(whole) / 4
