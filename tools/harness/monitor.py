"""QEMU's monitor, by QMP over a socket: keys typed on the emulated keyboard, pictures of the emulated screen, and what
only the machine's owner can do, such as non-maskable interrupts and machine checks."""

import json
import pathlib
import socket
import tempfile
import time

from harness.plan import Context, Failure
from harness.screen import Picture

# QEMU's names of keys that are no letter or digit, on the keyboard of the United States.
KEYS = {
    " ": "spc", "\n": "ret", "\t": "tab", "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", ";": "semicolon",
    "'": "apostrophe", "`": "grave_accent", "\\": "backslash", ",": "comma", ".": "dot", "/": "slash",
}  # fmt: skip
SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))


def key_names(character: str) -> list[str]:
    """The keys to press together for a character."""
    if character in SHIFTED:
        return ["shift", *key_names(SHIFTED[character])]
    if character.isupper():
        return ["shift", character.lower()]
    return [KEYS.get(character, character)]


class Monitor:
    """A connection to the monitor of a machine that was started with `qemu_extra()` in QEMU_EXTRA. Use with `with`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        # The name of a socket must be short, which a path under test/ may not be.
        self.directory = tempfile.TemporaryDirectory(prefix="russet-qmp-")
        self.path = pathlib.Path(self.directory.name, "qmp")
        self.socket: socket.socket | None = None
        self.pending = b""

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        if self.socket:
            self.socket.close()
        self.directory.cleanup()

    def qemu_extra(self) -> str:
        """What QEMU_EXTRA must hold."""
        return f"-qmp unix:{self.path},server=on,wait=off"

    def execute(self, command: str, **arguments: object) -> object:
        """Runs a command and returns what it gives."""
        if self.socket is None:
            self.socket = self.connect()
            self.message()  # the greeting
            self.execute("qmp_capabilities")
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = self.message()
            if "error" in answer:
                raise Failure(f"QEMU's monitor: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def command(self, text: str) -> str:
        """Gives a command of the monitor for people; what it shows."""
        self.context.say(f"(qemu) {text}")
        return str(self.execute("human-monitor-command", **{"command-line": text}))

    def connect(self) -> socket.socket:
        """Waits until QEMU listens."""
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(30)
            try:
                connection.connect(str(self.path))
                return connection
            except OSError:
                connection.close()
                self.context.left_s()
                time.sleep(0.1)

    def message(self) -> dict:
        """The next message; events are skipped by whoever looks for an answer."""
        assert self.socket
        while b"\n" not in self.pending:
            data = self.socket.recv(65536)
            if not data:
                raise Failure("QEMU has closed its monitor")
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return json.loads(line)

    def press(self, *keys: str) -> None:
        """Presses keys together, by QEMU's names (`ctrl`, `c`), and lets them go."""
        self.execute("send-key", keys=[{"type": "qcode", "data": key} for key in keys], **{"hold-time": 20})
        time.sleep(0.05)  # send-key does not wait until the keys are up again

    def type(self, text: str) -> None:
        """Types characters."""
        for character in text:
            self.press(*key_names(character))

    def picture(self) -> Picture:
        """What the screen shows."""
        path = self.path.with_name("screen.ppm")
        self.execute("screendump", filename=str(path))
        return Picture.read(path)
