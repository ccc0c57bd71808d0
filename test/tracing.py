"""Event tracing: what the kernel saved becomes a timeline that is valid by Chrome's format and in which nothing is missing."""

import collections
import copy
import json
import re

from harness.console import boot
from harness.plan import OUT, TOP, Context, Failure, Test
from storage import DEBUGFS, image_for

SECONDS = 300
NEEDS = ("build/release", "build/disk", "build/trace-tools")
DEBUG_NEEDS = ("build/debug", "build/disk", "build/trace-tools")
CPUS = 4
INSTANCES = 4
EVENT_LINE = re.compile(r"^ ?\d+ +\d+\.\d{9} +\d+ \w", re.MULTILINE)

# The trace-event format: which keys an event of each phase must have, besides those that all have.
COMMON = {"ph": str, "ts": (int, float), "pid": int, "tid": int, "name": str, "cat": str}
MORE = {"B": {}, "E": {}, "i": {"s": str}, "b": {"id": int}, "e": {"id": int}, "M": {"args": dict}}


def timeline(context: Context, commands: list[str], **settings: str) -> tuple[dict, str]:
    """Runs the commands, which save a trace at /trace; the timeline of it, and the console."""
    image = image_for(context)
    result = boot(context, "; ".join(["mount 2", *commands, "exit 0"]), DISK=str(image), SMP=str(CPUS), **settings)
    raw, made = OUT / f"{context.test.name}.raw", OUT / f"{context.test.name}.json"
    raw.unlink(missing_ok=True)
    context.command([DEBUGFS, "-R", f"dump /trace {raw}", str(image)])
    context.check(raw.exists(), "no trace was saved")
    said = context.command(["tools/chrome-trace", str(raw), str(made)])
    shown = [line for line in result.lines() if line.startswith("CPU ")]
    context.check(said.splitlines()[:CPUS] == shown[:CPUS], "`trace off` and tools/chrome-trace do not agree on the numbers of events")
    image.unlink()
    return json.loads(made.read_text(encoding="utf-8")), result.console


def check_form(events: list[dict]) -> None:
    """Types, and that times never go back, slices nest and everything that begins ends."""
    latest, stacks, requests = {}, collections.defaultdict(list), {}
    for event in events:
        phase = event.get("ph")
        if phase not in MORE:
            raise Failure(f"no such phase: {event}")
        for key, kind in {**COMMON, **MORE[phase]}.items():
            if not isinstance(event.get(key), kind) or isinstance(event[key], bool):
                raise Failure(f"{key!r} is wrong: {event}")
        if not isinstance(event.get("args", {}), dict) or event["ts"] < 0:
            raise Failure(f"arguments or time are wrong: {event}")
        if phase == "M":
            continue
        track = (event["pid"], event["tid"])
        if event["ts"] < latest.get(track, 0):
            raise Failure(f"time goes back: {event}")
        latest[track] = event["ts"]
        if phase == "B":
            stacks[track].append(event["name"])
        elif phase == "E" and (not stacks[track] or stacks[track].pop() != event["name"]):
            raise Failure(f"not what was begun: {event}")
        elif phase == "i" and event["s"] != "t":
            raise Failure(f"not a moment of a track: {event}")
        elif phase == "b" and requests.setdefault(event["id"], event["name"]) != event["name"]:
            raise Failure(f"begun twice: {event}")
        elif phase == "e" and requests.pop(event["id"], None) != event["name"]:
            raise Failure(f"not what was begun: {event}")
    left = [track for track, stack in stacks.items() if stack]
    if left or requests:
        raise Failure(f"never ended: {left} {requests}")


def tracks(events: list[dict], what: str = "thread_name") -> dict[tuple[int, int], str]:
    """The names of all tracks."""
    return {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["ph"] == "M" and event["name"] == what}


def slices(events: list[dict], track: tuple[int, int], category: str) -> list[tuple[float, float, dict, dict]]:
    """Begin, end and the arguments of both of each slice of a category; these do not nest in each other."""
    found, begun = [], None
    for event in events:
        if (event["pid"], event["tid"]) == track and event["cat"] == category:
            if event["ph"] == "B":
                begun = event
            elif event["ph"] == "E" and begun:
                found.append((begun["ts"], event["ts"], begun.get("args", {}), event.get("args", {})))
    return found


