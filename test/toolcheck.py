"""The checks checked: each must find what it is there to find, and pass what is right."""

import os
import pathlib
import tempfile
import threading
import time
from unittest import mock

from harness import packages
from harness.console import Terminal
from harness.plan import TOP, Context, Failure, Test
from harness.runner import Runner, select
from harness.rustsource import blanked, without_tests

GOOD_ROOT = "//! A crate.\n#![forbid(unsafe_code)]\n"


def workspace(top: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    """A kernel workspace with a crate `lib`, a crate `machine` and the kernel proper, and these files over it."""
    base = {
        "lib/Cargo.toml": "", "lib/src/lib.rs": GOOD_ROOT,
        "machine/Cargo.toml": "", "machine/src/lib.rs": "//! The machine.\n",
        "src/main.rs": GOOD_ROOT,
    }  # fmt: skip
    for name, text in {**base, **files}.items():
        path = top / "kernel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return top / "kernel"


def finds(tool: str, pattern: str, files: dict[str, str]):
    """The tool passes the bare workspace, and with these files fails and says `pattern`."""

    def run(context: Context) -> None:
        with tempfile.TemporaryDirectory() as top:
            context.command([tool, str(workspace(pathlib.Path(top), {}))])
        with tempfile.TemporaryDirectory() as top:
            text = context.command([tool, str(workspace(pathlib.Path(top), files))], status=1)
        context.check(pattern in text, f"{tool} failed, but did not say {pattern!r}")

    return run


def passes(tool: str, files: dict[str, str]):
    """The tool passes a workspace with these files."""

    def run(context: Context) -> None:
        with tempfile.TemporaryDirectory() as top:
            context.command([tool, str(workspace(pathlib.Path(top), files))])

    return run


def reading_rust(context: Context) -> None:
    """What is not code is blanked, what is code stays, and lines keep their numbers."""
    text = """a /* unsafe /* nested */ unsafe */ b // unsafe
let s = "unsafe \\" unsafe"; let r = r#"un"safe"#; let c = '"'; let l: &'static str = b"x"; let q = '\\'';
keep"""
    code = blanked(text)
    context.check("unsafe" not in code and '"' not in code, f"left over: {code!r}")
    context.check(code.count("\n") == 2 and "keep" in code and "'static" in code, f"lost: {code!r}")
    tests = "one #[cfg(test)] mod tests { fn f() { two } } three"
    context.check("two" not in without_tests(tests) and "three" in without_tests(tests), "a test module stayed")


def failing_tests_fail(context: Context) -> None:
    """The runner counts what fails, what is not run for it, and what runs too long."""

    def fails(_: Context) -> None:
        raise Failure("on purpose")

    def hangs(inner: Context) -> None:
        inner.command(["sleep", "60"])

    made = [
        Test("selftest/passes", lambda _: None, 5),
        Test("selftest/fails", fails, 5),
        Test("selftest/breaks", lambda _: print(1 // 0), 5),
        Test("selftest/needs", lambda _: None, 5, needs=("selftest/fails",)),
        Test("selftest/hangs", hangs, 1),
        Test("selftest/status", lambda inner: inner.command(["false"]) and None, 5),
    ]
    quiet = Runner(made, quiet=True)
    bad = sorted(result.test.name.split("/")[1] for result in quiet.run_all() if result.why)
    context.check(bad == ["breaks", "fails", "hangs", "needs", "status"], f"failed: {bad}")
    chosen = [test.name for test in select(made, "selftest/needs")]
    context.check(chosen == ["selftest/fails", "selftest/needs"], f"selected: {chosen}")


def waiting_tests_run_beside(context: Context) -> None:
    """One test that waits runs beside as many others as there are workers, and no second one does."""
    guard, running, most = threading.Lock(), [0], [0]

    def stay(_: Context) -> None:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.3)
        with guard:
            running[0] -= 1

    def at_once(waiting: int) -> int:
        most[0] = 0
        tests = [Test(f"selftest/stays{at}", stay, 5, waits=at < waiting) for at in range(6)]
        with mock.patch.dict(os.environ, JOBS="2"):
            Runner(tests, quiet=True).run_all()
        return most[0]

    found = [at_once(waiting) for waiting in (0, 1, 6)]
    context.check(found == [2, 3, 3], f"at once with none, one and all of them waiting: {found}")


INTERRUPTED = """
import os, pathlib, signal, sys, threading, time
sys.path[:0] = [{tools!r}]
from harness import sessions
from harness.plan import Test
from harness.runner import Runner
told = pathlib.Path({told!r})
def hangs(context):
    context.command(["sh", "-c", f"sleep 300 & echo $! >{{told}}.new; mv {{told}}.new {{told}}; wait"])
def interrupts():
    while not told.exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
sessions.interruptible()
threading.Thread(target=interrupts, daemon=True).start()
try:
    Runner([Test("selftest/interrupted", hangs, 60), Test("selftest/later", lambda _: told.unlink(), 60)]).run_all()
except KeyboardInterrupt:
    print("interrupted", told.exists(), flush=True)
"""


def interrupted_runs_leave_nothing(context: Context) -> None:
    """A run that is told to end ends what its tests have started, to the last process, and begins no other test."""
    with tempfile.TemporaryDirectory() as top:
        told = pathlib.Path(top, "told")
        program = INTERRUPTED.format(tools=str(TOP / "tools"), told=str(told))
        text = context.command(["python3", "-B", "-c", program], settings={"JOBS": "1"})
        context.check(text == "interrupted True\n", f"the run said {text!r}")
        # One that has ended, and that nobody has waited for yet, has no arguments.
        arguments = pathlib.Path("/proc", told.read_text().strip(), "cmdline")
        context.check(not arguments.exists() or not arguments.read_bytes(), "a process was left behind")


FAKE_SHELL = r"""#!/usr/bin/env python3
import sys
while True:
    sys.stdout.write("\x1b[32mks\x1b[0mh > ")
    sys.stdout.flush()
    line = ""
    while not line.endswith("\r"):
        line += sys.stdin.buffer.raw.read(1).decode()
    line = line.strip()
    if line == "exit":
        sys.exit(7)
    print(f"{line}\r\n{line.upper()}\r")
"""


def typing(context: Context) -> None:
    """The pseudo-terminal: what is shown is found through escape sequences, what is not is a failure in time."""
    with tempfile.TemporaryDirectory() as top:
        shell = pathlib.Path(top, "shell")
        shell.write_text(FAKE_SHELL, encoding="utf-8")
        shell.chmod(0o755)
        with Terminal(context, command=str(shell)) as terminal:
            terminal.expect("ksh > ")
            context.check(terminal.command("abc", r"^ABC$") == "ABC", "the answer was not found")
            terminal.type("def\n")
            try:
                terminal.expect("^ABC$", within_s=1)
                raise ValueError("what was seen before was found again")
            except Failure:
                terminal.expect("^DEF$")
            terminal.type("exit\n")
            context.check(terminal.end_status() == 7, "not the program's own status")


# As apt-cache shows it: alternatives, of which the first counts; virtual packages; what only installing needs; a circle.
APT_DEPENDS = {
    "shell": "shell\n  PreDepends: libc\n |Depends: editor\n  Depends: <any-editor>\n    editor\n  Depends: debconf\n",
    "libc": "libc\n  Depends: libgcc\n",
    "libgcc": "libgcc\n  Depends: libc\n",
    "editor": "editor\n  Depends: <virtual>\n",
}


def packages_resolved(context: Context) -> None:
    """What a package depends on is found as apt tells it; what apt refuses is told in one sentence."""
    asked = packages.asked
    packages.asked = lambda _, *words, **__: "".join(APT_DEPENDS[name] for name in words[2:])
    try:
        found = packages.closure(["shell"])
    finally:
        packages.asked = asked
    context.check(found == ["editor", "libc", "libgcc", "shell"], f"closure: {found}")
    with tempfile.TemporaryDirectory() as place:
        fake = pathlib.Path(place, "apt-cache")
        fake.write_text("#!/bin/sh\necho 'E: No packages found' >&2\nexit 100\n", encoding="utf-8")
        fake.chmod(0o755)
        (pathlib.Path(place) / "apt-get").symlink_to(fake)
        script = "from harness import packages; packages.depends_of(['none'])"
        text = context.command(
            ["/usr/bin/env", "python3", "-c", script], settings={"PATH": f"{place}:{os.environ['PATH']}", "PYTHONPATH": "tools", "PYTHONDONTWRITEBYTECODE": "1"}, status=1
        )  # fmt: skip
    context.check("`apt-cache depends --important none` failed: No packages found" in text, "the refusal is not told")


CYCLE = {
    "lib/src/a.rs": "//! A.\nuse crate::b::{self, X};\n",
    "lib/src/b.rs": "//! B.\nfn f() { crate::c::g() }\n",
    "lib/src/c.rs": "//! C.\nuse super::a::Y;\n",
}
TREE = {
    "lib/src/a.rs": "//! A.\nuse crate::b::X;\n#[cfg(test)]\nmod tests { use crate::c::Z; }\n",
    "lib/src/b.rs": "//! B. See crate::a::X.\n",
    "lib/src/c.rs": "//! C.\nuse crate::{a::Y, b};\n",
}
BY_REEXPORT = {
    "lib/src/lib.rs": GOOD_ROOT + "mod a; mod b;\npub use a::X;\n",
    "lib/src/a.rs": "//! A.\nuse crate::b::Y;\n",
    "lib/src/b.rs": "//! B.\nuse crate::X;\n",
}


def tests() -> list[Test]:
    """All of this kind."""
    walls, modules = "tools/wallcheck", "tools/modcheck"
    return [
        Test("tools/reading-rust", reading_rust, 60),
        Test("tools/failing-tests-fail", failing_tests_fail, 60),
        Test("tools/waiting-tests-run-beside", waiting_tests_run_beside, 60),
        Test("tools/interrupted-runs-leave-nothing", interrupted_runs_leave_nothing, 60),
        Test("tools/typing", typing, 60),
        Test("tools/packages-resolved", packages_resolved, 60),
        Test("tools/finds-cycle", finds(modules, "a cycle of a, b, c", CYCLE), 60),
        Test("tools/finds-cycle-by-reexport", finds(modules, "a cycle of a, b", BY_REEXPORT), 60),
        Test("tools/finds-cycle-in-folder", finds(modules, "x::a", {f"src/x/{n.split('/')[-1]}": t.replace("crate::", "super::") for n, t in CYCLE.items()}), 60),
        Test("tools/passes-tree", passes(modules, TREE), 60),
        Test("tools/finds-stale-exception", finds(modules, "nothing needs", {"modcheck.allow": "a -> b: no more\n"}), 60),
        Test("tools/finds-unsafe", finds(walls, "outside machine", {"lib/src/a.rs": "//! A.\nunsafe fn f() {}\n"}), 60),
        Test("tools/finds-missing-forbid", finds(walls, "does not say", {"lib/src/lib.rs": "//! L.\n"}), 60),
        Test("tools/finds-long-file", finds(walls, "501 lines", {"lib/src/a.rs": "//! A.\n" * 501}), 60),
        Test("tools/finds-feature", finds(walls, "unstable", {"src/main.rs": GOOD_ROOT + "#![feature(x)]\n"}), 60),
        Test("tools/finds-sixth-macro", finds(walls, "6 exported", {"machine/src/m.rs": "//! M.\n" + "#[macro_export]\n" * 6}), 60),
        Test("tools/passes-unsafe-in-machine", passes(walls, {"machine/src/m.rs": "//! M.\nunsafe fn f() {}\n"}), 60),
    ]
