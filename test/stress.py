"""Processes and threads by the thousand on four CPUs: afterwards every kind of memory is back where it was, and no task
is left. `STRESS=full` in the environment takes the large counts, which need minutes; the small ones are for every run.
Then storms: of interrupts, and of lines of the log."""

import itertools
import os
import pathlib
import re
import struct
import time

from harness.console import PROMPT, Terminal, boot, plain
from harness.monitor import Monitor
from harness.plan import OUT, Context, Failure, Test

NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
FULL = os.environ.get("STRESS") == "full"

# What each kind of frame may be above its figure at the start, and why.
TOLERANCE = {
    "PageTable": (2, "of the stack area, which stays mapped"),
    "Heap": (16, "slabs that are not full, and room in tables that only grow"),
    "KernelStack": (64, "four frames for each task that ever lived at once: they stay for the next ones"),
    "PageCache": (64, "what was read from the disk meanwhile stays until memory is short"),
}
COUNTS = {
    "fork": ("fork 100000", "fork 2000"),
    "exec": ("exec 5000", "exec 300"),
    "handoff": ("handoff 200 1000", "handoff 100 50"),
    "bomb": ("bomb 500", "bomb 60"),
    "tracers": ("tracers 3000", "tracers 150"),
    "hog": ("hog", "hog"),
}


def figures(console: str) -> list[dict[str, int]]:
    """What each `mem` of the run showed: frames by kind."""
    tables = re.findall(r"^frames used for .*\n((?:\w+ +\d+ +\d+\n)+)", console, re.MULTILINE)
    return [{kind: int(count) for kind, count in re.findall(r"^(\w+) +(\d+)", table, re.MULTILINE)} for table in tables]


def left_over(context: Context, before: dict[str, int], after: dict[str, int]) -> list[str]:
    """What is more than the tolerance allows; says what is within it."""
    wrong = []
    for kind, count in after.items():
        more = count - before.get(kind, 0)
        if kind in ("Free", "total") or more <= 0:
            continue
        allowed, reason = TOLERANCE.get(kind, (0, "nothing of it may stay"))
        context.say(f"{kind}: {more} frames more than before, {allowed} allowed: {reason}")
        if more > allowed:
            wrong.append(f"{kind}: {more} frames more than before, not at most {allowed}")
    return wrong


def objects_left(context: Context, console: str) -> list[str]:
    """The kernel's own counts of objects: no more are alive than before."""
    tables = re.findall(r"^object +alive +ever made\n((?:\w+ +\d+ +\d+\n)+)", console, re.MULTILINE)
    context.check(len(tables) == 2, f"{len(tables)} tables of objects instead of two")
    before, after = ({kind: (int(alive), int(made)) for kind, alive, made in re.findall(r"^(\w+) +(\d+) +(\d+)", table, re.MULTILINE)} for table in tables)
    wrong = []
    for kind, (alive, made) in after.items():
        earlier, made_earlier = before[kind]
        context.say(f"{kind}: {made - made_earlier} made and {alive - earlier} more alive than before")
        if alive > earlier:
            wrong.append(f"{kind}: {alive} alive, {earlier} before")
    return wrong


def stress(kind: str, **settings: str):
    """The same twice: once for what stays (kernel stacks, page cache), once to compare."""

    def run(context: Context) -> None:
        full, small = COUNTS[kind]
        once = f"exec /tests/stress {small}"
        counted = f"exec /tests/stress {full if FULL else small}"
        if FULL and kind in ("bomb", "handoff"):
            once = counted  # as many stacks at once
        look = "sleep 1; mem; mem objects"
        result = boot(context, f"mount 2; {once}; {look}; {counted}; {look}; tasks; exit", **settings)
        result.wants(rf"^stress {kind}: passed$")
        for line in re.findall(rf"^{kind}: .*$", result.console, re.MULTILINE):
            context.say(line)
        before, after = figures(result.console)
        wrong = left_over(context, before, after)
        wrong += objects_left(context, result.console)
        wrong += [f"a task is left: {row}" for row in re.findall(r"^ *\d+ +stress .*$", result.console, re.MULTILINE)]
        if wrong:
            raise Failure("; ".join(wrong))

    return run


def large_pages(context: Context) -> None:
    """Large pages, cut in all ways by four programs with six processes each, are all given back."""
    once = "exec 4 /tests/huge; sleep 1; mem"
    result = boot(context, f"mount 2; {once}; {once}; exit", SMP="4")
    said = result.count(r"^large pages: yes$"), result.count(r"^[1-9]\d* passed, 0 failed$"), result.count(r"^large pages: 0, 0 KiB ")
    before, after = figures(result.console)
    wrong = left_over(context, before, after)
    if said != (8, 8, 2):
        wrong.append(f"of eight programs {said[0]} had large pages and {said[1]} passed; `mem` had none {said[2]} times, not twice")
    if wrong:
        raise Failure("; ".join(wrong))


STORM_S = 60
STORM_PAGES = 4096
SECTOR_LEN = 512
READS = 10_000


