"""What a session file survives, by counts.

    python -m tests.campaigns.session_faults [--kills 200] [--disks 25] [--folder DIR]

Real writer processes are killed, real files damaged, real disks filled: RLIMIT_FSIZE for
EFBIG and short writes, a tmpfs of 64 KiB for ENOSPC, a btrfs image with a quota for EDQUOT, an
ext4 image that the kernel turns read-only for EROFS and shuts down for EIO, a FUSE mount for
what is written on the local disk and copied at the end. What needs the right to mount, or a
program (mkfs.ext4; mkfs.btrfs and btrfs of Debian's btrfs-progs; bindfs), is left out, and said
so, where that is missing.
"""

import argparse
import fcntl
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import row
from benchmarks.support.sessions import HEADER, write_session
from tests.campaigns import promises
from tests.campaigns.promises import expect, expect_counts
from tests.support.disks import mounted
from tui import events as ev
from tui.host.errors import UserError
from tui.sessions import reader
from tui.sessions.journal import Journal
from tui.sessions.lines import SUFFIX

EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)


def write_until_killed(folder: str) -> None:
    """Four models stream; each acknowledged event's number goes to stdout, unbuffered."""
    journal = Journal.create(Path(folder), HEADER)
    os.write(1, str(journal.path).encode() + b"\n")

    def model(index: int) -> None:
        for i in range(1_000_000):
            event = journal.append(i, index, ev.Delta(index, text=f"{index}.{i} "))
            os.write(1, b"%d\n" % event.seq)

    for index in range(4):
        threading.Thread(target=model, args=(index,)).start()


