"""User programs inside the kernel: what misbehaves is killed with the right status, what is no program is refused, and
the programs that pass on Linux pass here."""

import re
import signal

from host import INET_PROGRAMS, IPC_PROGRAMS, PROCESS_PROGRAMS, SOCKET_PROGRAMS, SYSV_PROGRAMS, fault_table

from harness.console import Boot, boot
from harness.plan import TOP, Context, Failure, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")

# What `exec` says of files that are no programs, as Linux does: each with the errno names that will do.
BAD_FILES = {
    "/missing": "ENOENT",
    "/hello.txt/x": "ENOTDIR",
    "/nested-dir": "EACCES|EISDIR",
    "/hello.txt": "EACCES",
}
# In /tests/bad. Linux notices some only after the old program is gone and kills it; refusing is as good.
BAD_ELF_KILLED = "SIGSEGV|SIGBUS|SIGKILL"

BOUNDS_PROGRAMS = ("sysv-bounds", "socket-bounds")


def ends(result: Boot, path: str) -> list[str]:
    """How the instances of a program ended, from the shell's lines: `exit status 0`, `killed by SIGSEGV (11)`."""
    return re.findall(rf"^{re.escape(path)} \[pid \d+\]: (.*)$", result.console, re.MULTILINE)


# QEMU's software emulation raises #GP for every non-canonical address, a CPU #SS where the stack pointer leads to it.
EMULATED = {"stack-non-canonical": "killed by SIGSEGV (11)"}


def faults(**settings: str):
    """Every fault program twice, one after the other in one boot; afterwards the kernel still works."""

    def run(context: Context) -> None:
        table = fault_table()
        commands = [f"exec 2 /tests/faults/{name}" for name in table]
        result = boot(context, "; ".join(["mount 2", *commands, "cat /hello.txt", "exit 0"]), **settings)
        wrong = []
        for name, expected in table.items():
            end = f"exit status {expected}" if expected.isdigit() else f"killed by {expected} ({signal.Signals[expected].value})"
            got = ends(result, f"/tests/faults/{name}")
            emulated = EMULATED.get(name)
            if got != [end, end] and (emulated is None or got != [emulated, emulated]):
                wrong.append(f"{name}: {' and '.join(got) or 'no status'}, not twice {end}")
        if wrong:
            raise Failure("; ".join(wrong))
        result.wants(r"^Hello, world!$")

    return run


def bad_files(context: Context) -> None:
    """Each file that is no program is refused with its errno, and none of them disturbs the kernel."""
    bad = sorted(path.name for path in (TOP / "build/user/root/tests/bad").iterdir() if not path.name.startswith("."))
    paths = [*BAD_FILES, *(f"/tests/bad/{name}" for name in bad)]
    result = boot(context, "; ".join(["mount 2", *(f"exec {path}" for path in paths), "exec /bin/hello", "exit 0"]))
    wrong = []
    for path in paths:
        names = BAD_FILES.get(path) or "ENOEXEC|ENOMEM|EINVAL"
        refused = result.count(rf"^exec: {re.escape(path)}: .*\(({names})\)$")
        killed = path not in BAD_FILES and any(re.search(BAD_ELF_KILLED, end) for end in ends(result, path))
        if not refused and not killed:
            wrong.append(f"{path}: not refused with {names}")
    if wrong:
        raise Failure("; ".join(wrong))
    result.wants(r"^Hello from user mode!$")


def program(command: str, *patterns: str, **settings: str):
    """One program that must end with status 0 and show these."""

    def run(context: Context) -> None:
        boot(context, f"mount 2; exec {command}; exit", **settings).wants(*patterns)

    return run


def sockets(name: str, **settings: str):
    """A test of sockets, with their nodes in memory and on the disk."""

    def run(context: Context) -> None:
        commands = f"mount 2; mount tmpfs /tmp; exec /tests/{name} /tmp; exec /tests/{name} /root; exit"
        found = boot(context, commands, SMP="4", **settings).console
        passed = len(re.findall(r"^[1-9]\d* passed, 0 failed$", found, re.MULTILINE))
        context.check(passed == 2, f"{passed} of 2 runs passed")

    return run


def busybox(context: Context) -> None:
    """The commands of plain file work, each with something only the right answer shows."""
    cases = {
        "echo one two": r"^one two$",
        "cat /hello.txt": r"^Hello, world!$",
        "ls /nested-dir": r"^nested\.txt$",
        "uname -m": r"^x86_64$",
        "date -u +year=%Y": r"^year=20[2-9]\d$",
        "md5sum /hello.txt": r"^746308829575e17c3331bbcb00c0898b  /hello\.txt$",
        "wc /hello.txt": r"^ +1 +2 +14 /hello\.txt$",
        "head -n 1 /nested-dir/nested.txt": r"^Nested hello$",
        "sort -r /hello.txt /nested-dir/nested.txt": r"^Nested hello\nHello, world!$",
        "sleep 1": "",
        "true": "",
    }
    commands = [f"exec /bin/busybox {case}" for case in cases]
    result = boot(context, "; ".join(["mount 2", *commands, "exec /bin/busybox false", "exit 0"]))
    result.wants(*(pattern for pattern in cases.values() if pattern))
    got = ends(result, "/bin/busybox")
    if got != ["exit status 0"] * len(cases) + ["exit status 1"]:
        raise Failure(f"all but `false` should end with status 0, but: {got}")


