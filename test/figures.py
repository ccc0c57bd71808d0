"""Figures the kernel promises. Timings run alone, as the machine's load would change them."""

import re
import statistics
import subprocess
import sys
import time

from harness.console import boot
from harness.plan import TOP, Context, Failure, Test

NEEDS = ("build/release", "build/disk")
KERNEL = TOP / "kernel/target/x86_64-unknown-none/release/russet"
STRIPPED_MAX_BYTES = (2 << 20) + (128 << 10)
FREE_MIN_KIB = 44 << 10
MEASUREMENTS = 4
TWO_CPUS_MAX_RATIO = 0.60


def size(context: Context) -> None:
    """The stripped release kernel is at most 2.125 MiB, so that what it grows by is seen and weighed."""
    stripped = context.log_path.with_suffix(".elf")
    context.command(["objcopy", "--strip-all", str(KERNEL), str(stripped)])
    got = stripped.stat().st_size
    stripped.unlink()
    context.show(f"stripped: {got} bytes")
    context.check(got <= STRIPPED_MAX_BYTES, f"{got} bytes, more than {STRIPPED_MAX_BYTES}")


def primes_seconds(context: Context, cpus: str) -> float:
    """The shell's own time for 20 instances of primes: the median of three in one boot."""
    commands = "; ".join(["mount 2", *["exec 20 /bin/primes 15000"] * 3, "exit"])
    console = boot(context, commands, SMP=cpus).console
    times = [float(text) for text in re.findall(r"^20 instances in (\d+\.\d+) s$", console, re.MULTILINE)]
    if len(times) != 3:
        raise Failure(f"SMP={cpus}: {len(times)} times instead of three")
    return statistics.median(times)


def host_has_two_free_cores() -> bool:
    """Whether two computing processes take about as long as one: else another program has a core, and the ratio says nothing."""
    work = [sys.executable, "-c", "sum(range(12_000_000))"]

    def seconds(count: int) -> float:
        begin = time.monotonic()
        for process in [subprocess.Popen(work) for _ in range(count)]:
            process.wait()
        return time.monotonic() - begin

    return seconds(2) <= 1.25 * seconds(1)


def two_cpus(context: Context) -> None:
    """Two CPUs take at most 60 % of the time of one, wherever the host had two cores to give, before and after."""
    for _ in range(MEASUREMENTS):
        free = host_has_two_free_cores()
        one, two = primes_seconds(context, "1"), primes_seconds(context, "2")
        free = free and host_has_two_free_cores()
        context.show(f"SMP=1 {one:.3f} s, SMP=2 {two:.3f} s, ratio {two / one:.2f}" + ("" if free else "; the host was busy"))
        if two <= TWO_CPUS_MAX_RATIO * one:
            return
    if free:
        raise Failure(f"SMP=2 took {two:.3f} s, SMP=1 {one:.3f} s: {two / one:.0%}, the last of {MEASUREMENTS} measurements")


def start(context: Context) -> None:
    """Memory free at the prompt of a machine with 64 MiB; and how long it took to get there, which is shown only, as the
    host's load counts in it."""
    free = re.search(r"^Free +\d+ +(\d+)$", boot(context, "mem; exit", MEM="64M").console, re.MULTILINE)
    context.check(free is not None, "`mem` shows no free memory")
    kib = int(free.group(1)) if free else 0
    times = []
    for _ in range(3):
        console = boot(context, "boot-info; exit").console
        times += [float(text) for text in re.findall(r"^from multiboot entry to prompt: (\d+\.\d+) ms$", console, re.MULTILINE)]
    context.show(f"free of 64 MiB: {kib} KiB; from multiboot entry to prompt: {statistics.median(times):.1f} ms, median of {len(times)}")
    context.check(kib >= FREE_MIN_KIB, f"{kib} KiB free, less than {FREE_MIN_KIB}")
    context.check(len(times) == 3, "`boot-info` does not tell how long booting took")


def bench(context: Context) -> None:
    """The benchmark in guest instructions: every row that Russet can run gives a figure. How good they are is for people to
    judge."""
    text = context.command(["tools/bench", "--only", "russet", "--mode", "deterministic", "--no-record"])
    context.show(text[text.index("\ndeterministic") + 1 :].rstrip())


def tests() -> list[Test]:
    """All of this kind."""
    return [
        # Alone: what the host does meanwhile decides how soon disks answer, and so how many boots are needed.
        Test("figures/bench", bench, 600, needs=NEEDS, alone=True),
        Test("figures/kernel-size", size, 60, needs=NEEDS),
        Test("figures/start", start, 300, needs=NEEDS, alone=True),
        Test("figures/two-cpus", two_cpus, 600, needs=NEEDS, alone=True),
    ]