def kills(folder: Path, count: int, chance: random.Random) -> None:
    """kill -9 at random points while four models stream."""
    seen: Counter[str] = Counter()
    for _ in range(count):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.campaigns.session_faults", "--write", str(folder)],
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        path = Path(writer.stdout.readline().decode().strip())
        timer = threading.Timer(chance.uniform(0.0, 0.15), writer.kill)
        timer.start()
        acknowledged = [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
        assert writer.wait() == -signal.SIGKILL
        reading = reader.read(path)
        seen["acknowledged"] += len(acknowledged)
        seen["lost"] += sum(seq >= len(reading.events) for seq in acknowledged)
        seen[reading.verdict] += 1
        Journal.reopen(path).close("done")
        seen["opened and closed again"] += reader.read(path).verdict == "complete"
        path.unlink()
    row(f"kill -9, {count} times", str(dict(seen)), "lost 0, torn 0")
    promised = {"lost": 0, "torn": 0, "damaged": 0, "opened and closed again": count}
    expect_counts("kill -9", seen, promised)


def damages(folder: Path, chance: random.Random) -> None:
    """Truncation at every byte, every bit, garbage tails, lines lost, doubled, swapped."""
    data = write_session(folder, models=4, tokens=10).read_bytes()
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
    events = reader.scan(data, "").events
    ends = {0} | {sum(map(len, lines[: i + 1])) for i in range(len(lines))}
    last = len(data) - len(lines[-1])

    def show(name: str, seen: Counter[str]) -> None:
        row(name, str(dict(seen)), "wrong 0")
        expect_counts(name, seen, {"wrong events": 0, "wrong verdicts": 0})

    def check(changed: bytes, wanted: str, seen: Counter[str]) -> None:
        found = reader.scan(changed, "")
        seen["tried"] += 1
        seen["wrong events"] += found.events != events[: len(found.events)]
        seen["wrong verdicts"] += found.verdict != wanted

    seen: Counter[str] = Counter()
    for size in range(len(data)):
        check(data[:size], "interrupted" if size in ends and size else "torn", seen)
    show("truncated at every byte", seen)
    seen = Counter()
    flipped = bytearray(data)
    for at in range(len(data)):
        for bit in range(8):
            flipped[at] ^= 1 << bit
            check(bytes(flipped), "torn" if at >= last - 1 else "damaged", seen)
            flipped[at] ^= 1 << bit
    show("every bit flipped", seen)
    seen = Counter()
    for _ in range(1000):
        check(data + chance.randbytes(chance.randrange(1, 2000)), "torn", seen)
    show("garbage tails", seen)
    seen = Counter()
    for i in range(len(lines)):
        without = lines[:i] + lines[i + 1 :]
        check(b"".join(without), "damaged" if i < len(lines) - 1 else "interrupted", seen)
        check(b"".join([*lines[: i + 1], *lines[i:]]), "damaged", seen)
        for j in range(i + 1, len(lines)):
            other = lines.copy()
            other[i], other[j] = other[j], other[i]
            check(b"".join(other), "damaged", seen)
    show("lines lost, doubled, swapped", seen)


def refusals(
    name: str,
    count: int,
    break_: Callable[[Journal, random.Random], None],
    chance: random.Random,
    folder: Callable[[], Path],
    mend: Callable[[], None],
    spare: Path,
) -> Counter[str]:
    """Break the disk in the middle of a run, ``count`` times; the run must not notice."""
    seen: Counter[str] = Counter()
    write = os.write

    def counting(fd: int, data: bytes) -> int:
        done = write(fd, data)
        seen["short writes"] += done < len(data)
        return done

    for _ in range(count):
        os.write = counting  # type: ignore[assignment]
        journal = Journal.create(folder(), HEADER, sync_s=0.01, retry_s=0.05)
        wanted = [journal.append(i, 0, ev.Delta(0, text=f"{i} ")) for i in range(50)]
        break_(journal, chance)
        wanted += [journal.append(i, 0, ev.Delta(0, text=f"{i} " * 20)) for i in range(900)]
        state = journal.state
        seen["told"] += not state.saved
        seen[state.error or "no error"] += 1
        try:
            part = reader.read(journal.path)
        except UserError:
            seen["not readable meanwhile"] += 1
        else:
            seen["file valid meanwhile"] += (
                part.verdict == "interrupted" and part.events[1:] == wanted[: len(part.events) - 1]
            )
        mend()
        if name == "EFBIG and short writes":
            end = time.monotonic() + 5
            while not journal.state.saved and time.monotonic() < end:
                time.sleep(0.01)
        else:
            journal.save_to(spare)
        journal.close("done")
        whole = reader.read(journal.path)
        seen["whole at the end"] += whole.verdict == "complete" and whole.events[1:-1] == wanted
        journal.path.unlink()
    os.write = write
    expect_counts(name, seen, {"whole at the end": count})
    valid = seen["file valid meanwhile"] + seen["not readable meanwhile"]
    expect(f"{name}, valid or not readable meanwhile", valid, count)
    return seen


def limits(folder: Path, count: int, chance: random.Random) -> None:
    """A file that may not grow: the write over the limit is short, the next is EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def break_(journal: Journal, chance: random.Random) -> None:
        limit = journal.path.stat().st_size + chance.randrange(40_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))

    def mend() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    name = "EFBIG and short writes"
    seen = refusals(name, count, break_, chance, lambda: folder, mend, folder)
    row(f"{name}, {count} times", str(dict(seen)))


def full(spare: Path, count: int, chance: random.Random) -> None:
    """A disk that other data fills while the run goes on."""
    with mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs") as place:
        if place is None:
            row("ENOSPC", "left out: not allowed to mount")
            return
        ballast = place / "ballast"

        def break_(journal: Journal, chance: random.Random) -> None:
            ballast.write_bytes(b"x" * (chance.randrange(2, 12) << 12))

        def mend() -> None:
            ballast.unlink()

        def folder() -> Path:
            for path in place.glob(f"*{SUFFIX}"):
                path.unlink()
            return place

        seen = refusals("ENOSPC", count, break_, chance, folder, mend, spare)
        row(f"ENOSPC, {count} times", str(dict(seen)))


def over_quota(spare: Path, count: int, chance: random.Random) -> None:
    """A btrfs whose quota leaves room for a part of the run."""
    if not all(map(shutil.which, ("mkfs.btrfs", "btrfs"))):
        row("EDQUOT", "left out: no btrfs-progs")
        return

    def break_(journal: Journal, chance: random.Random) -> None:
        command = ["btrfs", "qgroup", "limit", f"{chance.randrange(32, 64)}K"]
        subprocess.run([*command, str(journal.path.parent)], check=True, capture_output=True)

    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "image"
        for _ in range(count):
            # A new one each time: over its quota, a btrfs refuses to be given another.
            image.write_bytes(b"")
            with image.open("r+b") as file:
                file.truncate(128 << 20)
            subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True, capture_output=True)
            with mounted("-o", "loop", str(image)) as place:
                if place is None:
                    seen["left out: not allowed to mount"] += 1
                    break
                subprocess.run(["btrfs", "quota", "enable", str(place)], check=True)
                seen += refusals("EDQUOT", 1, break_, chance, lambda at=place: at, _leave, spare)  # type: ignore[misc]
    row(f"EDQUOT, {count} times", str(dict(seen)))


def remote(folder: Path, count: int) -> None:
    """A FUSE mount: nothing is written there before the end, then the session whole."""
    if shutil.which("bindfs") is None:
        row("FUSE", "left out: no bindfs")
        return
    below, bucket = folder / "below", folder / "bucket"
    below.mkdir()
    bucket.mkdir()
    done = subprocess.run(["bindfs", "--no-allow-other", str(below), str(bucket)])
    if done.returncode:
        row("FUSE", "left out: not allowed to mount")
        return
    os.environ["DUIBI_CACHE_DIR"] = str(folder / "cache")
    seen: Counter[str] = Counter()
    try:
        for _ in range(count):
            journal = Journal.create(bucket, HEADER, sync_s=0.01)
            wanted = [journal.append(i, 0, ev.Delta(0, text=f"{i} ")) for i in range(200)]
            seen["written locally"] += not any(below.iterdir())
            seen["said so"] += str(bucket) == journal.state.target
            journal.close("done")
            whole = reader.read(bucket / journal.path.name)
            seen["whole at the end"] += whole.events[1:-1] == wanted
            seen["nothing left behind"] += not any((folder / "cache").rglob(f"*{SUFFIX}"))
            journal.path.unlink()
    finally:
        subprocess.run(["umount", "-l", str(bucket)], check=True)
    row(f"FUSE, {count} sessions", str(dict(seen)))
    kept = ("written locally", "said so", "whole at the end", "nothing left behind")
    expect_counts("FUSE", seen, dict.fromkeys(kept, count))


def broken(spare: Path, count: int, chance: random.Random) -> None:
    """An ext4 that turns read-only after an error, and one that stops doing anything."""
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "image"
        with image.open("wb") as file:
            file.truncate(8 << 20)
        if subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True).returncode:
            row("EROFS, EIO", "left out: no mkfs.ext4")
            return

        def read_only(journal: Journal, chance: random.Random) -> None:
            loop = os.path.realpath(f"/sys/dev/block/{_device(journal.path)}")
            Path(f"/sys/fs/ext4/{Path(loop).name}/trigger_fs_error").write_text("test\n")

        def dead(journal: Journal, chance: random.Random) -> None:
            fd = os.open(journal.path.parent, os.O_RDONLY)
            fcntl.ioctl(fd, EXT4_SHUTDOWN, struct.pack("I", 2))
            os.close(fd)

        for kind, break_ in (("EROFS", read_only), ("EIO", dead)):
            seen: Counter[str] = Counter()
            for _ in range(count):
                subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
                with mounted("-o", "loop,errors=remount-ro", str(image)) as place:
                    if place is None:
                        seen["left out: not allowed to mount"] += 1
                        break
                    seen += refusals(kind, 1, break_, chance, lambda at=place: at, _leave, spare)  # type: ignore[misc]
            row(f"{kind}, {count} times", str(dict(seen)))


def _leave() -> None:
    """Nothing to mend: such a disk stays broken, the run goes on in another folder."""


def _device(path: Path) -> str:
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def names(folder: Path, processes: int, rounds: int) -> None:
    """Processes that start at the same instant: no file is shared."""
    program = (
        "import sys, time; from pathlib import Path;"
        "from benchmarks.support.sessions import HEADER;"
        "from tui.sessions.journal import Journal;"
        "print('ready', flush=True); sys.stdin.readline();"
        f"js = [Journal.create(Path(sys.argv[1]), HEADER) for _ in range({rounds})];"
        "[j.close('done') for j in js]; print('\\n'.join(str(j.path) for j in js))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    made = [path for process in started for path in process.communicate()[0].split()]
    whole = sum(reader.read(Path(path)).verdict == "complete" for path in made)
    row(
        f"{processes} processes x {rounds} sessions",
        f"{len(set(made))} files, {len(made) - len(set(made))} shared, {whole} complete",
        "shared 0",
    )
    expect("sessions of their own", len(set(made)), processes * rounds)
    expect("complete sessions", whole, processes * rounds)


def main() -> None:
    """Run all and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--disks", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to test")
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write_until_killed(given.write)
        return
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        damages(folder, chance)
        names(folder, 8, 40)
        limits(folder, given.disks, chance)
        full(folder, given.disks, chance)
        over_quota(folder, given.disks, chance)
        remote(folder, given.disks)
        broken(folder, given.disks, chance)
        kills(folder, given.kills, chance)
    promises.end()


if __name__ == "__main__":
    main()
