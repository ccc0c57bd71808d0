"""What ends the kernel, or nearly: one boot for each way, with the report on the console and the status of the run.

`crash KIND` in the kernel's shell does what a bug would do; QEMU's monitor does what hardware would."""

import re
import time

from harness.console import PROMPT, Boot, Terminal, boot
from harness.monitor import Monitor
from harness.plan import Context, Failure, Test

SECONDS = 400
PANICKED = 101  # machine::panic's EXIT_PANIC
RELEASE, DEBUG = ("build/release", "build/disk"), ("build/debug", "build/disk")
NEEDS = {"release": RELEASE, "debug": DEBUG}

SHELL = r'on CPU \d+ in task \d+ \("shell"\)'
# A line of a trace, in the function of the shell's command.
IN_CRASH = r"^ +([0-9a-f]{16}|inlined into) .*crash.* at \S*crash\.rs(:\d+)?$"
LOG_END = r"^the last lines of the log:\n(\[.*\n)*\[.* INFO  russet: \d+ CPUs, \d+ KiB of usable RAM$"
FAULT = rf"^kernel fault {SHELL}: PageFault: kernel"
REGISTERS = r"^  rip [0-9a-f]{16}  flags [0-9a-f]{8}  cs 10  ss 18$"


def check_others(result: Boot, cpus: int) -> None:
    """Each of the other CPUs has shown where it was stopped, with a trace."""
    shown = result.count(r"^stopped on CPU \d+ in task \d+ \(.*\):\n  [0-9a-f]{16} \S")
    if shown != cpus - 1:
        raise Failure(f"{shown} other CPUs have shown a trace, not {cpus - 1}")


def ends(kind: str, mode: str, *patterns: str, smp: str = "4"):
    """`crash KIND` must end the kernel with a report that has these."""

    def run(context: Context) -> None:
        result = boot(context, f"crash {kind}; exit 0", status=PANICKED, panics=True, RUST_BUILD_MODE=mode, SMP=smp)
        result.wants(*patterns, LOG_END)
        check_others(result, int(smp))

    return run


def nested(mode: str):
    """The report fails itself: the second panic is one line, and the run ends all the same."""

    def run(context: Context) -> None:
        result = boot(context, "crash panic-in-panic; exit 0", status=PANICKED, panics=True, RUST_BUILD_MODE=mode)
        result.wants(rf"^kernel panic {SHELL} at .*crash\.rs", r"^panic inside a panic: asked for by `crash panic-in-panic`$")

    return run


def reports(kind: str, *patterns: str, smp: str = "4"):
    """`crash KIND` must be reported by the debug build, which goes on."""

    def run(context: Context) -> None:
        result = boot(context, f"crash {kind}; echo still alive; exit 0", RUST_BUILD_MODE="debug", SMP=smp)
        result.wants(*patterns, r"^still alive$")

    return run


def machine(context: Context, monitor: Monitor, **settings: str) -> Terminal:
    """A machine with a monitor."""
    return Terminal(context, QEMU_EXTRA=monitor.qemu_extra(), **settings)


def find_in_user_mode(context: Context, monitor: Monitor, terminal: Terminal, times: int) -> None:
    """Sends NMIs until so many in a row have found the CPU in user mode; a program is about to compute for long."""
    found = 0
    while found < times:
        context.left_s()
        time.sleep(0.1)  # else the reports alone keep the CPU busy
        monitor.command("nmi")
        mode = terminal.expect(r"^NMI in (user|kernel) mode on CPU 0 in task \d+ \(.*\):$")
        found = found + 1 if "user" in mode else 0


def nmi_in_kernel(context: Context) -> None:
    """An NMI at the prompt, where the one CPU idles or the shell is about to wait: shown, and nothing else happens."""
    with Monitor(context) as monitor, machine(context, monitor, SMP="1") as terminal:
        terminal.expect(re.escape(PROMPT), within_s=240)
        monitor.command("nmi")
        terminal.expect(r'^NMI in kernel mode on CPU 0 in task \d+ \(".*"\):\n  [0-9a-f]{16} .*\n')
        terminal.type("\n")
        terminal.command("irq", r"^non-maskable: 1;")
        terminal.type("exit 0\n")
        context.check(terminal.end_status() == 0, "the run failed")


def begin_primes(terminal: Terminal, up_to: int) -> None:
    """Starts a program that computes for long, on a machine whose command line is `mount 2`."""
    terminal.expect(rf"{PROMPT}mount 2[^$]*?{PROMPT}", within_s=240)
    terminal.type(f"exec /bin/primes {up_to}\n")
    terminal.expect(f"exec /bin/primes {up_to}")


