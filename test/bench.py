"""The benchmark program on Linux, and the code that reads what it prints, tells the two systems apart and draws."""

import tempfile

from harness.plan import TOP, Context, Test

PROGRAM = str(TOP / "build/user/root/bin/bench")
BUSYBOX = "/bin/busybox"


def every_row_on_linux(context: Context) -> None:
    """Here, where nothing is missing, every row gives a figure."""
    listed = [line.split()[0] for line in context.command([PROGRAM, "-l"]).splitlines()]
    with tempfile.TemporaryDirectory() as scratch:
        shown = context.command([PROGRAM, "-f", BUSYBOX, "-s", BUSYBOX, "-d", scratch])
    figures = {line.split()[0]: float(line.split()[1]) for line in shown.splitlines() if " - " not in line}
    wrong = [name for name in listed if figures.get(name, 0) <= 0]
    context.check(len(listed) >= 20, f"only {len(listed)} rows are listed")
    context.check(not wrong, f"no figure above zero for {' '.join(wrong)}")


def tests() -> list[Test]:
    """All of this kind."""
    return [Test("bench/on-linux", every_row_on_linux, 120, needs=("build/disk",))]
