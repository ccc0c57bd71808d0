"""QEMU's monitor, for what only the machine's owner can do: non-maskable interrupts, machine checks, screenshots."""

import pathlib
import socket
import tempfile
import time

from harness.console import plain
from harness.plan import Context

PROMPT = "(qemu) "


class Monitor:
    """The monitor of one machine, on a socket in a directory of its own. Use with `with`, around the machine."""

    def __init__(self, context: Context) -> None:
        self.context = context
        # Not under test/out/: the path of a socket is at most 107 bytes long.
        self.directory = tempfile.TemporaryDirectory(prefix="russet-")
        self.path = pathlib.Path(self.directory.name, "monitor")
        self.connection: socket.socket | None = None

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        if self.connection:
            self.connection.close()
        self.directory.cleanup()

    def qemu_extra(self) -> str:
        """What QEMU_EXTRA must hold."""
        return f"-monitor unix:{self.path},server=on,wait=off"

    def command(self, text: str) -> str:
        """Gives a command; what the monitor shows until its next prompt."""
        if self.connection is None:
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(str(self.path))
            self.read()
        self.context.say(f"(qemu) {text}")
        self.connection.sendall(text.encode() + b"\n")
        return self.read()

    def read(self) -> str:
        """Everything up to the next prompt."""
        seen = ""
        while not seen.endswith(PROMPT):
            assert self.connection
            self.connection.settimeout(self.context.left_s())
            data = self.connection.recv(65536)
            if not data:
                break  # the machine has ended
            seen += plain(data.decode("utf-8", "replace"))
        return seen.removesuffix(PROMPT)

    def wait_until_there(self) -> None:
        """Waits until QEMU has made the socket."""
        while not self.path.exists():
            self.context.left_s()
            time.sleep(0.1)
