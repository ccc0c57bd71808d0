"""Boots over firmware, build and number of CPUs, with the whole way from GRUB to programs on the ext2 disk; and what
the command line and the exit status go through on their way."""

import hashlib
import pathlib
import re
import shutil

from harness.console import RUN, Boot, Terminal, boot, plain
from harness.plan import Context, Failure, Test

SECONDS = 400  # emulated, beside other boots, on a slow machine
FIRST_LIGHT = (
    "mount 2; ls /; cat /hello.txt; exec /bin/hello; exec 20 /bin/primes 15000; exec /bin/busybox uname -a; "
    "exec /bin/busybox md5sum /bin/busybox; test; exit"
)
BUILDS = {"debug": ("build/debug", "build/disk"), "release": ("build/release", "build/disk")}


def busybox_md5() -> str:
    """The sum of the host's file, which is what the disk image was given."""
    path = shutil.which("busybox")
    if path is None:
        raise Failure("no busybox on this machine")
    return hashlib.md5(pathlib.Path(path).read_bytes()).hexdigest()


def check_first_light(result: Boot) -> None:
    """Everything FIRST_LIGHT must have shown."""
    result.wants(
        r"hello\.txt", r"nested-dir", r"^Hello, world!$", r"^Hello from user mode!$", r"^20 instances in \d+\.\d{3} s$",
        r"x86_64 GNU/Linux$", rf"^{busybox_md5()}  /bin/busybox$", r"^[1-9]\d* passed, 0 failed$",
    )  # fmt: skip
    primes = result.count(r"15000: 1754 primes below, largest 14983")
    statuses = result.count(r"^/bin/primes \[pid \d+\]: exit status 0$")
    if (primes, statuses) != (20, 20):
        raise Failure(f"20 instances of primes gave {primes} results and {statuses} statuses of 0")


def first_light(**settings: str):
    """A boot with FIRST_LIGHT."""

    def run(context: Context) -> None:
        check_first_light(boot(context, FIRST_LIGHT, **settings))

    return run


def by_make(context: Context) -> None:
    """By `make -s run`: what CMDLINE holds reaches the shell as typed, through make, the scripts, GRUB and the kernel."""
    odd = r"""/odd "c" $HOME $(x) ${y} `z` !1 \ \\ \x41 \" %s # é * ; ~ &"""
    text = context.command(
        ["make", "-s", "run", "UEFI=off", "RUST_BUILD_MODE=release", f"CMDLINE=help; cat '{odd}'; exit 0"]
    )
    if f"cat: {odd}: " not in plain(text):
        raise Failure(f"the shell does not name {odd!r} as the file that is not there")


def status(cmdline: str, expected: int):
    """The status of a run with these commands."""

    def run(context: Context) -> None:
        boot(context, cmdline, status=expected)

    return run


def status_of_make(context: Context) -> None:
    """`make run` fails when a command failed."""
    context.command(["make", "-s", "run", "UEFI=off", "RUST_BUILD_MODE=release", "CMDLINE=cat /no/such/file; exit"], status=2)


def line_break(context: Context) -> None:
    """A line break in CMDLINE is refused in words."""
    text = context.command([RUN], settings={"CMDLINE": "help\nexit", "UEFI": "off", "RUST_BUILD_MODE": "release"}, status=1)
    context.check("line break" in text, "the message does not say what is wrong")


def refuses(pattern: str, **settings: str):
    """A machine the kernel cannot run on: it must say so on the serial port (and may then stop or halt)."""

    def run(context: Context) -> None:
        with Terminal(context, CMDLINE="exit", **settings) as terminal:
            terminal.expect(pattern, within_s=90)
            if re.search(r"kernel panic|kernel fault", plain(terminal.seen)):
                raise Failure("the message is a panic")

    return run


# What a machine may lack, or have otherwise: each runs programs from its disk and powers itself off all the same.
OTHER_MACHINES = {
    "no-hpet": {"QEMU_EXTRA": "-machine hpet=off"},
    "no-i8042": {"QEMU_EXTRA": "-machine i8042=off"},
    "no-com2": {"COM2": "none"},
    "no-screen": {"QEMU_EXTRA": "-vga none"},
    "pc": {"QEMU_EXTRA": "-machine pc"},
    "pc-without": {"QEMU_EXTRA": "-machine pc,hpet=off,i8042=off -vga none", "COM2": "none"},
}