def joined(pieces: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The pieces in order, those that touch made one, empty ones left out."""
    whole: list[tuple[float, float]] = []
    for begin, end in sorted(pieces):
        if whole and begin < whole[-1][1]:
            raise Failure(f"a task runs twice at {begin}")
        if whole and begin == whole[-1][1]:
            whole[-1] = (whole[-1][0], end)
        elif end > begin:
            whole.append((begin, end))
    return whole


def check_switches(context: Context, data: dict) -> None:
    """Each CPU's track has no gap, and each switch takes off the task that the one before put on; what the CPUs say
    of a task is what the task's own track says."""
    events = data["traceEvents"]
    pids = {name: pid for (pid, _), name in tracks(events, "process_name").items()}
    names = tracks(events)
    on_cpus, switches = collections.defaultdict(list), 0
    for cpu in range(CPUS):
        track = (pids["CPUs"], cpu)
        context.check(names.get(track) == f"CPU {cpu}", f"CPU {cpu} has no track")
        runs = slices(events, track, "running")
        context.check(bool(runs) or data["otherData"][f"records of CPU {cpu}"] == 0, f"nothing runs on CPU {cpu}")
        for (begin, end, put_on, taken_off), following in zip(runs, [*runs[1:], None]):
            if put_on["task"] != taken_off["task"]:
                raise Failure(f"CPU {cpu}: {put_on} was put on and {taken_off} taken off at {end}")
            if following and following[0] != end:
                raise Failure(f"CPU {cpu}: nothing runs from {end} to {following[0]}")
            on_cpus[put_on["task"]].append((begin, end))
        if runs:
            context.check(runs[-1][1] * 1000 == data["otherData"]["end_ns"], f"CPU {cpu}'s track ends at {runs[-1][1]}")
            switches += len(runs) - 1
    own = {task: track for track in names if track[0] not in (pids["CPUs"], pids["disks"]) for task in [track[1]]}
    for task, pieces in on_cpus.items():
        told = [(begin, end) for begin, end, _, _ in slices(events, own[task], "running")]
        if joined(pieces) != joined(told):
            raise Failure(f"task {task}: the CPUs say that it ran {joined(pieces)}, its own track {joined(told)}")
    context.show(f"{switches} switches of {len(on_cpus)} tasks, {len(events)} events in the timeline")


def check_is_checked(context: Context, data: dict) -> None:
    """A timeline that lacks a switch, or whose time goes back, does not pass."""
    events = data["traceEvents"]
    cpu = next(pid for (pid, _), name in tracks(events, "process_name").items() if name == "CPUs")
    ends = [at for at, event in enumerate(events) if event["pid"] == cpu and event["ph"] == "E" and event["cat"] == "running"]
    # On a CPU's track the begin of the next slice comes right behind the end of the one before and of the tasks' own.
    middle = ends[len(ends) // 2]
    begin = next(at for at in range(middle, len(events)) if events[at]["ph"] == "B" and events[at]["tid"] == events[middle]["tid"])
    lacking = {**data, "traceEvents": [event for at, event in enumerate(events) if at not in (middle, begin)]}
    back = copy.deepcopy(data)
    back["traceEvents"][begin]["ts"] = 1
    for wrong, check in ((lacking, lambda: check_switches(context, lacking)), (back, lambda: check_form(back["traceEvents"]))):
        try:
            check()
        except Failure as failure:
            context.say(f"as it should: {failure}")
        else:
            raise Failure(f"{len(wrong['traceEvents'])} events passed, one of which was made wrong")


def check_programs(context: Context, events: list[dict]) -> None:
    """Each instance has a process and a task by its name, ran, said what it found, and ended."""
    programs = [track for track, name in tracks(events).items() if name.startswith("primes (")]
    context.check(len({pid for pid, _ in programs}) == INSTANCES, f"not {INSTANCES} processes: {programs}")
    for track in programs:
        here = [event for event in events if (event["pid"], event["tid"]) == track]
        calls = {event["name"] for event in here if event["cat"] == "syscall"}
        context.check({"writev", "exit_group"} <= calls, f"{track} made the system calls {calls}")
        moments = [event["name"] for event in here if event["ph"] == "i"]
        context.check(moments.count("begins") == moments.count("ends") == 1, f"{track} did {moments}")
        context.check(any(end > begin for begin, end, _, _ in slices(events, track, "running")), f"{track} never ran")
        context.check(any(event["cat"] == "fault" for event in here), f"{track} had no page fault")


def primes(**settings: str):
    """The trace of some programs on four CPUs, complete."""

    def run(context: Context) -> None:
        commands = ["trace on", f"exec {INSTANCES} /bin/primes 15000", "sleep 1", "trace off", "trace serial", "trace save /trace", "trace show 5"]
        data, console = timeline(context, commands, **settings)
        events = data["traceEvents"]
        lost = {key: count for key, count in data["otherData"].items() if key.startswith("lost") and count != 0}
        context.check(not lost, f"{lost}")
        check_form(events)
        check_switches(context, data)
        check_programs(context, events)
        check_is_checked(context, data)
        kinds = {event["cat"] for event in events}
        context.check({"running", "syscall", "fault", "interrupt", "disk", "task"} <= kinds, f"only {kinds}")
        count = sum(data["otherData"][f"records of CPU {cpu}"] for cpu in range(CPUS))
        serial = len(EVENT_LINE.findall(context.com2_path.read_text(encoding="utf-8", errors="replace").replace("\r", "")))
        context.check(serial == count, f"{serial} lines on the serial port, not {count}")
        context.check(len(EVENT_LINE.findall(console)) == 5, "`trace show 5` did not show five events")

    return run


def overwritten(context: Context) -> None:
    """With rings that are too small the latest events are there, complete, and what is lost is counted."""
    commands = [
        "trace off", "trace show 1", "trace on 1", "trace on", "trace show", "trace save /never",
        "exec 2 /bin/busybox ls -R /", "trace off", "trace save /trace", "trace sideways", "trace forget", "trace save /never", "ls /",
    ]  # fmt: skip
    data, console = timeline(context, commands)
    check_form(data["traceEvents"])
    check_switches(context, data)
    lost = [data["otherData"][f"lost on CPU {cpu}"] for cpu in range(CPUS)]
    kept = [data["otherData"][f"records of CPU {cpu}"] for cpu in range(CPUS)]
    context.check(max(lost) > 0, "nothing was lost")
    context.check(all(count == 32 for count, gone in zip(kept, lost) if gone), f"{kept} kept and {lost} lost")
    for answer in (
        "tracing is off", "tracing is on", "sideways: must be on, off, show, save, serial, forget or exec", "nothing has been traced",
    ):  # fmt: skip
        context.check(f"trace: {answer}" in console, f"`trace` never said {answer!r}")
    context.check(console.count("tracing is on") == 3 and "\nnever\n" not in console, "a trace that is under way was read")


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("trace/primes", primes(), SECONDS, needs=NEEDS),
        Test("trace/primes-debug", primes(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("trace/overwritten", overwritten, SECONDS, needs=NEEDS),
    ]
