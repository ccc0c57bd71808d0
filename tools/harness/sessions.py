"""The processes of a run: each leads a session of its own, so that it can be ended with all it has started.

An interrupt of the run (^C, or the signal by which a build server ends it) reaches none of them by itself: `end_all` does
it for them, and nothing is started any more.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Sequence


class Interrupted(Exception):
    """The run is being ended; nothing is started any more."""


# Guarded by `guard`.
guard = threading.Lock()
live: set[subprocess.Popen] = set()
closed = False


def start(argv: Sequence[str], **options) -> subprocess.Popen:
    """Starts a process as the leader of a session; the caller ends it with `end`."""
    with guard:
        if closed:
            raise Interrupted
        process = subprocess.Popen(argv, start_new_session=True, **options)
        live.add(process)
    return process


def end(process: subprocess.Popen) -> None:
    """Ends a process that `start` gave, and all it has started: politely, then surely."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        process.wait()
    with guard:
        live.discard(process)


def end_all() -> None:
    """Ends every process that runs, and lets no other begin."""
    global closed
    with guard:
        closed = True
        running = list(live)
    for process in running:
        end(process)


def interruptible() -> None:
    """Lets the signals that end a program do so as ^C does, by way of its `finally` blocks; not those it is to ignore (nohup)."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)
