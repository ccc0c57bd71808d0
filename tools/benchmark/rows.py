"""Rows of the benchmark and their figures: read from a console, joined over several runs, compared, shown as a table."""

import dataclasses
import pathlib
import re
from collections.abc import Callable

GAPS = pathlib.Path(__file__).with_name("gaps")

# Rows that the harness makes from what the program says of the system.
BOOT, MEMORY = "boot", "memory"
DERIVED = {BOOT: "kernel entry to first user instruction", MEMORY: "memory in use at the prompt"}
RAW = ("start", "tick-rate", "free")
# It waits for the host's disk, which no clock of the guest orders: it may not repeat.
DISK_BOUND = {"create"}

BEGUN = re.compile(r"exec /bin/bench(?: -i)? ([a-z0-9-]+)$")
FIGURE = re.compile(r"([a-z0-9-]+) (\d+(?:\.\d+)?) (ns|instructions|MB/s|ticks|bytes|Hz)")
MISSING = re.compile(r"([a-z0-9-]+) - (.+)")
ENDED = re.compile(r"/bin/bench(?: \[pid \d+\])?: (killed by .*|exit status [1-9]\d*)|exec: /bin/bench: (.*)")
PANIC = re.compile(r"kernel panic.*|panicked at.*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row's value with its unit; without a value, the reason is why there is none."""

    value: float | None
    unit: str = ""
    reason: str = ""


Figures = dict[str, Figure]


def labels_of(listed: dict[str, str], counting: bool, disk: bool = False) -> dict[str, str]:
    """The rows of a mode with what they are called, in order. `listed`: what the program says of the mode's."""
    if disk:
        return listed
    derived = {name: label for name, label in DERIVED.items() if not (counting and name == BOOT)}
    return {name: label for name, label in listed.items() if name not in RAW} | derived


def gap(reason: str) -> Figure:
    """No figure."""
    return Figure(None, "", reason)


def read_list(text: str) -> dict[str, str]:
    """`bench -l`: name to description, in order."""
    return dict(line.split(" ", 1) for line in text.splitlines() if line)


def read_console(console: str, names: list[str], why_ended: str = "") -> Figures:
    """The figures that a machine's console shows; a row without one gets the reason that can be seen.

    Before each row the console shows the command that begins it. `why_ended` tells what the runner knows of an early end.
    """
    figures: Figures = {}
    current, panic = "", ""
    for line in map(str.strip, console.splitlines()):
        if (match := BEGUN.search(line)) and match.group(1) in names:
            current = match.group(1)
        elif (match := FIGURE.fullmatch(line)) and match.group(1) in names:
            figures[match.group(1)] = Figure(float(match.group(2)), match.group(3))
        elif (match := MISSING.fullmatch(line)) and match.group(1) in names:
            figures[match.group(1)] = gap(match.group(2))
        elif (match := ENDED.fullmatch(line)) and current:
            figures.setdefault(current, gap("the program was " + (match.group(1) or match.group(2)).replace("exit", "ended with exit")))
        elif (match := PANIC.search(line)) and not panic:
            panic = match.group(0)
    for name in names:
        if name not in figures:
            where = "did not end" if name == current else f"not reached: the run ended in {current or 'nothing'}"
            figures[name] = gap(f"{where}{': ' if panic or why_ended else ''}{panic or why_ended}")
    return figures


def derive(figures: Figures, memory_bytes: int, entry_ticks: int | None, counting: bool) -> Figures:
    """Puts the rows `boot` and `memory` in place of what they come from.

    Memory in use is what the machine has less what the system calls free, by which both systems are judged alike.
    """
    result = {name: figure for name, figure in figures.items() if name not in RAW}
    start, rate, free = (figures.get(name, gap("not asked for")) for name in RAW)
    if counting:
        pass  # the counter leaps to the next timer while all wait for the disk: what it tells of a boot means nothing
    elif entry_ticks is None:
        result[BOOT] = gap("the kernel's entry was not seen")
    elif start.value is None or rate.value is None:
        result[BOOT] = gap(start.reason or rate.reason)
    else:
        result[BOOT] = Figure((start.value - entry_ticks) / rate.value * 1e3, "ms")
    result[MEMORY] = free if free.value is None else Figure((memory_bytes - free.value) / 2**20, "MiB")
    return result


def join(runs: list[Figures], choose: Callable[[list[float]], float]) -> Figures:
    """Row by row what `choose` makes of the runs that have a figure: `statistics.median`, or `min`."""
    result: Figures = {}
    for name in runs[0]:
        having = [run[name] for run in runs if run[name].value is not None]
        result[name] = Figure(choose([f.value for f in having]), having[0].unit) if having else runs[0][name]
    return result


def best(runs: list[Figures]) -> Figures:
    """Row by row the least cost: what is more came from something else than the row, such as an interrupt."""
    least, most = join(runs, min), join(runs, max)
    return {name: most[name] if figure.unit == "MB/s" else figure for name, figure in least.items()}


def second_best(runs: list[Figures]) -> dict[str, float]:
    """Row by row how far the second best is from the best, as a part of it; rows with fewer than two figures are left out."""
    result = {}
    for name, figure in runs[0].items():
        costs = sorted(1 / f.value if f.unit == "MB/s" else f.value for f in (run[name] for run in runs) if f.value)
        if len(costs) > 1:
            result[name] = costs[1] / costs[0] - 1
    return result


def ratio(linux: Figure, russet: Figure) -> float | None:
    """Russet's cost by Linux's: below one Russet is cheaper. A bandwidth is the other way round than a time."""
    if not linux.value or not russet.value:
        return None
    return linux.value / russet.value if russet.unit == "MB/s" else russet.value / linux.value


def number(figure: Figure) -> str:
    """A value as people read it."""
    if figure.value is None:
        return "-"
    unit = {"instructions": "", "ns": " ns"}.get(figure.unit, " " + figure.unit)
    digits = 0 if figure.value >= 100 else 1 if figure.value >= 10 else 2
    return f"{figure.value:,.{digits}f}{unit}"


def table(labels: dict[str, str], linux: Figures, russet: Figures) -> str:
    """Linux | Russet | ratio, with every row; below it why a figure is missing, for a system that was run at all."""
    lines = [f"{'':44}{'Linux':>16}{'Russet':>16}{'ratio':>8}"]
    reasons = []
    for name, label in labels.items():
        pair = [figures.get(name, gap("not run")) for figures in (linux, russet)]
        by = ratio(*pair)
        lines.append(f"{label:44}{number(pair[0]):>16}{number(pair[1]):>16}{'-' if by is None else f'{by:.2f}' if by >= 0.1 else f'{by:.4f}':>8}")
        for system, figures, figure in zip(("Linux", "Russet"), (linux, russet), pair, strict=True):
            if figures and figure.value is None:
                reasons.append(f"  {system}, {label}: {figure.reason}")
    return "\n".join(lines + (["missing:", *reasons] if reasons else []))


def known_gaps(text: str | None = None) -> dict[str, str]:
    """The rows that Russet may miss, with the reason: the one list of them, `tools/benchmark/gaps`."""
    content = GAPS.read_text(encoding="utf-8") if text is None else text
    lines = [line for line in content.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)


def unexpected_gaps(figures: Figures, known: dict[str, str]) -> list[str]:
    """What has no figure though it should, each as `row: reason`."""
    return [f"{name}: {figure.reason}" for name, figure in figures.items() if figure.value is None and name not in known]
