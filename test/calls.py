"""`trace exec`: the system calls that a program makes, in words; those that strace sees on Linux."""

import re
import shlex
import shutil

from harness.console import boot
from harness.plan import OUT, TOP, Context, Test

SECONDS = 300
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
BUSYBOX = shutil.which("busybox") or "/bin/busybox"
STRACE = shutil.which("strace")
# What `busybox cat` of a small file calls, but for what the C library does at its start, which changes with its version.
CAT_CALLS = ["openat", "sendfile", "sendfile", "close", "exit_group"]
LINE = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\(.*= (?:\?|-?\w+)(?: .*)?$", re.MULTILINE)


def section(console: str, command: str) -> str:
    """What a command of the shell showed."""
    begin = console.index(f"ksh > {command}\n")
    return console[begin : console.find("\nksh > ", begin + 1) + 1]


def names(text: str) -> list[str]:
    """The calls in lines such as strace writes."""
    return LINE.findall(text)


def calls_on_linux(context: Context) -> list[str]:
    """What strace lists for the same program, from where it runs on; nothing where strace is not there or may not trace."""
    path = OUT / f"{context.test.name}.strace"
    path.unlink(missing_ok=True)
    if STRACE:
        # The output is a pipe: to a file that is appended to, as the log is, sendfile(2) does not work.
        traced = [STRACE, "-o", str(path), BUSYBOX, "cat", str(TOP / "disk/ext2/hello.txt")]
        context.command(["sh", "-c", f"{shlex.join(traced)} | cat"], status=None)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return names(text)[1:] if names(text)[:1] == ["execve"] else []


def same_as_strace(**settings: str):
    """The list of calls, what each says, and which line is whose."""

    def run(context: Context) -> None:
        cat, kill = "trace exec /bin/busybox cat /hello.txt", "trace exec -o /kill /bin/busybox sh -c 'kill -SEGV $$'"
        pipe = "trace exec -o /pipe /bin/busybox sh -c '/bin/busybox echo one two | /bin/busybox wc -w; exit 3'"
        commands = [
            "mount 2", cat, pipe, "cat /pipe", kill, "cat /kill", "trace off", "trace exec -o /signals /tests/signals", "trace exec", "trace exec -x",
            "trace exec -o /dev/full /bin/hello",
            "trace on", "exec /bin/hello", "trace exec -o /both /bin/hello", "trace off", "trace show 2", "cat /both", "exit 0",
        ]  # fmt: skip
        result = boot(context, "; ".join(commands), SMP="4", **settings)
        shown = section(result.console, cat)
        ours = names(shown)
        context.check(ours[-len(CAT_CALLS) :] == CAT_CALLS, f"`busybox cat` called {ours}")
        theirs = calls_on_linux(context)
        if theirs:
            context.check(ours == theirs, f"Russet says {ours}, strace on Linux {theirs}")
            context.show(f"{len(ours)} calls, the same as by strace")
        for line in (
            r'openat\(AT_FDCWD, "/hello.txt", O_RDONLY\) = 3', r"sendfile\(1, 3, 0, \d+\) = 14", r"close\(3\) = 0", r"exit_group\(0\) = \?",
            r"mprotect\(0x[0-9a-f]+, 0x[0-9a-f]+, PROT_READ\) = 0", r"\+\+\+ exited with 0 \+\+\+", r"Hello, world!",
        ):  # fmt: skip
            context.check(re.search(f"^{line}$", shown, re.MULTILINE) is not None, f"nothing like {line} in what `trace exec` shows")
        check_children(context, section(result.console, "cat /pipe"))
        killed = section(result.console, "cat /kill")
        for line in (r"kill\(\d+, SIGSEGV\) = 0", r"--- SIGSEGV \{si_code=0, si_pid=\d+\} ---", r"\+\+\+ killed by SIGSEGV \+\+\+"):
            context.check(re.search(f"^{line}$", killed, re.MULTILINE) is not None, f"nothing like {line} in {killed!r}")
        context.check(section(result.console, "trace off").count("trace: tracing is off") == 1, "events were recorded")
        result.wants(r"^\d+ passed, 0 failed$", r"^trace: exec: the program is missing$", r"^trace: -x: no such option",
            r"^trace: /dev/full: some lines are missing: .*\(ENOSPC\)$")  # fmt: skip
        both = section(result.console, "cat /both")
        context.check(names(both) == ["write", "exit_group"] and "write(1, \"Hello" in both, f"`hello` called {both!r}")
        context.check("exit_group(0) = 0" not in result.console, "a call that does not come back came back")

    return run


def check_children(context: Context, text: str) -> None:
    """The lines of a shell that runs a pipeline: each process has its own, from the first on that it does."""
    lines = [line for line in text.splitlines() if re.match(r"^\[pid \d+\] ", line)]
    of: dict[str, list[str]] = {}
    for line in lines:
        pid, _, rest = line.removeprefix("[pid ").partition("] ")
        of.setdefault(pid, []).append(rest)
    context.check(len(of) == 3, f"lines of the processes {sorted(of)}")
    shell, children = list(of.values())[0], list(of.values())[1:]
    if not any(line.startswith("wait4(") for line in shell):
        shell = next(lines for lines in of.values() if any(line.startswith("wait4(") for line in lines))
        children = [lines for lines in of.values() if lines is not shell]
    made = [line for line in shell if re.match(r"(clone\(.*SIGCHLD.*|v?fork\(\)) = \d+$|clone\(.*\bSIGCHLD\b.*\) = \d+$", line)]
    context.check(len(made) == 2, f"the shell made {made}")
    context.check(shell[-2:] == ["exit_group(3) = ?", "+++ exited with 3 +++"], f"the shell ended with {shell[-2:]}")
    context.check(any(line.startswith("--- SIGCHLD {") for line in shell), "the shell got no SIGCHLD")
    everything = [line for child in children for line in child]
    for line in (
        r'execve\("/bin/busybox", \["/bin/busybox", "echo", "one", "two"\], 0x[0-9a-f]+\) = 0', r'write\(1, "one two\\n", 8\) = 8',
        r'execve\("/bin/busybox", \["/bin/busybox", "wc", "-w"\], 0x[0-9a-f]+\) = 0', r'read\(0, "one two\\n", \d+\) = 8', r'read\(0, "", \d+\) = 0',
        r'readlink\("/proc/self/exe", .*', r"dup2\(\d, 1\) = 1",
    ):  # fmt: skip
        context.check(any(re.fullmatch(line, found) for found in everything), f"no child did {line}")
    for child in children:
        context.check(child[-1] == "+++ exited with 0 +++", f"a child ended with {child[-1]}")


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("calls/same-as-strace", same_as_strace(), SECONDS, needs=NEEDS),
        Test("calls/same-as-strace-debug", same_as_strace(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
    ]