def nmi_in_user(context: Context) -> None:
    """NMIs while a program computes, until one finds it in user mode, and the program does not notice any."""
    with Monitor(context) as monitor, machine(context, monitor, SMP="1", CMDLINE="mount 2") as terminal:
        begin_primes(terminal, 200000)
        find_in_user_mode(context, monitor, terminal, 1)
        terminal.expect(r"^200000: 17984 primes below, largest 199999$", within_s=240)
        terminal.expect(r"^/bin/primes \[pid \d+\]: exit status 0$")
        terminal.type("exit 0\n")
        context.check(terminal.end_status() == 0, "the run failed")


def machine_check(context: Context) -> None:
    """An uncorrected memory error, as QEMU injects it: bank, status and address are reported."""
    with Monitor(context) as monitor, machine(context, monitor, SMP="2") as terminal:
        terminal.expect(re.escape(PROMPT), within_s=240)
        monitor.command("mce 0 9 0xbe0000000000009f 0x5 0x1234000 0x8c")
        terminal.expect(r"^kernel fault on CPU 0 in task \d+ \(.*\): MachineCheck$")
        terminal.expect(
            r"^  bank 9: status 0xbe0000000000009f, error code 0x009f, uncorrected, context corrupt, address 0x1234000, misc 0x8c$"
        )
        terminal.expect(r"^stopped on CPU 1 in task")
        status = terminal.end_status()
        context.check(status == PANICKED, f"the run ended with status {status}, not {PANICKED}")


def machine_check_in_program(context: Context) -> None:
    """The same while a program computes: the report tells which file it was in, and where in it."""
    with Monitor(context) as monitor, machine(context, monitor, SMP="1", CMDLINE="mount 2") as terminal:
        begin_primes(terminal, 900000)
        # Once it is found computing several times in a row, nothing else wants the only CPU.
        find_in_user_mode(context, monitor, terminal, 5)
        monitor.command("mce 0 9 0xbe0000000000009f 0x5 0x1234000 0x8c")
        terminal.expect(r'^kernel fault on CPU 0 in task \d+ \("primes"\): MachineCheck$')
        terminal.expect(r"^  [0-9a-f]{16} (in|left) user mode: primes\+0x[0-9a-f]+$")
        status = terminal.end_status()
        context.check(status == PANICKED, f"the run ended with status {status}, not {PANICKED}")


def objects(context: Context) -> None:
    """`mem objects` counts what programs have, and that it is all given back; the log tells where in its file one failed."""
    result = boot(
        context, "mount 2; exec /bin/hello; sleep 0.5; mem objects; exec 20 /bin/hello; sleep 2; mem objects; exec /tests/faults/null-read; dmesg; exit 0"
    )
    for kind, made in {"Task": 20, "Process": 20, "Thread": 20, "AddressSpace": 20, "File": 20}.items():
        rows = re.findall(rf"^{kind} +(\d+) +(\d+)$", result.console, re.MULTILINE)
        if len(rows) != 2:
            raise Failure(f"{len(rows)} counts of {kind}, not two")
        (alive, before), (alive_after, after) = ((int(a), int(b)) for a, b in rows)
        context.check(alive == alive_after, f"{kind}: {alive} alive before the programs, {alive_after} after")
        context.check(after - before >= made, f"{kind}: {after - before} made by 20 programs")
    result.wants(r"process \d+ \(/tests/faults/null-read\): SIGSEGV at rip 0x[0-9a-f]+ \(null-read\+0x1000\): PageFault, address 0x0")


