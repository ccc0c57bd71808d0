"""The prompt, used by typing on the serial console."""

import re

from harness.console import PROMPT, Terminal
from harness.plan import Context, Failure, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")
LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
BACKSPACE, CTRL_C, CTRL_Z, CTRL_R = "\x7f", "\x03", "\x1a", "\x12"
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


def completing(context: Context) -> None:
    """Tab completes commands and paths and lists what there is; Ctrl-R finds a line of the history."""
    with start(context) as terminal:
        terminal.command("ca\t/hel\t", GREETING)
        terminal.command("cat /nes\tnes\t", r"^Nested hello$")
        terminal.type("ls /bin/\t")
        terminal.expect(r"busybox +hello +primes")
        terminal.type(CTRL_C)
        terminal.expect(re.escape(PROMPT))
        terminal.type(CTRL_R + "hello.t")
        terminal.expect(r"\(search\) hello\.t: cat /hello\.txt")
        terminal.type("\n")
        terminal.expect(GREETING)
        terminal.expect(re.escape(PROMPT))
        finish(terminal)


def control_c(context: Context) -> None:
    """Ctrl-C drops a half-typed line, and interrupts the program that owns the terminal."""
    with start(context) as terminal:
        terminal.type("exit 9" + CTRL_C)
        terminal.expect(re.escape(PROMPT))
        terminal.type("exec /bin/busybox sh -c 'echo ready; exec /bin/busybox sleep 1000'\n")
        terminal.expect(r"^ready$")
        terminal.type(CTRL_C)
        terminal.expect(r"^/bin/busybox \[pid \d+\]: killed by SIGINT \(2\)$")
        terminal.expect(re.escape(PROMPT))
        terminal.command("cat /hello.txt", GREETING)
        finish(terminal)


def program_reads(context: Context) -> None:
    """A program reads lines from the terminal until Ctrl-D."""
    with start(context) as terminal:
        # What is typed before the program reads waits for it.
        terminal.type("exec /bin/busybox cat\n")
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


def prompt(context: Context) -> None:
    """The prompt tells how the last command ended; its colours can be switched off."""
    with start(context) as terminal:
        terminal.command("exec /bin/busybox sh -c 'exit 7'", r"exit status 7$")
        terminal.command("exec /bin/busybox sh -c 'kill -9 $$'", r"killed by SIGKILL \(9\)$")
        terminal.command("nothing", r"^nothing: no such command")
        terminal.command("colours", r"^on$")
        for shown in ("32mksh > ", "31m[7] ksh > ", "31m[137] ksh > ", "31m[1] ksh > "):
            context.check(f"\x1b[{shown}" in terminal.seen, f"no prompt is {shown!r}")
        terminal.command("colours off")
        seen = len(terminal.seen)
        terminal.command("colours blue", r"^colours: blue: neither on nor off$")
        terminal.command("colours", r"^off$")
        context.check("\x1b[3" not in terminal.seen[seen:], "there are colours still")
        finish(terminal)


def full_screen(context: Context) -> None:
    """busybox's vi, less and top on the serial console."""
    with start(context) as terminal:
        terminal.type("exec /bin/busybox vi /hello.txt\n")
        terminal.expect(r"- /hello.txt 1/1 100%")
        terminal.type("Aand more\x1b")
        # Escape alone: what comes too soon after it is taken for the rest of a key's sequence, and thrown away.
        terminal.expect(r"- /hello.txt \[Modified\] 1/1 100%")
        terminal.type(":wq\n")
        terminal.expect(r"exit status 0$")
        terminal.command("cat /hello.txt", r"^Hello, world!and more$")
        terminal.type("exec /bin/busybox less /hello.txt\n")
        terminal.expect(r"Hello, world!and more")
        terminal.expect(r"~\n+/hello\.txt")
        terminal.type("q")
        terminal.expect(r"exit status 0$")
        terminal.type("exec /bin/busybox top -d 1\n")
        for _ in range(2):
            terminal.expect(r"Mem: [1-9]\d+K used, [1-9]\d+K free")
        terminal.type("q")
        terminal.expect(r"exit status 0$")
        terminal.expect(re.escape(PROMPT))
        terminal.command("exec /bin/busybox stty size", r"^24 80$")
        finish(terminal)