def other_machine(**settings: str):
    """Programs, kernel tests of what depends on devices, and the end by ACPI."""

    def run(context: Context) -> None:
        commands = "mount 2; cat /hello.txt; exec 2 /bin/primes 1000; exec /bin/busybox date -u +year=%Y; sleep 0.1; test tty; exit"
        result = boot(context, commands, **settings)
        result.wants(r"^Hello, world!$", r"^2 instances in", r"^year=20[2-9]\d$", r"^[1-9]\d* passed, 0 failed$")

    return run


def no_virtio(context: Context) -> None:
    """The plainest machine: a CD drive that the kernel has no driver for, and one serial port."""
    iso = context.log_path.with_suffix(".iso")
    settings = {"CMDLINE": "block; list-virtio; rng 4; mount 2; help exit; exit 7", "RUST_BUILD_MODE": "release"}
    context.command(["tools/mkiso", str(iso)], settings=settings)
    text = context.command(
        ["qemu-system-x86_64", "-nodefaults", "-machine", "pc", "-cpu", "max", "-m", "256M", "-display", "none", "-serial", "stdio",
         "-cdrom", str(iso), "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
        status=2 * 7 + 1,
    )  # fmt: skip
    iso.unlink()
    result = Boot(context.status, plain(text))
    result.no_panic()
    result.wants(r"^mount: 2: ", r"^4 bytes from the kernel's generator", r"^exit \[status\]$")


def powers(command: str, expected: str):
    """reboot(2) from a program: the machine ends, or stays and does nothing more."""

    def run(context: Context) -> None:
        with Terminal(context, CMDLINE=f"mount 2; exec {command}") as terminal:
            terminal.expect(expected, within_s=240)
            if "halted" in expected:
                # What it still had to say may come in pieces.
                while terminal.read(3):
                    pass
                before = len(terminal.seen)
                terminal.type("help\n")
                terminal.read(3)
                context.check(len(terminal.seen) == before, "a halted machine answers")
            elif terminal.end_status() != 0:
                raise Failure("the machine did not end well")

    return run


def tests() -> list[Test]:
    """The matrix, then single cases."""
    matrix = [
        Test(f"boot/{firmware}-{mode}-smp{cpus}", first_light(UEFI=uefi, RUST_BUILD_MODE=mode, SMP=cpus), SECONDS, needs=BUILDS[mode])
        for mode in ("release", "debug")
        for firmware, uefi in (("bios", "off"), ("uefi", "on"))
        for cpus in ("1", "4")
    ]
    release = BUILDS["release"]
    return matrix + [
        *(Test(f"boot/{name}", other_machine(**settings), SECONDS, needs=release) for name, settings in OTHER_MACHINES.items()),
        Test("boot/no-virtio", no_virtio, SECONDS, needs=release),
        Test("boot/reboot-restart", powers("/bin/busybox reboot -f", r"^.*reboot\(2\): restarting"), SECONDS, needs=release),
        Test("boot/reboot-power-off", powers("/bin/busybox poweroff -f", r"^.*reboot\(2\): power off"), SECONDS, needs=release),
        Test("boot/reboot-halt", powers("/bin/busybox halt -f", r"^.*reboot\(2\): the system is halted"), SECONDS, needs=release),
        Test("boot/mem-64m", first_light(MEM="64M"), SECONDS, needs=release),
        Test("boot/mem-64m-uefi", first_light(MEM="64M", UEFI="on"), SECONDS, needs=release),
        Test("boot/smp-64", status("exit", 0), SECONDS, needs=release),
        Test("boot/by-make", by_make, SECONDS, needs=release, holds="release builds"),
        Test("boot/status-0", status("help; exit", 0), SECONDS, needs=release),
        Test("boot/status-1", status("cat /no/such/file; exit", 1), SECONDS, needs=release),
        Test("boot/status-given", status("exit 42", 42), SECONDS, needs=release),
        Test("boot/status-of-make", status_of_make, SECONDS, needs=release, holds="release builds"),
        Test("boot/line-break", line_break, 60, needs=release),
        Test("boot/refuses-32m", refuses(r"32 MiB of RAM", MEM="32M"), SECONDS, needs=release),
        Test("boot/refuses-no-acpi", refuses(r"russet: cannot start: .*ACPI", UEFI="on", QEMU_EXTRA="-machine acpi=off"), SECONDS, needs=release),
        Test("boot/refuses-no-nx", refuses(r"no NX bit", QEMU_EXTRA="-cpu qemu64,-nx"), SECONDS, needs=release),
        Test("boot/refuses-no-long-mode", refuses(r"no long mode", QEMU_EXTRA="-cpu qemu32"), SECONDS, needs=release),
    ]