def tests() -> list[Test]:
    """All of this kind."""
    both = {
        "panic": (rf"^kernel panic {SHELL} at src/shell/crash\.rs:\d+:\d+:$", r"^asked for by `crash panic`$", IN_CRASH),
        "stack-overflow": (
            rf"^kernel fault {SHELL}: DoubleFault, on its own stack$",
            r"^the kernel stack overflowed into its guard at 0x[0-9a-f]+$", REGISTERS, r"^  [0-9a-f]{16} .*overflow_stack",
        ),
        "null-read": (rf"{FAULT} read at 0x0: page not present", REGISTERS, IN_CRASH),
        "write-text": (rf"{FAULT} write at 0xffffffff80[0-9a-f]+: protection violation", REGISTERS, IN_CRASH),
        "write-rodata": (rf"{FAULT} write at 0xffffffff80[0-9a-f]+: protection violation", REGISTERS, IN_CRASH),
        "execute-data": (rf"{FAULT} instruction fetch at (0xffffffff80[0-9a-f]+): protection violation", REGISTERS, IN_CRASH),
        "lock-never-released": (
            rf'^kernel panic {SHELL}', r'^deadlock: "crash test, outer" awaited for 10 s at src/shell/crash\.rs:\d+',
            r'^stopped on CPU \d+ in task \d+ \("lock holder"\):$',
        ),
        "out-of-memory": (rf"^kernel panic {SHELL}", r"^memory allocation of \d+ bytes failed$", IN_CRASH),
    }  # fmt: skip
    holding = r'^  holding lock "crash test, outer" \(Table\), taken at src/shell/crash\.rs:\d+:\d+$'
    debug = {
        "deadlock": (r'^deadlock: taking "crash test, outer" at src/.*, which this CPU holds since src/shell/crash\.rs', holding),
        "lock-order": (
            r'^lock order: taking "crash test, outer" \(Table\) at src/.* while holding "crash test, inner" \(Process\) taken at src/',
        ),
        "lock-cycle": (
            r'^lock order: a cycle of "crash test, second" and "crash test, first", which can deadlock$',
            r'^  now: "crash test, second" taken at src/shell/crash\.rs:\d+:\d+\n       then "crash test, first" at src/',
            r'^  before: "crash test, first" taken at src/shell/crash\.rs:\d+:\d+\n       then "crash test, second" at src/',
        ),
        "sleep-in-atomic": (r"^sleeping function called in atomic context", holding, IN_CRASH),
    }
    in_interrupt = {
        "lock-in-interrupt": (r'^lock "crash test, outer" is taken in an interrupt at src/.*, and with interrupts on at src/',),
        "allocation-in-interrupt": (r"^heap allocation in an interrupt handler$", r"^  --- interrupt \d+ ---$"),
    }
    going_on = {
        "long-hold": (rf'^lock "crash test, outer" was held for 3\d\d\d ms {SHELL}; released by:$', IN_CRASH),
        "soft-lockup": (rf"^soft lockup: no reschedule for 10 s {SHELL}:$", IN_CRASH),
        "hard-lockup": (
            r"^hard lockup: CPU \d+ has taken no interrupt for 10 s; it shows itself by NMI$", rf"^NMI in kernel mode {SHELL}:$", IN_CRASH,
        ),
        "hung-task": (
            r'^hung task: \d+ \("hung"\) has waited 3\d s for "crash test, first":\n  [0-9a-f]{16} ',
            r'^"crash test, first" is held by task \d+ \("shell"\), taken at src/shell/crash\.rs:\d+:\d+:\n  [0-9a-f]{16} ',
        ),
    }  # fmt: skip
    found = [
        Test(f"fatal/{kind}-{mode}", ends(kind, mode, *patterns), SECONDS, needs=NEEDS[mode])
        for mode in ("release", "debug")
        for kind, patterns in both.items()
    ]
    found += [Test(f"fatal/panic-in-panic-{mode}", nested(mode), SECONDS, needs=NEEDS[mode]) for mode in NEEDS]
    # Taken twice, without anyone who would note that.
    twice = (rf"^kernel panic {SHELL}", r'^deadlock: "crash test, outer" awaited for 10 s at src/shell/crash\.rs:\d+', IN_CRASH)
    found += [Test("fatal/deadlock-release", ends("deadlock", "release", *twice), SECONDS, needs=RELEASE)]
    found += [Test(f"fatal/{kind}", ends(kind, "debug", *patterns), SECONDS, needs=DEBUG) for kind, patterns in debug.items()]
    found += [Test(f"fatal/{kind}", ends(kind, "debug", *patterns, smp="1"), SECONDS, needs=DEBUG) for kind, patterns in in_interrupt.items()]
    found += [Test(f"fatal/{kind}", reports(kind, *patterns), SECONDS, needs=DEBUG) for kind, patterns in going_on.items()]
    return found + [
        Test("fatal/soft-lockup-smp1", reports("soft-lockup", *going_on["soft-lockup"], smp="1"), SECONDS, needs=DEBUG),
        Test("fatal/nmi-in-kernel", nmi_in_kernel, SECONDS, needs=RELEASE),
        Test("fatal/nmi-in-user", nmi_in_user, SECONDS, needs=RELEASE),
        Test("fatal/machine-check", machine_check, SECONDS, needs=RELEASE),
        Test("fatal/machine-check-in-program", machine_check_in_program, SECONDS, needs=RELEASE),
        Test("fatal/objects", objects, SECONDS, needs=RELEASE),
    ]