def busybox_network(context: Context) -> None:
    """A web server, its clients by name and by number, and what is sent to it by hand; a service by telnet's means."""
    script = [
        "$b httpd -f -p 127.0.0.1:8080 -h / & web=$!; $b sleep 1", "$b wget -q -O - http://localhost:8080/hello.txt", "$b wget -q -O - http://127.0.0.1:8080/nested-dir/nested.txt",
        "$b wget -q -O - http://127.0.0.1:8080/none; echo none: $?", r'printf "GET /hello.txt HTTP/1.0\r\n\r\n" | $b nc 127.0.0.1 8080 | $b head -n 1',
        "$b nc -l -p 7000 -e $b tr a-z A-Z & $b sleep 1; echo shouted | $b nc 127.0.0.1 7000; wait $!",
        "$b nc 127.0.0.1 7000; echo gone: $?", "$b ifconfig lo 2>/dev/null", "$b netstat -ltn", "$b netstat -uan; $b netstat -xa", "kill $web",
    ]  # fmt: skip
    result = boot(context, f"mount 2; exec /bin/busybox sh -c 'b=/bin/busybox; {'; '.join(script)}'; exit")
    result.wants(
        r"^Hello, world!$", r"^Nested hello$", r"HTTP/1\.1 404 Not Found$", r"^none: 1$", r"^HTTP/1\.1 200 OK\r?$", r"^SHOUTED$",
        r"Connection refused$", r"^gone: 1$", r"^ +inet addr:127\.0\.0\.1 +Mask:255\.0\.0\.0$", r"^ +UP LOOPBACK RUNNING  MTU:65536 ",
        r"^tcp +0 +0 127\.0\.0\.1:8080 +0\.0\.0\.0:\* +LISTEN *$", r"^Active UNIX domain sockets",
    )  # fmt: skip


def busybox_proc(context: Context) -> None:
    """The commands that read /proc, while a program computes."""
    script = [
        "/bin/primes 100000000 >/dev/null & sleep 2", "$b ps", "$b top -b -n1", "$b free", "$b uptime", "$b mount", "$b df",
        "$b pidof primes", "$b sysctl kernel.ostype", "$b tty", "$b readlink /proc/self/exe", "$b nproc", "echo text | $b cat /dev/stdin",
        "$b killall primes", "wait $!", "echo ended with $?", "$b dmesg -s 40000", "$b dmesg -c >/dev/null", "echo left: $($b dmesg | $b wc -c)",
        "$b dmesg -n 9", "echo status $?", "$b touch /dev/shm/x", "$b ls -l /dev/shm", "$b mount",
    ]  # fmt: skip
    result = boot(context, f"mount 2; exec /bin/busybox sh -c 'b=/bin/busybox; {'; '.join(script)}'; exit")
    result.wants(
        r"^PID +USER +COMMAND$", r"^ +\d+ 0 +/bin/primes 100000000$", r"^ +\d+ 0 +/bin/busybox ps$",
        r"^Mem: [1-9]\d+K used, [1-9]\d+K free, ", r"^CPU: +\d+% usr +\d+% sys .* [1-9]\d*% idle ", r"^Load average: \d+\.\d\d ",
        r"^ +\d+ +\d+ 0 +R +[1-9]\d* +\d+% +[1-9]\d*% /bin/primes 100000000$",
        r"^Mem: +2\d{6} +[1-9]\d+ +[12]\d{6} ", r"^Swap: +0 +0 +0$",
        r"^ \d\d:\d\d:\d\d up 0 min,  0 users,  load average: \d\.\d\d, \d\.\d\d, \d\.\d\d$",
        r"^/dev/vdc on / type ext2 \(rw,relatime\)$", r"^proc on /proc type proc \(rw,relatime\)$", r"^devtmpfs on /dev type devtmpfs \(rw,relatime\)$",
        r"^/dev/vdc +\d{5,} +\d{4,} +\d{5,} +\d+% /$", r"^kernel\.ostype = Linux$", r"^/dev/console$", r"^/bin/busybox$", r"^4$",
        r"^text$", r"^ended with 143$", r"^\[ +\d+\.\d{6}\] russet: 4 CPUs, ", r"^left: 0$", r"^status 1$", r"^-rw-r--r-- .* x$",
        r"^tmpfs on /dev/shm type tmpfs \(rw,relatime\)$",
    )  # fmt: skip
    pids = [re.findall(pattern, result.console, re.MULTILINE) for pattern in (r"^ +(\d+) 0 +/bin/primes", r"^(\d+)$")]
    context.check(pids[0][:1] == pids[1][:1], f"ps and pidof tell different numbers: {pids}")


