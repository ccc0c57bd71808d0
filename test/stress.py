"""Processes and threads by the thousand on four CPUs: afterwards every kind of memory is back where it was, and no task
is left. `STRESS=full` in the environment takes the large counts, which need minutes; the small ones are for every run."""

import os
import re

from harness.console import boot
from harness.plan import Context, Failure, Test

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


def stress(kind: str, **settings: str):
    """The same twice: once for what stays (kernel stacks, page cache), once to compare."""

    def run(context: Context) -> None:
        full, small = COUNTS[kind]
        once = f"exec /tests/stress {small}"
        counted = f"exec /tests/stress {full if FULL else small}"
        if FULL and kind in ("bomb", "handoff"):
            once = counted  # as many stacks at once
        result = boot(context, f"mount 2; {once}; sleep 1; mem; {counted}; sleep 1; mem; tasks; exit", **settings)
        result.wants(rf"^stress {kind}: passed$")
        for line in re.findall(rf"^{kind}: .*$", result.console, re.MULTILINE):
            context.say(line)
        before, after = figures(result.console)
        wrong = left_over(context, before, after)
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


def tests() -> list[Test]:
    """All of this kind."""
    seconds = 3600 if FULL else 300
    memory = {"hog": {"MEM": "256M"}}
    return [
        *(Test(f"stress/{kind}", stress(kind, **memory.get(kind, {})), seconds, needs=NEEDS) for kind in COUNTS),
        Test("stress/huge", large_pages, seconds, needs=NEEDS),
        Test("stress/fork-debug", stress("fork", RUST_BUILD_MODE="debug"), seconds, needs=DEBUG_NEEDS),
    ]
