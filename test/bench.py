"""The benchmark program on Linux, and the code that reads what it prints, compares the two systems, keeps and draws."""

import gzip
import pathlib
import re
import statistics
import tempfile
import xml.etree.ElementTree as xml

from benchmark import history, initramfs, report, rows
from harness.plan import TOP, Context, Test

PROGRAM = str(TOP / "build/user/root/bin/bench")
BUSYBOX = "/bin/busybox"

# As tools/run showed it, escape sequences taken off: a program killed, a row missing, the end in the middle of a row.
RUSSET_CONSOLE = """\
ksh > mount 2
ksh > exec /bin/bench -i start
start 163646819 ticks
/bin/bench [pid 2]: exit status 0
ksh > exec /bin/bench -i tick-rate
tick-rate 1000000000 Hz
/bin/bench [pid 3]: exit status 0
ksh > exec /bin/bench -i free
free 2131709952 bytes
/bin/bench [pid 4]: exit status 0
ksh > exec /bin/bench -i null
null 172.1 instructions
/bin/bench [pid 5]: exit status 0
ksh > exec /bin/bench -i select
select - select: Function not implemented
/bin/bench [pid 6]: exit status 0
ksh > exec /bin/bench -i signal
/bin/bench [pid 7]: killed by SIGUSR1 (10)
ksh > exec /bin/bench -i pipe-bandwidth
pipe-bandwidth 1515.2 MB/s
/bin/bench [pid 8]: exit status 0
ksh > exec /bin/bench -i fork
kernel panic on CPU 0: a page table is gone
"""
LINUX_CONSOLE = """\
exec /bin/bench start
start 1800000000 ticks
[    1.234567] virtio_blk virtio2: [vdc] 262144 512-byte logical blocks (134 MB/128 MiB)
exec /bin/bench -i null
null 326.1 instructions
exec /bin/bench -i signal
/bin/bench: exit status 139
exec /bin/bench -i pipe-bandwidth
pipe-bandwidth 3030.4 MB/s
[    2.345678] reboot: Power down
"""
NAMES = ["start", "tick-rate", "free", "null", "select", "signal", "pipe-bandwidth", "fork", "mmap"]


def every_row_on_linux(context: Context) -> None:
    """Here, where nothing is missing, every row gives a figure."""
    listed = list(rows.read_list(context.command([PROGRAM, "-l"])))
    with tempfile.TemporaryDirectory() as scratch:
        shown = context.command([PROGRAM, "-f", BUSYBOX, "-s", BUSYBOX, "-d", scratch])
    figures = rows.read_console(shown, listed)
    wrong = [f"{name}: {figure.reason}" for name, figure in figures.items() if not figure.value]
    context.check(len(listed) >= 20, f"only {len(listed)} rows are listed")
    context.check(not wrong, "; ".join(wrong))
    unknown = set(rows.known_gaps()) - set(listed)
    context.check(not unknown, f"tools/benchmark/gaps names rows that are not there: {unknown}")


def missing_rows_on_linux(context: Context) -> None:
    """A row that cannot run says why, and the next goes on; an unknown one is refused."""
    shown = context.command([PROGRAM, "-f", "/missing", "-d", "/missing", "-s", "/missing", "stat", "create", "shell", "null"])
    figures = rows.read_console(shown, ["stat", "create", "shell", "null"])
    context.check(figures["stat"].reason == "stat: No such file or directory", f"stat: {figures['stat']}")
    context.check(figures["create"].reason == "open with O_CREAT: No such file or directory", f"create: {figures['create']}")
    context.check(figures["shell"].reason == "a child ended with wait status 0x7f00", f"shell: {figures['shell']}")
    context.check(bool(figures["null"].value), "null did not go on")
    context.check("no row nothing" in context.command([PROGRAM, "nothing"], status=2), "an unknown row is not refused")


def reading(context: Context) -> None:
    """Figures and reasons from recorded consoles."""
    russet = rows.read_console(RUSSET_CONSOLE, NAMES)
    linux = rows.read_console(LINUX_CONSOLE, NAMES)
    context.check(russet["null"] == rows.Figure(172.1, "instructions"), f"null: {russet['null']}")
    expected = {
        "select": "select: Function not implemented",
        "signal": "the program was killed by SIGUSR1 (10)",
        "fork": "did not end: kernel panic on CPU 0: a page table is gone",
        "mmap": "not reached: the run ended in fork: kernel panic on CPU 0: a page table is gone",
    }
    for name, reason in expected.items():
        context.check(russet[name] == rows.gap(reason), f"{name}: {russet[name]}")
    context.check(linux["signal"] == rows.gap("the program was ended with exit status 139"), f"signal: {linux['signal']}")
    context.check(rows.read_console("", NAMES, "no end after 9 s")["null"].reason.endswith("no end after 9 s"), "no reason for nothing")
    derived = rows.derive(russet, 2 << 30, 163646000, True)
    context.check("boot" not in derived and "boot" not in rows.labels_of({}, True), "instructions of a boot, which waits, were told")
    context.check(derived["memory"] == rows.Figure(15.04296875, "MiB"), f"memory: {derived['memory']}")
    context.check("start" not in derived, "a raw row stayed")
    timed = rows.derive(russet, 2 << 30, 163646000, False)["boot"]
    context.check(timed.unit == "ms" and abs(timed.value - 0.000819) < 1e-9, f"boot: {timed}")
    context.check(rows.derive(russet, 2 << 30, None, False)["boot"].value is None, "an entry that was not seen gave a figure")


