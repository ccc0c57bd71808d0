"""Dynamically linked programs as Debian ships them: the image made from packages, its programs here and in the kernel."""

import os
import pathlib
import re

from harness.console import boot
from harness.plan import OUT, TOP, Context, Failure, Test
from user import ends

# Whether the kernel writes to ext2; the boots that need it are registered when it does.
KERNEL_WRITES_EXT2 = True

SECONDS = 600
IMAGE = TOP / "build/dynamic.img"
ROOT = TOP / "build/cache/dynamic/root"
NEEDS = ("build/release", "build/dynamic")

# Program and arguments, and what it must show.
SMALL = {
    "/bin/bash -c 'echo hi'": r"^hi$",
    "/bin/bash -c 'echo $((6 * 7)) $BASH_VERSION'": r"^42 5\.2\.",
    "/bin/ls -l /": r"^lrwxrwxrwx +1 root +root +7 .* bin -> usr/bin$",
    "/bin/sh -c 'echo dash: $0'": r"^dash: (/bin/)?sh$",
    "/bin/sha256sum /etc/nsswitch.conf": r"^[0-9a-f]{64}  /etc/nsswitch\.conf$",
    "/bin/primes-musl 15000": r"^15000: 1754 primes below",
}
PYTHON = {
    "/usr/bin/python3 -c 'print(sum(range(10**6)))'": r"^499999500000$",
    "/usr/bin/python3 -c 'import json, zlib, hashlib, struct; print(json.dumps(zlib.crc32(b\"abc\")))'": r"^891568578$",
}
SHELL = {
    "/bin/bash -c 'ls / | sort | wc -l'": r"^\d+$",
    "/bin/bash -c 'for i in 1 2 3; do (exit $i); echo status $?; done'": r"^status 1\nstatus 2\nstatus 3$",
    "/bin/bash -c 'echo $(echo substituted)'": r"^substituted$",
}
TERMINAL = {
    "/usr/bin/python3 -c 'import pty, sys; sys.exit(pty.spawn([\"/bin/bash\", \"-c\", \"tty; stty size; echo through a relay\"]))'":
        r"^/dev/pts/\d+\r?\n\d+ \d+\r?\nthrough a relay",
}  # fmt: skip
THREADS = {"/usr/bin/python3 /root/threads.py": r"^all well$"}
SOCKETS = {"/usr/bin/python3 /root/sockets.py": r"^all well$"}
NETWORK = {"/usr/bin/python3 /root/network.py": r"^all well$"}
NGINX = {"/usr/bin/python3 /root/nginx.py": r"^all well$"}
STRACE = {
    "/bin/bash -c 'strace -o /tmp/calls echo text; cat /tmp/calls'": r'^write\(1, "text\\n", 5\) += 5$',
    "/usr/bin/strace -f /bin/sh -c 'echo text | cat; exit 0'": r"^(\[pid +\d+\] )?--- SIGCHLD \{si_signo=SIGCHLD, si_code=CLD_EXITED, .*\} ---$",
    "/usr/bin/strace -c /bin/ls /root": r"^100\.00 .* total$",
    "/bin/bash -c 'sleep 100 & strace -o /tmp/seen -p $! & sleep 1; kill %1; wait %1; echo ended with $?; wait; tail -1 /tmp/seen'":
        r"^ended with 143\n\+\+\+ killed by SIGTERM \+\+\+$",
}  # fmt: skip
# What gdb showed of the same session on Linux, but for numbers and addresses.
GDB = {"/usr/bin/gdb -q -batch -x /root/session.gdb /usr/bin/debuggee": r"^the counter is 13$"}
SESSION = (
    r'^Thread 2 "debuggee" hit Breakpoint 1, add \(a=0, b=1\) at user/debuggee/debuggee\.c:11$',
    r"^#1 +0x[0-9a-f]+ in work \(mine=0x[0-9a-f]+\) at user/debuggee/debuggee\.c:20$",
    r"^\* 2 +LWP \d+ \"debuggee\" +add \(a=0, b=1\)", r"^  3 +LWP \d+ \"debuggee\" ", r"^Value returned is \$1 = 1$",
    r'^Thread 2 "debuggee" hit Hardware watchpoint 2: counter\n\nOld value = 0\nNew value = 1$',
    r'^Thread 1 "debuggee" received signal SIGUSR1', r'^Thread 1 "debuggee" hit Breakpoint 3, on_signal \(number=10\) at .*:28$',
    r"^\$2 = 10$", r"^\$3 = 42$", r"^0x[0-9a-f]+\t28\t", r'^Thread 1 "debuggee" hit Catchpoint 4 \(call to syscall (exit_group|231)\)',
    r"^\$4 = 13$", r"^\[Inferior 1 \(process \d+\) killed\]$",
)  # fmt: skip
FILES = {
    "/usr/bin/python3 /root/files.py": r"^all well$",
    "/bin/bash -c 'cd /tmp; mkdir d; echo text >d/f; cp -r d e; mv e/f e/g; cat e/g; ls -l e; rm -r d e; ls'": r"^text$",
}


