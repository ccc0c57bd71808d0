"""The prompt, used by typing on the serial console."""

import re

from harness.console import PROMPT, Terminal
from harness.plan import Context, Failure, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")
LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
BACKSPACE, CTRL_C = "\x7f", "\x03"
GREETING = r"^Hello, world!$"


def start(context: Context, **settings: str) -> Terminal:
    """A machine at its prompt with the ext2 image mounted."""
    terminal = Terminal(context, **settings)
    terminal.expect(re.escape(PROMPT), within_s=240)
    terminal.command("mount 2")
    return terminal


def finish(terminal: Terminal) -> None:
    """`exit 0` powers off."""
    terminal.type("exit 0\n")
    status = terminal.end_status()
    if status != 0:
        raise Failure(f"`exit 0` ended the run with status {status}")


def editing(context: Context) -> None:
    """Backspace, arrow keys and history."""
    with start(context) as terminal:
        terminal.command("cat /hello.txtxx" + BACKSPACE * 2, GREETING)
        terminal.command("cat /helo.txt" + LEFT * 5 + "l", GREETING)
        terminal.command("cat /helo.txt" + LEFT * 6 + RIGHT + "l", GREETING)
        terminal.command(UP, GREETING)
        terminal.command("cat /nested-dir/nested.txt", r"^Nested hello$")
        terminal.command(UP + UP, GREETING)
        terminal.command(UP + UP + DOWN, GREETING)
        # Keys that have nothing to act on change nothing.
        terminal.command(BACKSPACE * 3 + LEFT * 3 + RIGHT * 3 + "cat /hello.txt", GREETING)
        finish(terminal)


def control_c(context: Context) -> None:
    """Ctrl-C drops a half-typed line, and interrupts the program that owns the terminal."""
    with start(context) as terminal:
        terminal.type("exit 9" + CTRL_C)
        terminal.expect(re.escape(PROMPT))
        terminal.type("exec /bin/busybox sleep 1000\n")
        terminal.read(3)
        terminal.type(CTRL_C)
        terminal.expect(r"^/bin/busybox \[pid \d+\]: killed by SIGINT \(2\)$")
        terminal.expect(re.escape(PROMPT))
        terminal.command("cat /hello.txt", GREETING)
        finish(terminal)


def program_reads(context: Context) -> None:
    """A program reads lines from the terminal until Ctrl-D."""
    with start(context) as terminal:
        terminal.type("exec /bin/busybox cat\n")
        terminal.read(2)
        terminal.type("typed words\n")
        # Once echoed, once written back by cat.
        terminal.expect(r"typed words\n(.*\n)*?typed words$")
        terminal.type("\x04")
        terminal.expect(re.escape(PROMPT))
        finish(terminal)


def first_light_by_typing(context: Context) -> None:
    """The commands of the boot tests, one at a time."""
    with start(context) as terminal:
        terminal.command("ls /", r"hello\.txt")
        terminal.command("cat /hello.txt", GREETING)
        terminal.command("exec /bin/hello", r"^Hello from user mode!$")
        terminal.command("exec 4 /bin/primes 15000", r"^4 instances in \d+\.\d{3} s$")
        terminal.command("exec /bin/busybox uname -a", r"x86_64 GNU/Linux$")
        terminal.command("no-such-command", rf"^(?!{PROMPT}).*no-such-command")
        terminal.command("test", r"^[1-9]\d* passed, 0 failed$")
        finish(terminal)


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("interactive/editing", editing, SECONDS, needs=NEEDS),
        Test("interactive/control-c", control_c, SECONDS, needs=NEEDS),
        Test("interactive/program-reads", program_reads, SECONDS, needs=NEEDS),
        Test("interactive/first-light", first_light_by_typing, SECONDS, needs=NEEDS),
    ]