def comparing(context: Context) -> None:
    """Ratios both ways, runs joined, the table with every gap."""
    russet = rows.read_console(RUSSET_CONSOLE, NAMES)
    linux = rows.read_console(LINUX_CONSOLE, NAMES)
    context.check(rows.ratio(linux["pipe-bandwidth"], russet["pipe-bandwidth"]) == 2.0, "a bandwidth's ratio is the other way round")
    context.check("Linux, " not in rows.table({"null": "null call"}, {}, russet), "a system that was not asked has gaps")
    context.check(rows.ratio(linux["select"], russet["select"]) is None, "a ratio without figures")
    shown = rows.table({"null": "null call", "select": "select"}, linux, russet)
    for wanted in (r"^null call +326 +172 +0\.53$", r"^select +- +- +-$", "^  Russet, select: select: Function not implemented$", "^  Linux, select: "):
        context.check(re.search(wanted, shown, re.MULTILINE) is not None, f"the table has no {wanted}")
    runs = [
        {"a": rows.Figure(value, "ns"), "b": rows.Figure(value, "MB/s"), "c": rows.gap("none") if value > 1 else rows.Figure(5, "ns")}
        for value in (4.0, 2.0, 2.02, 1.0)
    ]
    best = rows.best(runs)
    context.check((best["a"].value, best["b"].value, best["c"].value) == (1.0, 4.0, 5), f"the best of them: {best}")
    context.check(rows.join(runs[:3], statistics.median)["a"].value == 2.02, "not the median")
    second = rows.second_best(runs[:3])
    context.check(abs(second["a"] - 0.01) < 1e-9 and "c" not in second, f"second best: {second}")
    gaps = rows.known_gaps("# no row\nselect select(2)\n")
    context.check(gaps == {"select": "select(2)"}, f"gaps: {gaps}")
    unexpected = rows.unexpected_gaps({name: russet[name] for name in ("null", "select", "signal")}, gaps)
    context.check(unexpected == ["signal: the program was killed by SIGUSR1 (10)"], f"unexpected: {unexpected}")


def keeping(context: Context) -> None:
    """What is kept comes back the same, oldest first; the report draws it, well-formed, with hostile text escaped."""
    russet = rows.read_console(RUSSET_CONSOLE, NAMES)
    russet["mmap"] = rows.gap("<script>&")
    run = history.record("Linux 6.1", {"deterministic": {"linux": rows.read_console(LINUX_CONSOLE, NAMES), "russet": russet}})
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        for day in ("02", "01"):
            history.save({**run, "date": f"2026-01-{day}T00:00:00Z"}, folder)
        (folder / "broken.json").write_text("{", encoding="utf-8")
        (folder / "other.json").write_text('{"format": 0}', encoding="utf-8")
        runs = history.load(folder)
    context.check([kept["date"][8:10] for kept in runs] == ["01", "02"], "not all runs came back in order")
    context.check(history.figures_of(runs[0], "deterministic", "russet") == russet, "the figures came back changed")
    found = history.latest(runs, "deterministic", "linux")
    context.check(found is not None and found["date"][8:10] == "02", "not the latest run")
    context.check(history.latest(runs, "parallel", "linux") is None, "a run that was not made")
    listed = {name: name for name in NAMES}
    text = report.page({"deterministic": listed}, runs)
    context.check("<script>" not in text and "&lt;script&gt;" in text, "a reason is not escaped")
    drawn = [xml.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    context.check(len(drawn) == 1 + sum(1 for name in rows.labels_of(listed, True) if name in russet and russet[name].value), f"{len(drawn)} plots")
    bars = [rect.attrib["fill"] for rect in drawn[0].iter("rect")]
    context.check(bars == ["var(--better)", "var(--worse)"], f"bars: {bars}")


def archive(context: Context) -> None:
    """The initramfs is one that cpio reads: names, modes and contents."""
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place, "initramfs")
        initramfs.make(path, {"init": (b"abc", 0o755), "d/odd": (b"12345", 0o644)}, ["d"])
        data = gzip.decompress(path.read_bytes())
    found, at = {}, 0
    while at < len(data):
        head = data[at : at + 110]
        context.check(head[:6] == b"070701", f"no member at {at}")
        mode, size, name_size = (int(head[6 + 8 * i : 14 + 8 * i], 16) for i in (1, 6, 11))
        name = data[at + 110 : at + 109 + name_size].decode()
        start = at + (110 + name_size + 3) // 4 * 4
        found[name] = oct(mode), data[start : start + size]
        at = start + (size + 3) // 4 * 4
    wanted = {"init": ("0o100755", b"abc"), "d/odd": ("0o100644", b"12345"), "d": ("0o40755", b""), "dev/console": ("0o20600", b"")}
    for name, member in wanted.items():
        context.check(found.get(name) == member, f"{name}: {found.get(name)}")
    context.check(list(found)[-1] == "TRAILER!!!", "no end")


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("bench/on-linux", every_row_on_linux, 120, needs=("build/disk",)),
        Test("bench/missing-on-linux", missing_rows_on_linux, 60, needs=("build/disk",)),
        Test("bench/reading", reading, 60),
        Test("bench/comparing", comparing, 60),
        Test("bench/keeping", keeping, 60),
        Test("bench/archive", archive, 60),
    ]
