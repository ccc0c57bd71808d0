"""A test, and what a test is given to work with.

A test is a function that takes a `Context` and returns when all is well or raises `Failure`. Everything that waits
(commands, boots) goes through the context, which ends it at the test's deadline: so a test cannot hang the run.
"""

import dataclasses
import os
import pathlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from harness import sessions

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = TOP / "test/out"


class Failure(Exception):
    """Why a test failed, in words for the person who reads the summary."""


@dataclasses.dataclass(frozen=True)
class Test:
    """A named test. `name` is `kind/what`; files in test/out/ are called after it."""

    name: str
    run: Callable[["Context"], None]
    timeout_s: int
    needs: tuple[str, ...] = ()  # tests that must have passed before
    holds: str = ""  # a resource only one test at a time may use, such as "debug builds"
    waits: bool = False  # for most of its time: one such test more may run than there are workers
    alone: bool = False  # nothing else may run meanwhile: for timings


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without the variables of `make` and of `tools/run`, then `settings`."""
    ours = {
        "RUST_BUILD_MODE", "UEFI", "GRAPHICS", "VIDEO", "CMDLINE", "SMP", "MEM", "ACCEL", "DISK", "COM2", "RUN_QEMU_GDB",
        "QEMU_EXTRA", "ONLY", "ISO",
    }  # fmt: skip
    kept = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("MAKE") and k != "MFLAGS"}
    return {**kept, **settings}


class Context:
    """One running test: its log, its deadline, and ways to start things."""

    def __init__(self, test: Test) -> None:
        self.test = test
        self.log_path = self.log_of(test)
        self.com2_path = OUT / f"{test.name}.com2.log"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path.write_bytes(b"")
        self.com2_path.unlink(missing_ok=True)
        self.status = 0  # of the last command
        self.shown = ""
        self.deadline = time.monotonic() + test.timeout_s

    @staticmethod
    def log_of(test: Test) -> pathlib.Path:
        """Where a test's log is."""
        return OUT / f"{test.name}.log"

    def left_s(self) -> float:
        """Seconds to the deadline; a failure when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failure(f"not done after {self.test.timeout_s} s")
        return left

    def say(self, text: str) -> None:
        """A line in the log."""
        with self.log_path.open("a", encoding="utf-8") as log:
            log.write(text + "\n")

    def show(self, text: str) -> None:
        """Lines for the log and for the person who runs the tests: figures."""
        self.say(text)
        self.shown += text + "\n"

    def check(self, holds: bool, otherwise: str) -> None:
        """Fails with `otherwise` unless `holds`."""
        if not holds:
            raise Failure(otherwise)

    def command(
        self, argv: Sequence[str], *, cwd: pathlib.Path = TOP, settings: Mapping[str, str] | None = None, status: int | None = 0
    ) -> str:
        """Runs a command to its end; its output goes to the log and is returned. `status=None` takes any."""
        self.say("$ " + " ".join(argv))
        with self.log_path.open("ab") as log:
            start = log.tell()
            process = sessions.start(
                argv, cwd=cwd, env=clean_environment(settings or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                process.wait(self.left_s())
            except (subprocess.TimeoutExpired, Failure):
                raise Failure(f"`{argv[0]}` was not done after {self.test.timeout_s} s") from None
            finally:
                sessions.end(process)
        self.status = process.returncode
        text = self.log_path.read_bytes()[start:].decode("utf-8", "replace")
        if status is not None and process.returncode != status:
            raise Failure(f"`{' '.join(argv)}` ended with status {process.returncode}, not {status}")
        return text
