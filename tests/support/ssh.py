"""A real SSH server and client on loopback: a program in a pseudo-terminal at the far end."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import asyncssh
import pyte


class _Server(asyncssh.SSHServer):
    """Lets everybody in: it listens on loopback for one test."""

    def begin_auth(self, username: str) -> bool:
        return False


def _resize(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Program:
    """What the server runs for a connection, as sshd does: a session of its own on a pty,
    which is hung up when the connection goes."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.command, self.env = command, env
        self.pid = 0
        self.status: int | None = None

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        columns, rows, *_ = process.get_terminal_size()
        self.pid, fd = pty.fork()
        if not self.pid:
            environ = {**os.environ, **self.env, "TERM": process.get_terminal_type() or "dumb"}
            os.execvpe(self.command[0], list(self.command), environ)
        _resize(fd, columns, rows)
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def forward() -> None:
            try:
                data = os.read(fd, 65536)
            except OSError:
                data = b""
            if data:
                process.stdout.write(data)
            else:
                gone.set()

        async def keys() -> None:
            while not process.stdin.at_eof():
                try:
                    if data := await process.stdin.read(4096):
                        os.write(fd, data)
                except asyncssh.TerminalSizeChanged as size:
                    _resize(fd, size.width, size.height)
                except (OSError, asyncssh.Error, asyncssh.BreakReceived):
                    break
            gone.set()

        loop.add_reader(fd, forward)
        typing = asyncio.ensure_future(keys())
        await gone.wait()
        loop.remove_reader(fd)
        os.close(fd)  # the kernel hangs the program up
        typing.cancel()
        _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(OSError, asyncssh.Error):
            process.exit(self.status & 0xFF)


class Client:
    """A terminal at the near end of the connection."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], columns: int, rows: int) -> None:
        self.process, self.raw = process, bytearray()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def send(self, keys: str) -> None:
        self.process.stdin.write(keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self.process.change_terminal_size(columns, rows)

    async def wait(self, wanted: str | Callable[[str], bool], seconds: float = 30) -> None:
        """Read until the screen shows ``wanted``."""
        seen = wanted if callable(wanted) else lambda text: wanted in text
        try:
            async with asyncio.timeout(seconds):
                while not seen(self.text()):
                    data = await self.process.stdout.read(65536)
                    if not data:
                        break
                    self.raw += data
                    self._stream.feed(data)
                    for _ in range(data.count(b"\x1b[6n")):
                        self.process.stdin.write(b"\x1b[1;1R")
        except TimeoutError:
            pass
        assert seen(self.text()), f"not seen within {seconds} s: {wanted}\n{self.text()}"


@contextlib.asynccontextmanager
async def connected(
    program: Program, term: str = "xterm-256color", columns: int = 120, rows: int = 36
) -> AsyncIterator[tuple[Client, asyncssh.SSHClientConnection]]:
    """A client with a terminal of a type and a size, whose program has begun."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Server,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=program.serve,
        encoding=None,
        line_editor=False,
    )
    async with server:
        connection = await asyncssh.connect(
            "127.0.0.1", server.get_port(), known_hosts=None, username="anybody", config=None
        )
        async with connection:
            process = await connection.create_process(
                term_type=term, term_size=(columns, rows), encoding=None
            )
            yield Client(process, columns, rows), connection