SH_PROMPT = "sh# "


def busybox_sh(context: Context) -> None:
    """A Unix shell on the terminal: pipelines, here-documents, substitution, job control with Ctrl-C and Ctrl-Z."""
    with start(context) as terminal:
        terminal.type("exec /bin/busybox sh\n")
        terminal.expect(r"^.*# $")
        terminal.type(f"PS1='{SH_PROMPT}'; b=/bin/busybox\n")
        terminal.expect(rf"^{SH_PROMPT}")

        def sh(line: str, pattern: str = "") -> None:
            terminal.type(line + "\n")
            if pattern:
                terminal.expect(pattern)
            terminal.expect(rf"^{SH_PROMPT}")

        sleeper = "$b sh -c 'echo ready; exec /bin/busybox sleep 1000'\n"
        sh("echo one two | $b cat | $b wc -w", r"^2$")
        sh("echo $($b uname -m)-$((6 * 7))", r"^x86_64-42$")
        sh("$b cat <<END | $b sort\nzeta\nalpha\nEND", r"^alpha\nzeta$")
        sh("(exit 7); echo status $?", r"^status 7$")
        sh("kill -TERM $$ ; trap 'echo caught' USR1; kill -USR1 $$", r"^caught$")
        # A program in the foreground is interrupted, and the shell goes on.
        terminal.type(sleeper)
        terminal.expect(r"^ready$")
        terminal.type(CTRL_C)
        terminal.expect(rf"^{SH_PROMPT}")
        sh("echo status $?", r"^status 130$")
        # Stopped, listed, continued in the background, brought back, interrupted.
        terminal.type(sleeper)
        terminal.expect(r"^ready$")
        terminal.type(CTRL_Z)
        terminal.expect(r"\[1\]\+ +Stopped")
        terminal.expect(rf"^{SH_PROMPT}")
        sh("jobs", r"^\[1\]\+ +Stopped")
        sh("bg", r"sleep 1000")
        sh("jobs", r"^\[1\]\+ +Running")
        terminal.type("fg\n")
        terminal.expect(r"^.*sleep 1000.*$")
        interrupt(terminal, rf"^{SH_PROMPT}")
        # A pipeline in the background ends by itself, and a reader in the background is stopped.
        sh("(echo from; echo below) | $b cat >/dev/null & wait; echo waited", r"^waited$")
        terminal.type("$b cat &\n")
        terminal.expect(rf"^{SH_PROMPT}")
        sh("$b sleep 0.3; jobs", r"Stopped \(tty input\)")
        sh("kill -KILL %1; $b sleep 1; jobs; echo gone", r"^gone$")
        terminal.type("exit 5\n")
        terminal.expect(r"^/bin/busybox \[pid \d+\]: exit status 5$")
        terminal.expect(re.escape(PROMPT))
        finish(terminal)


def interrupt(terminal: Terminal, prompt: str) -> None:
    """Types Ctrl-C until the prompt comes: the first may come before the program has the terminal."""
    for attempt in range(1, 11):
        terminal.type(CTRL_C)
        try:
            terminal.expect(prompt, within_s=6)
            return
        except Failure:
            if attempt == 10:
                raise


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("interactive/editing", editing, SECONDS, needs=NEEDS),
        Test("interactive/completing", completing, SECONDS, needs=NEEDS),
        Test("interactive/prompt", prompt, SECONDS, needs=NEEDS),
        Test("interactive/full-screen", full_screen, SECONDS, needs=NEEDS),
        Test("interactive/control-c", control_c, SECONDS, needs=NEEDS),
        Test("interactive/busybox-sh", busybox_sh, SECONDS, needs=NEEDS),
        Test("interactive/program-reads", program_reads, SECONDS, needs=NEEDS),
        Test("interactive/first-light", first_light_by_typing, SECONDS, needs=NEEDS),
    ]
