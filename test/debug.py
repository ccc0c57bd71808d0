"""The debugger: `make gdb` in a script, against a kernel that QEMU has stopped before its first instruction."""

import re
import socket
import time

from harness.console import Terminal
from harness.plan import Context, Failure, Test

SECONDS = 300
NEEDS = ("build/debug", "build/disk")


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(context: Context, port: int) -> None:
    """Waits until QEMU listens. Asking is not connecting: a connection would be taken for the debugger."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    while True:
        with open("/proc/net/tcp", encoding="ascii") as table:
            if wanted in table.read():
                return
        context.left_s()
        time.sleep(0.1)


# One session: the multiboot entry, kernel_main, a program's main, and the kernel with a lock held.
SESSION = (
    "hbreak boot_entry", "continue", "kregs", "hbreak kernel_main", "continue", "backtrace 3", "kregs", "kpt $rip", "kpt 0",
    "user-symbols build/user/root/bin/primes", "delete", "hbreak main", "continue", "info symbol $rip", "kregs", "ktasks", "kpt $rip",
    "klocks", "delete", "hbreak spin_for", "continue", "klocks", "ktasks", "kill",
)  # fmt: skip
CMDLINE = "mount 2; exec /bin/primes 1000; crash long-hold; exit"
# What it must show, in this order. Only debug builds note locks.
SHOWN = (
    r"Breakpoint 1, .*boot_entry", r"^rax 0000000036d76289", r"^cr0 0x[0-9a-f]+: PE(?! .*PG)",
    r"Breakpoint 2, .*kernel_main \(\) at src/main\.rs", r"machine_main", r", kernel mode$", r"^cr0 .*\bWP PG$",
    r"^PML4 at 0x[0-9a-f]+ \[511\]", r"^physical 0x[2-9a-f][0-9a-f]{5}$", r"^not mapped$",
    r"Breakpoint 3, .*main", r"^main in section \.text of .*primes", r", user mode$",
    r"^task 1 'idle/0'", r"^task \d+ 'shell'.*\n    [0-9a-f]{16} \S+",
    r"^    [0-9a-f]{16} russet::shell::run.* at src/shell/mod\.rs:\d+$", r"^task \d+ 'primes' runs on CPU \d+\n    [0-9a-f]{16} \(user mode\)$",
    r"^PT   at .* U ", r"^physical 0x",
    r"Breakpoint 4(\.\d)?, .*spin_for", r"^CPU \d+ holds 'crash test, outer' at 0x[0-9a-f]+, taken at src/shell/crash\.rs:\d+:\d+$",
    r"^task \d+ 'shell' runs on CPU \d+\n    [0-9a-f]{16} machine::time::spin_for.*\n(.*\n)*?.*shell::crash",
)  # fmt: skip


def gdb(**settings: str):
    """The session, in which each command of tools/russet_gdb.py shows what is known to be so."""

    def run(context: Context) -> None:
        port = str(free_port())
        with Terminal(context, RUN_QEMU_GDB="yes", GDB_PORT=port, RUST_BUILD_MODE="debug", CMDLINE=CMDLINE, **settings):
            wait_for(context, int(port))
            words = [word for command in SESSION for word in ("-ex", command)]
            text = context.command(["tools/gdb", "-batch", *words], settings={"GDB_PORT": port, "RUST_BUILD_MODE": "debug"})
        at = 0
        for wanted in SHOWN:
            found = re.compile(wanted, re.MULTILINE).search(text, at)
            if not found:
                raise Failure(f"gdb's output lacks {wanted!r}, or has it too early")
            at = found.end()

    return run


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("debug/gdb-bios", gdb(), SECONDS, needs=NEEDS),
        Test("debug/gdb-uefi", gdb(UEFI="on", SMP="2"), SECONDS, needs=NEEDS),
    ]