def out_of_memory(context: Context) -> None:
    """A program that takes all memory is ended, alone or with others like it; what it had is free again."""
    commands = f"mount 2; exec /bin/hello; mem; exec /tests/hog; exec 3 /tests/hog; cat /hello.txt; exec /bin/primes 1000; mem; exit 0"
    result = boot(context, commands, MEM="128M")
    got = ends(result, "/tests/hog")
    if got != ["killed by SIGKILL (9)"] * 4:
        raise Failure(f"four hogs ended so: {got}")
    result.wants(r"^Hello, world!$", r"^1000: 168 primes below")
    anonymous = [int(count) for count in re.findall(r"^Anonymous +(\d+) ", result.console, re.MULTILINE)]
    if anonymous != [0, 0]:
        raise Failure(f"anonymous frames before and after: {anonymous}, not none")


def bounded(name: str, **settings: str):
    """What no end of a process gives back takes a part of the memory only, and all of it is given back."""

    def run(context: Context) -> None:
        commands = f"mount 2; exec /bin/hello; mem; exec /tests/{name}; mem; cat /hello.txt; exit"
        result = boot(context, commands, MEM="128M", **settings)
        result.wants(r"^[1-9]\d* passed, 0 failed$", r"^Hello, world!$")
        before, after = (int(count) for count in re.findall(r"^Heap +(\d+) ", result.console, re.MULTILINE))
        context.check(after < before + 100, f"frames of the heap before and after: {before}, {after}")

    return run


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("user/faults", faults(), SECONDS, needs=NEEDS),
        Test("user/faults-debug-smp1", faults(RUST_BUILD_MODE="debug", SMP="1"), SECONDS, needs=DEBUG_NEEDS),
        Test("user/bad-files", bad_files, SECONDS, needs=NEEDS),
        Test("user/bad-pointers", program("/tests/bad-pointers", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        Test(
            "user/bad-pointers-debug",
            program("/tests/bad-pointers", r"^[1-9]\d* passed, 0 failed$", RUST_BUILD_MODE="debug"),
            SECONDS,
            needs=DEBUG_NEEDS,
        ),
        Test("user/memory", program("/tests/memory", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        Test(
            "user/memory-debug",
            program("/tests/memory", r"^[1-9]\d* passed, 0 failed$", RUST_BUILD_MODE="debug", MEM="128M"),
            SECONDS, needs=DEBUG_NEEDS,
        ),
        Test("user/syscalls", program("/tests/syscalls", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        *(Test(f"user/{name}", program(f"/tests/{name}", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS) for name in (*IPC_PROGRAMS, *INET_PROGRAMS, *SYSV_PROGRAMS, *PROCESS_PROGRAMS)),
        *(
            Test(f"user/{name}-debug", program(f"/tests/{name}", r"^[1-9]\d* passed, 0 failed$", RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS)
            for name in (*INET_PROGRAMS, *SYSV_PROGRAMS, *PROCESS_PROGRAMS)
        ),
        *(Test(f"user/{name}", sockets(name), SECONDS, needs=NEEDS) for name in SOCKET_PROGRAMS),
        *(Test(f"user/{name}-debug", sockets(name, RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS) for name in SOCKET_PROGRAMS),
        *(Test(f"user/{name}", bounded(name), SECONDS, needs=NEEDS) for name in BOUNDS_PROGRAMS),
        *(Test(f"user/{name}-debug", bounded(name, RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS) for name in BOUNDS_PROGRAMS),
        Test("user/virtual-terminals", program("/tests/virtual-terminals", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        Test(
            "user/virtual-terminals-debug",
            program("/tests/virtual-terminals", r"^[1-9]\d* passed, 0 failed$", RUST_BUILD_MODE="debug"),
            SECONDS, needs=DEBUG_NEEDS,
        ),
        Test("user/access", program("/tests/access /root", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        Test("user/access-tmpfs", program("/tests/access /tmp", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        Test("user/vdso-set-clock", program("/tests/vdso set", r"^[1-9]\d* passed, 0 failed$"), SECONDS, needs=NEEDS),
        Test(
            "user/rust-demo",
            program("/bin/rust-demo /hello.txt", r"^sum of the 1000 squares: 333833500$", r'^/hello\.txt: 14 bytes, 2 words, "Hello," 1 times$', r"^clock: runs$"),
            SECONDS, needs=NEEDS,
        ),
        Test("user/busybox", busybox, SECONDS, needs=NEEDS),
        Test("user/busybox-network", busybox_network, SECONDS, needs=NEEDS),
        Test("user/busybox-proc", busybox_proc, SECONDS, needs=NEEDS),
        Test("user/out-of-memory", out_of_memory, SECONDS, needs=NEEDS),
    ]  # fmt: skip
