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
    for command, pattern in {**SMALL, **PYTHON, **SHELL, **THREADS, **SOCKETS, **FILES}.items():
        # bash takes the words apart as the kernel's shell does.
        shown = context.command([*as_root, str(ROOT), "/bin/bash", "-c", command], settings={"PATH": path})
        if not re.search(pattern, shown, re.MULTILINE):
            raise Failure(f"{command} shows nothing that matches {pattern!r}")


def runs(cases: dict[str, str], **settings: str):
    """The programs one after the other in the kernel; each must end with status 0 and show its pattern."""

    def run(context: Context) -> None:
        image = pathlib.Path(OUT, f"{context.test.name}.img")
        context.command(["cp", "--sparse=always", "--reflink=auto", str(IMAGE), str(image)])
        result = boot(context, "; ".join(["mount 2", *(f"exec {command}" for command in cases), "exit"]), DISK=str(image), **settings)
        result.wants(*cases.values())
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
    always.append(Test("dynamic/python-sockets", runs(SOCKETS), SECONDS, needs=NEEDS))
    return always + ([Test("dynamic/files", runs(FILES), SECONDS, needs=NEEDS)] if KERNEL_WRITES_EXT2 else [])
