"""Booted machines seen from their serial console: run to the end, or talked to through a pseudo-terminal."""

import dataclasses
import os
import pty
import re
import select
import subprocess
import time
import tty

from harness import sessions
from harness.plan import TOP, Context, Failure, clean_environment

RUN = str(TOP / "tools/run")
PROMPT = "ksh > "
# CSI sequences (colours, cursor), OSC sequences, other two-byte escapes.
ESCAPES = re.compile(r"\x1b(\[[0-9;?=<>]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78DEHMNOZc])|[\x0e\x0f]")


def plain(text: str) -> str:
    """Console text without escape sequences and carriage returns."""
    return ESCAPES.sub("", text).replace("\r", "")


@dataclasses.dataclass
class Boot:
    """A finished run: the status of tools/run and everything the console showed."""

    status: int
    console: str

    def lines(self) -> list[str]:
        """The console's lines."""
        return self.console.splitlines()

    def wants(self, *patterns: str) -> None:
        """Fails unless each regular expression matches a place in the console (`^` and `$` are line borders)."""
        for pattern in patterns:
            if not re.search(pattern, self.console, re.MULTILINE):
                raise Failure(f"the console has nothing that matches {pattern!r}")

    def count(self, pattern: str) -> int:
        """How often the expression matches."""
        return len(re.findall(pattern, self.console, re.MULTILINE))

    def complaints(self) -> list[str]:
        """The first lines that tell of a check that failed or of an error, or are the last of a command after which the prompt
        has a status."""
        lines = self.lines()
        bad = re.compile(r"^line \d+: |\bFAILED\b|\bERROR\b")
        return [line for line, after in zip(lines, [*lines[1:], ""]) if bad.search(line) or re.match(r"\[\d+\] ksh > ", after)][:5]

    def no_panic(self) -> None:
        """Fails if the kernel panicked."""
        found = re.search(r"^.*(kernel panic|kernel fault|panic inside).*$", self.console, re.MULTILINE | re.IGNORECASE)
        if found:
            raise Failure(f"the kernel panicked: {found.group(0).strip()}")


def settings_for(context: Context, settings: dict[str, str]) -> dict[str, str]:
    """The environment of tools/run: a quick default, the test's COM2 log, the test's own settings."""
    return {"RUST_BUILD_MODE": "release", "UEFI": "off", "COM2": str(context.com2_path), **settings}


def boot(context: Context, cmdline: str, *, status: int | None = 0, panics: bool = False, **settings: str) -> Boot:
    """Boots with these shell commands and waits for the end. `status=None` takes any status; `panics` takes a panic."""
    text = context.command([RUN], settings=settings_for(context, {"CMDLINE": cmdline, **settings}), status=None)
    result = Boot(context.status, plain(text))
    if not panics:
        result.no_panic()
    if status is not None and result.status != status:
        raise Failure("; ".join([f"the run ended with status {result.status}, not {status}", *result.complaints()]))
    return result


class Terminal:
    """A machine at the other end of a pseudo-terminal. Use with `with`; what it shows goes to the test's log."""

    def __init__(self, context: Context, command: str = RUN, **settings: str) -> None:
        self.context = context
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.process = sessions.start(
            [command], stdin=slave, stdout=slave, stderr=subprocess.STDOUT, env=clean_environment(settings_for(context, settings))
        )
        os.close(slave)
        self.seen = ""
        self.mark = 0  # where the next `expect` begins to look

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        sessions.end(self.process)
        os.close(self.master)

    def type(self, keys: str) -> None:
        """Types keys, each by itself and none too fast, as a person does."""
        for key in re.findall(r"\x1b\[.|.|\n", keys, re.DOTALL):
            os.write(self.master, key.replace("\n", "\r").encode())
            self.read(0.02)

    def expect(self, pattern: str, within_s: float = 60) -> str:
        """Waits until the expression matches something shown since the last match; returns the match."""
        end = time.monotonic() + min(within_s, self.context.left_s())
        wanted = re.compile(pattern, re.MULTILINE)
        while True:
            # From `mark` on, and not in a slice from there: `^` is the border of a line, not where the last match ended.
            found = wanted.search(plain(self.seen), self.mark)
            if found:
                self.mark = found.end()
                return found.group(0)
            if time.monotonic() > end:
                raise Failure(f"nothing that matches {pattern!r} within {within_s:.0f} s")
            if not self.read(0.2) and self.process.poll() is not None:
                raise Failure(f"the machine ended while {pattern!r} was awaited")

    def command(self, text: str, pattern: str = "") -> str:
        """Types a line, waits for what it should show and for the next prompt."""
        self.type(text + "\n")
        shown = self.expect(pattern) if pattern else ""
        self.expect(re.escape(PROMPT))
        return shown

    def end_status(self) -> int:
        """Waits for the machine to end."""
        while self.process.poll() is None:
            self.context.left_s()
            self.read(0.2)
        return self.process.returncode

    def read(self, wait_s: float) -> bool:
        """Takes in what has come, waiting a little; false when nothing came."""
        if not select.select([self.master], [], [], wait_s)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        with self.context.log_path.open("ab") as log:
            log.write(data)
        self.seen += data.decode("utf-8", "replace")
        return bool(data)