def make(context: Context) -> None:
    """The image, from packages of Debian; what e2fsck says of it is part of making it."""
    context.command(["tools/mkdynamic"])


def on_linux(context: Context) -> None:
    """The same programs from the same tree, with this machine's kernel below them: the image is right."""
    as_root = ["chroot"] if os.getuid() == 0 else ["unshare", "--map-root-user", "chroot"]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for command, pattern in {**SMALL, **PYTHON, **SHELL, **THREADS, **SOCKETS, **NETWORK, **NGINX, **FILES}.items():
        # bash takes the words apart as the kernel's shell does.
        shown = context.command([*as_root, str(ROOT), "/bin/bash", "-c", command], settings={"PATH": path})
        if not re.search(pattern, shown, re.MULTILINE):
            raise Failure(f"{command} shows nothing that matches {pattern!r}")


def runs(cases: dict[str, str], shows: tuple[str, ...] = (), **settings: str):
    """The programs one after the other in the kernel; each must end with status 0 and show its pattern, and all what `shows` says."""

    def run(context: Context) -> None:
        image = pathlib.Path(OUT, f"{context.test.name}.img")
        context.command(["cp", "--sparse=always", "--reflink=auto", str(IMAGE), str(image)])
        result = boot(context, "; ".join(["mount 2", *(f"exec {command}" for command in cases), "exit"]), DISK=str(image), **settings)
        result.wants(*cases.values(), *shows)
        for path in {command.split()[0] for command in cases}:
            wrong = [end for end in ends(result, path) if end != "exit status 0"]
            context.check(not wrong, f"{path}: {wrong}")
        context.command(["/sbin/e2fsck", "-fn", str(image)])
        image.unlink()

    return run


def tests() -> list[Test]:
    """All of this kind."""
    always = [
        Test("build/dynamic", make, SECONDS, needs=("build/disk",)),
        Test("dynamic/on-linux", on_linux, SECONDS, needs=("build/dynamic",)),
        Test("dynamic/small", runs(SMALL), SECONDS, needs=NEEDS),
        Test("dynamic/python", runs(PYTHON), SECONDS, needs=NEEDS),
        Test("dynamic/shell", runs(SHELL), SECONDS, needs=NEEDS),
        Test("dynamic/pseudo-terminal", runs(TERMINAL), SECONDS, needs=NEEDS),
        Test("dynamic/python-threads", runs(THREADS), SECONDS, needs=NEEDS),
        Test("dynamic/python-threads-smp1", runs(THREADS, SMP="1"), SECONDS, needs=NEEDS),
    ]
    always += [
        Test("dynamic/python-sockets", runs(SOCKETS), SECONDS, needs=NEEDS),
        Test("dynamic/python-network", runs(NETWORK), SECONDS, needs=NEEDS),
        Test("dynamic/nginx", runs(NGINX), SECONDS, needs=NEEDS),
        Test("dynamic/strace", runs(STRACE), SECONDS, needs=NEEDS),
        Test("dynamic/gdb", runs(GDB, SESSION), SECONDS, needs=NEEDS),
        Test("dynamic/gdb-smp1", runs(GDB, SESSION, SMP="1"), SECONDS, needs=NEEDS),
    ]
    return always + ([Test("dynamic/files", runs(FILES), SECONDS, needs=NEEDS)] if KERNEL_WRITES_EXT2 else [])
