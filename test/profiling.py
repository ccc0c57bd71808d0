"""The sampling profiler: where programs spend their time is what it says, nothing goes uncounted, and the picture shows it all."""

import collections
import pathlib
import re
import xml.etree.ElementTree

from harness.console import boot
from harness.plan import OUT, Context, Failure, Test
from storage import DEBUGFS, image_for

SECONDS = 300
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
CPUS = 4
HZ = 500
SVG = "{http://www.w3.org/2000/svg}"
TAKEN = re.compile(r"^CPU (\d+): (\d+) samples, (\d+) of them lost$", re.MULTILINE)


def stacks_of(text: str) -> list[tuple[list[str], int]]:
    """Folded stacks."""
    stacks = []
    for line in text.splitlines():
        found = re.fullmatch(r"([^;]+(?:;[^;]+)*) ([1-9]\d*)", line)
        if not found:
            raise Failure(f"not a folded stack: {line!r}")
        stacks.append((found.group(1).split(";"), int(found.group(2))))
    return stacks


def saved(context: Context, image: pathlib.Path, name: str) -> str:
    """The profile that was saved in the root directory."""
    raw = OUT / f"{context.test.name}.folded"
    raw.unlink(missing_ok=True)
    context.command([DEBUGFS, "-R", f"dump /{name} {raw}", str(image)])
    context.check(raw.exists(), "no profile was saved")
    return raw.read_text(encoding="utf-8")


def check_picture(context: Context, stacks: list[tuple[list[str], int]]) -> None:
    """Well-formed, one rectangle a frame with its name and count, each within the one of its caller and as wide as its
    share; what tools/flame-graph makes of nonsense is an error."""
    folded, svg = OUT / f"{context.test.name}.folded", OUT / f"{context.test.name}.svg"
    context.command(["tools/flame-graph", "--root", str(OUT / "nothing-here"), str(folded), str(svg)])
    counts: collections.Counter[tuple[str, ...]] = collections.Counter()
    for stack, count in stacks:
        for depth in range(len(stack) + 1):
            counts[tuple(stack[:depth])] += count
    drawn, boxes = [], {}
    path: list[tuple[str, float, float]] = []
    for group in xml.etree.ElementTree.parse(svg).getroot().iter(f"{SVG}g"):
        level, box = int(group.get("data-level", "-1")), group.findall(f"{SVG}rect")
        context.check(len(box) == 1 and 0 <= level <= len(path), f"a frame without a rectangle, or on top of nothing: {group.attrib}")
        x, width = float(box[0].get("x", "nan")), float(box[0].get("width", "nan"))
        path[level:] = [(group.get("data-name", ""), x, width)]
        if level > 0:
            _, below, room = path[level - 1]
            context.check(below - 0.2 <= x and x + width <= below + room + 0.2, f"{path[level]} is not on {path[level - 1]}")
        stack = tuple(name for name, _, _ in path[1:])
        said = re.search(r": (\d+) samples, ", group.findtext(f"{SVG}title", ""))
        drawn.append((stack, int(said.group(1)) if said else -1))
        boxes[stack] = width
    context.check(dict(drawn) == dict(counts) and len(drawn) == len(counts), "the picture does not show the frames that were sampled")
    whole = boxes[()]
    for stack, width in boxes.items():
        context.check(abs(width - max(whole * counts[stack] / counts[()], 0.1)) < 0.01, f"{stack} is {width} wide")
    rectangles = len(re.findall(r"<rect\b", svg.read_text(encoding="utf-8")))
    context.check(rectangles == len(counts), f"{rectangles} rectangles for {len(counts)} frames")
    context.show(f"{counts[()]} samples, {len(stacks)} stacks, {len(counts)} frames in the picture")


def check_symbols(context: Context) -> None:
    """With the programs at hand, their frames have the names of functions."""
    folded, svg = OUT / f"{context.test.name}.folded", OUT / f"{context.test.name}.svg"
    context.command(["tools/flame-graph", str(folded), str(svg)])
    context.check("main (primes): " in svg.read_text(encoding="utf-8"), "main of primes is not in the picture")
    folded.write_text("primes;main one\n", encoding="utf-8")
    text = context.command(["tools/flame-graph", str(folded), str(svg)], status=1)
    context.check("line 1: not a stack and a count" in text, f"nonsense gave {text!r}")


def check_zeros(context: Context, stacks: list[tuple[list[str], int]], taken: list[tuple[int, int, int]]) -> None:
    """Copying zeros is the kernel's work, for system calls of the program."""
    total = sum(count for _, count in stacks)
    context.check(total == sum(count for _, count, _ in taken), f"{total} samples of busybox saved, {taken} taken")
    own = [(stack, count) for stack, count in stacks if stack[0] == "busybox"]
    calls = sum(count for stack, count in own if "russet::user_loop::enter_[k]" in stack and any("read" in name for name in stack))
    busy = sum(count for _, count in own)
    context.check(calls * 2 > busy > 0, f"{calls} of {busy} samples are in read(2)")


def primes(**settings: str):
    """Programs that only compute on four CPUs."""

    def run(context: Context) -> None:
        image = image_for(context)
        commands = [
            "mount 2", "profile off", "profile show", "profile on 0", "profile sideways", f"profile on {HZ}", "profile on",
            f"exec {CPUS} /bin/primes 100000", "profile off", "profile show 3", "profile save /profile",
            f"profile on {HZ}", "exec /bin/busybox dd if=/dev/zero of=/dev/null bs=256k count=4000", "profile off", "profile save /zeros", "exit 0",
        ]  # fmt: skip
        result = boot(context, "; ".join(commands), DISK=str(image), SMP=str(CPUS), **settings)
        for answer in ("profiling is off", "there is no profile", "0: no frequency", "sideways: must be on, off, show or save", "profiling is on"):
            context.check(f"profile: {answer}" in result.console, f"`profile` never said {answer!r}")
        taken = [(int(cpu), int(count), int(lost)) for cpu, count, lost in TAKEN.findall(result.console)]
        context.check([cpu for cpu, _, _ in taken] == [*range(CPUS)] * 2, f"samples of {taken}")
        context.check(all(count > 10 and lost == 0 for _, count, lost in taken), f"few samples, or lost ones: {taken}")
        check_zeros(context, stacks_of(saved(context, image, "zeros")), taken[CPUS:])
        taken = taken[:CPUS]
        stacks = stacks_of(saved(context, image, "profile"))
        image.unlink()
        total = sum(count for _, count in stacks)
        context.check(total == sum(count for _, count, _ in taken), f"{total} samples saved, {taken} taken")
        busy = [(stack, count) for stack, count in stacks if not stack[0].startswith("idle/")]
        computing = sum(count for stack, count in busy if stack[0] == "primes" and re.match(r"primes\+0x", stack[-1]))
        context.check(computing * 10 > 7 * sum(count for _, count in busy), f"{computing} samples of {total} are in primes' own code")
        inside = [stack for stack, _ in stacks if stack[-1].endswith("_[k]")]
        context.check(any("russet::sched::idle_[k]" in stack for stack in inside), "no CPU was ever idle")
        shown = re.findall(r"^ *\d+ +\d+\.\d %  (\S+)", result.console, re.MULTILINE)
        context.check(len(shown) == 3, f"`profile show 3` showed {shown}")
        check_picture(context, stacks)
        check_symbols(context)

    return run


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("profile/primes", primes(), SECONDS, needs=NEEDS),
        Test("profile/primes-debug", primes(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
    ]
