"""Form: formatting, clippy, and the walls and arrows of the design."""

import re

from host import PURE_CRATES

from harness.plan import TOP, Context, Test

SECONDS = 900


def runs(*argv: str):
    """A command that must end with status 0."""

    def run(context: Context) -> None:
        context.command(list(argv))

    return run


# Arguments of the type u64 that are no pointers, or such as the kernel stores to without telling of a bad one: clone(2)'s,
# set_robust_list(2)'s. rseq(2)'s area may end the program.
NUMBERS = {
    "address", "start", "len", "new_len", "to", "wanted", "offset", "low", "high", "flags", "device", "argument", "third", "fourth",
    "fifth", "stack", "parent_tid", "child_tid", "tls", "head", "area", "second",
}  # fmt: skip
# sendfile(2)'s offset is one.
POINTERS = {("sendfile", "offset")}


def bad_pointer_rows(context: Context) -> None:
    """Every system call that takes a pointer is given bad ones."""
    table = (TOP / "kernel/src/syscall/mod.rs").read_text(encoding="utf-8")
    tested = set(re.findall(r"\bSYS_(\w+)", (TOP / "user/tests/bad-pointers.c").read_text(encoding="utf-8")))
    calls = re.findall(r"^    \d+ => \w+::(\w+)\((.*)\);$", table, re.MULTILINE)
    context.check(len(calls) > 200, f"only {len(calls)} system calls were found in the table")
    missing = []
    for name, arguments in calls:
        pairs = re.findall(r"(\w+): (\w+)", arguments)
        takes = any(kind in ("UserOut", "UserIn", "UserPath") or kind == "u64" and (arg not in NUMBERS or (name, arg) in POINTERS) for arg, kind in pairs)
        if takes and name not in tested:
            missing.append(name)
    context.check(not missing, f"user/tests/bad-pointers.c has no row for {', '.join(missing)}")


def only_text(context: Context) -> None:
    """What is committed can be read: no program, picture or archive got in by accident."""
    names = context.command(["git", "ls-files", "-z"]).split("\0")
    binary = [name for name in names if name and b"\0" in (TOP / name).read_bytes()]
    context.check(not binary, f"not text: {', '.join(binary)}")


def tests() -> list[Test]:
    """All of this kind."""
    packages = [word for name in PURE_CRATES for word in ("--package", name)]
    deny = ("--", "-D", "warnings")
    cargo, demo, traces = "tools/toolchain", ("in", "user/rust-demo", "host"), ("in", "tools/traces", "host")
    tracing = ("in", "tools/tracing", "host")
    return [
        Test("lint/bad-pointers", bad_pointer_rows, 60),
        Test("lint/only-text", only_text, 60),
        Test("lint/walls", runs("tools/wallcheck"), 60),
        Test("lint/module-cycles", runs("tools/modcheck"), 60),
        Test("lint/fmt", runs(cargo, "host", "fmt", "--all", "--check"), 120),
        Test("lint/fmt-programs", runs(cargo, *demo, "fmt", "--check"), 120),
        Test("lint/fmt-traces", runs(cargo, *traces, "fmt", "--check"), 120),
        Test("lint/fmt-tracing", runs(cargo, *tracing, "fmt", "--check"), 120),
        Test("lint/clippy-kernel", runs(cargo, "kernel", "clippy", "--workspace", *deny), SECONDS, holds="debug builds"),
        Test("lint/clippy-host", runs(cargo, "host", "clippy", *packages, "--all-targets", *deny), SECONDS, holds="debug builds"),
        Test("lint/clippy-traces", runs(cargo, *traces, "clippy", *deny), SECONDS),
        Test("lint/clippy-tracing", runs(cargo, *tracing, "clippy", *deny), SECONDS),
        Test("lint/clippy-programs", runs(cargo, *demo, "clippy", *deny), SECONDS),
    ]