def interrupt_storm(context: Context) -> None:
    """Four CPUs read and write a disk of their own and read the entropy source at full rate for 60 s. The kernel's account is
    compared with QEMU's, and the disk is read by the host."""
    image = OUT / f"{context.test.name}.img"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(32 << 20)
    monitor = Monitor(context)
    drive = f"-drive if=none,id=scratch,format=raw,file={image} -device virtio-blk-pci,drive=scratch,disable-legacy=on"
    with monitor, Terminal(context, SMP="4", QEMU_EXTRA=f"{monitor.qemu_extra()} {drive}") as machine:
        machine.expect(re.escape(PROMPT), within_s=240)
        machine.command(f"rng 16 {READS}", rf"^{READS} reads in \d+ ms; the last:$")
        before, start = operations(monitor, "scratch"), time.monotonic()
        machine.type(f"storm 3 {STORM_S}\n")
        machine.expect(r"^no request lost, no data wrong, no interrupt missing or too many$", within_s=STORM_S + 200)
        machine.expect(re.escape(PROMPT))
        context.say(f"{time.monotonic() - start:.0f} s by the host's clock")
        served = operations(monitor, "scratch") - before
        counted = re.search(r"^vdd: (\d+) requests sent, (\d+) answered, interrupts: [1-9]", plain(machine.seen), re.MULTILINE)
        context.check(counted is not None, "no account of the disk's requests")
        context.check(counted.groups() == (str(served), str(served)), f"QEMU has served {served} requests")
        busy = re.findall(r"^(?:disk|entropy) storm on CPU \d: [1-9]\d* requests$", plain(machine.seen), re.MULTILINE)
        context.check(len(set(busy)) == 8, f"{len(busy)} tasks of eight were in the storm")
        machine.command("irq")
        machine.type("exit\n")
        context.check(machine.end_status() == 0, "a command failed")
    check_log(context)
    check_sectors(image)
    image.unlink()


def operations(monitor: Monitor, drive: str) -> int:
    """Reads and writes that QEMU has done for a drive."""
    for device in monitor.execute("query-blockstats"):
        if device.get("device") == drive:
            return device["stats"]["rd_operations"] + device["stats"]["wr_operations"]
    raise Failure(f"QEMU knows no drive {drive}")


def check_log(context: Context) -> None:
    """The kernel had nothing to complain of."""
    log = context.com2_path.read_text(encoding="utf-8", errors="replace")
    bad = re.search(r"^\[.*\] \d (WARN|ERROR) .*$", log, re.MULTILINE)
    context.check(bad is None, f"in the log: {bad and bad.group(0)}")


def check_sectors(image: pathlib.Path) -> None:
    """Each sector tells its number first."""
    with image.open("rb") as file:
        for sector in range(STORM_PAGES * 8):
            (found,) = struct.unpack_from("<Q", file.read(SECTOR_LEN))
            if found != sector:
                raise Failure(f"on the disk sector {sector} holds sector {found:#x}")


def log_storm(context: Context) -> None:
    """Lines that four CPUs log at once, some of them to the console as well, are whole, and each CPU's are in order."""
    count = 1000
    result = boot(context, f"storm log {count}; exit", SMP="4")
    result.wants(rf"^{count} lines from each of 4 CPUs in \d+ ms$")
    line = re.compile(rf"\[ *\d+\.\d{{6}}\] (\d) (?:INFO |WARN ) russet::shell::storm: storm from CPU (\d), line (\d+) of {count}\.")
    lines = context.com2_path.read_text(encoding="ascii").splitlines()
    seen: dict[str, int] = {}
    for text in (text for text in lines if "storm" in text):
        found = line.fullmatch(text)
        context.check(found is not None, f"a line is not whole: {text!r}")
        where, cpu, number = found.groups()
        context.check(where == cpu and int(number) == seen.get(cpu, 0) + 1, f"line {number} of CPU {cpu} after {seen.get(cpu, 0)}")
        seen[cpu] = int(number)
    context.check(seen == dict.fromkeys("0123", count), f"the last lines are {seen}")
    warnings = [found for text in result.lines() if (found := line.fullmatch(text))]
    context.check(len(warnings) == 4 * count // 100, f"of the warnings {len(warnings)} are whole on the console")
    orders = [line.fullmatch(text).group(2) for text in lines if "storm" in text]
    changes = sum(one != next_one for one, next_one in itertools.pairwise(orders))
    context.say(f"the CPU changes {changes} times from line to line")
    context.check(changes > 4, "the CPUs did not log at once")


def faults(context: Context) -> None:
    """What a program does with its own faults is its own affair, and programs that one ends do not fill the log."""
    result = boot(context, "mount 2; exec /tests/stress faults 5000 200; sleep 6; exec /tests/stress faults 1 1; dmesg; exit")
    result.wants(r"^stress faults: passed$", r"\d+ more programs were ended by instructions$")
    lines = len(re.findall(r"SIGILL at rip", result.console))
    context.check(1 <= lines <= 60, f"{lines} lines of the log about 200 ends")
    context.check("SIGTRAP at rip" not in result.console, "the log tells of a signal that was handled")


def tests() -> list[Test]:
    """All of this kind."""
    seconds = 3600 if FULL else 300
    memory = {"hog": {"MEM": "256M"}}
    return [
        *(Test(f"stress/{kind}", stress(kind, **memory.get(kind, {})), seconds, needs=NEEDS) for kind in COUNTS),
        Test("stress/faults", faults, 300, needs=NEEDS),
        Test("stress/huge", large_pages, seconds, needs=NEEDS),
        Test("stress/interrupts", interrupt_storm, 500, needs=NEEDS),
        Test("stress/log", log_storm, 300, needs=NEEDS),
        Test("stress/fork-debug", stress("fork", RUST_BUILD_MODE="debug"), seconds, needs=DEBUG_NEEDS),
        Test("stress/tracers-debug", stress("tracers", RUST_BUILD_MODE="debug"), seconds, needs=DEBUG_NEEDS),
    ]
