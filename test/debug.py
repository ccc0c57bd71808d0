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


def gdb(**settings: str):
    """Stops at the multiboot entry and at kernel_main, with source lines, and ends the machine."""

    def run(context: Context) -> None:
        port = str(free_port())
        with Terminal(context, RUN_QEMU_GDB="yes", GDB_PORT=port, RUST_BUILD_MODE="debug", **settings):
            wait_for(context, int(port))
            commands = ["hbreak boot_entry", "continue", "info registers eax", "hbreak kernel_main", "continue", "backtrace 3", "kill"]
            words = [word for command in commands for word in ("-ex", command)]
            text = context.command(["tools/gdb", "-batch", *words], settings={"GDB_PORT": port, "RUST_BUILD_MODE": "debug"})
        for wanted in (r"eax +0x36d76289", r"Breakpoint 2, .*kernel_main \(\) at src/main\.rs", r"machine_main"):
            if not re.search(wanted, text):
                raise Failure(f"gdb's output lacks {wanted!r}")

    return run


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("debug/gdb-bios", gdb(), SECONDS, needs=NEEDS),
        Test("debug/gdb-uefi", gdb(UEFI="on"), SECONDS, needs=NEEDS),
    ]
