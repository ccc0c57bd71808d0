"""Tests that run on the machine that builds: the pure crates, and the user programs on Linux as their oracle."""

import pathlib
import signal
import subprocess
import tempfile

from harness.plan import OUT, TOP, Context, Failure, Test

PURE_CRATES = ("abi", "klib", "fs", "macros")
PROGRAMS = TOP / "build/user/root"
IPC_PROGRAMS = ("pipes", "polling", "events", "waiting")
SOCKET_PROGRAMS = ("sockets", "socket-names", "socket-messages")
SYSV_PROGRAMS = ("shm", "sem", "msg")
INET_PROGRAMS = ("inet-tcp", "inet-tcp-data", "inet-udp", "inet-names", "inet-corners", "inet-races")
PROCESS_PROGRAMS = ("processes", "signals", "handlers", "threads", "corners", "vdso", "scheduling", "priorities", "pidfd", "rseq", "proc", "system", "cputime", "privileges", "pty", "pty-sessions", "signal-driven", "huge", "sharing", "programs", "ptrace", "ptrace-events", "ptrace-corners", "memfd", "splice")


def fault_table() -> dict[str, str]:
    """Program name to expected end: a signal's name, or an exit status."""
    lines = (TOP / "user/faults/table").read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def crate(name: str):
    """`cargo test` of one crate."""

    def run(context: Context) -> None:
        context.command(["tools/toolchain", "host", "test", "--package", name])

    return run


def faults_on_linux(context: Context) -> None:
    """Linux must end each fault program as the table says, else the table is wrong."""
    table = fault_table()
    built = {path.name for path in (PROGRAMS / "tests/faults").iterdir()}
    context.check(built == set(table), f"the table and the programs differ in {sorted(built ^ set(table))}")
    wrong = []
    for name, expected in table.items():
        status = subprocess.run([PROGRAMS / "tests/faults" / name], check=False, timeout=context.left_s()).returncode
        got = signal.Signals(-status).name if status < 0 else str(status)
        context.say(f"{name}: {got}")
        if got != expected:
            wrong.append(f"{name}: {got}, not {expected}")
    if wrong:
        raise Failure("; ".join(wrong))


def on_linux(*argv: str):
    """A program from the disk image that must end well here."""

    def run(context: Context) -> None:
        must_hold(context, [str(PROGRAMS / argv[0]), *argv[1:]])

    return run


def must_hold(context: Context, argv: list[str]) -> None:
    """Runs a test program; what did not hold is named in the failure, as the log of a build server may not be at hand."""
    text = context.command(argv, status=None)
    if context.status != 0:
        wrong = [line for line in text.splitlines() if line.startswith("line ")]
        raise Failure("; ".join([f"`{pathlib.Path(argv[0]).name}` ended with status {context.status}", *wrong[:5]]))


def access_on_linux(context: Context) -> None:
    """The test of permissions, in an empty directory."""
    with tempfile.TemporaryDirectory(prefix="russet-access-") as directory:
        must_hold(context, [str(PROGRAMS / "tests/access"), directory])


def in_directory(program: str, *arguments: str):
    """A test of files, in a directory of the build."""

    def run(context: Context) -> None:
        directory = OUT / f"linux-{program}"
        directory.mkdir(parents=True, exist_ok=True)
        must_hold(context, [str(PROGRAMS / "tests" / program), str(directory), *arguments])

    return run


def tests() -> list[Test]:
    """All of this kind."""
    tree = str(TOP / "disk/ext2")
    oracle = ("build/disk",)
    return [
        *(Test(f"host/{name}", crate(name), 1200, holds="debug builds") for name in PURE_CRATES),
        Test("host/linux-faults", faults_on_linux, 60, needs=oracle),
        Test("host/linux-syscalls", on_linux("tests/syscalls", tree), 60, needs=oracle),
        Test("host/linux-memory", on_linux("tests/memory", tree + "/hello.txt"), 60, needs=oracle),
        *(Test(f"host/linux-{name}", on_linux(f"tests/{name}"), 60, needs=oracle) for name in (*IPC_PROGRAMS, *INET_PROGRAMS, *SYSV_PROGRAMS, *PROCESS_PROGRAMS)),
        Test("host/linux-files", in_directory("files", "shared"), 60, needs=oracle),
        Test("host/linux-opening", in_directory("opening"), 60, needs=oracle),
        Test("host/linux-inotify", in_directory("inotify"), 120, needs=oracle),
        Test("host/linux-mounts", in_directory("mounts"), 60, needs=oracle),
        *(Test(f"host/linux-{name}", in_directory(name), 120, needs=oracle) for name in SOCKET_PROGRAMS),
        Test("host/linux-xattr", in_directory("xattr"), 60, needs=oracle),
        Test("host/linux-mapping", in_directory("mapping"), 120, needs=oracle),
        Test("host/linux-reclaim", on_linux("tests/reclaim", str(OUT / "linux-reclaim"), "16"), 60, needs=oracle),
        Test("host/linux-access", access_on_linux, 60, needs=oracle),
        Test("host/linux-bad-pointers", on_linux("tests/bad-pointers", tree + "/hello.txt"), 60, needs=oracle),
    ]
