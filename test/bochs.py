"""Bochs: the same ISO on another implementation of the CPU and the PC, with the root on an ATA disk; and that disk in QEMU."""

import re

from harness.console import Boot, Terminal, boot, plain
from harness.plan import TOP, Context, Test

SECONDS = 600
BOCHS = str(TOP / "tools/bochs")
FIRST_LIGHT = "mount 2; cat /hello.txt; exec /bin/hello; exec 4 /bin/primes 2000; exec /bin/busybox md5sum /hello.txt"
HELLO_MD5 = "746308829575e17c3331bbcb00c0898b"


def first_light(mode: str, cpus: str):
    """From GRUB to programs, and off."""

    def run(context: Context) -> None:
        settings = {"RUST_BUILD_MODE": mode, "SMP": cpus, "CMDLINE": f"{FIRST_LIGHT}; uptime; exit", "COM2": str(context.com2_path)}
        result = Boot(0, plain(context.command([BOCHS], settings=settings)))
        result.no_panic()
        result.wants(
            r"^Hello, world!$", r"^Hello from user mode!$", r"^4 instances in \d+\.\d{3} s$", rf"^{HELLO_MD5}  /hello\.txt$",
            rf"^up \d+\.\d{{3}} s, {cpus} CPUs?$",
        )  # fmt: skip
        primes = result.count(r"2000: 303 primes below, largest 1999$")
        context.check(primes == 4, f"4 instances of primes gave {primes} results")

    return run


def prompt(context: Context) -> None:
    """The prompt, used by typing."""
    with Terminal(context, BOCHS, SMP="1", MEM="256M") as terminal:
        terminal.expect(re.escape("ksh > "), within_s=400)
        terminal.command("mount 2")
        terminal.command("cat /hello.txt", r"^Hello, world!$")
        terminal.type("exit\n")
        context.check(terminal.end_status() == 0, "`exit` did not switch the machine off")


def kernel_tests(context: Context) -> None:
    """The kernel's own tests."""
    settings = {"RUST_BUILD_MODE": "debug", "CMDLINE": "mount 2; test; exit", "COM2": str(context.com2_path)}
    result = Boot(0, plain(context.command([BOCHS], settings=settings)))
    result.no_panic()
    result.wants(r"^[1-9]\d* passed, 0 failed$")


def ata_in_qemu(context: Context) -> None:
    """Two disks on one channel of an IDE controller, behind the virtio disks: the second is the ext2 image."""
    disks = [f"-drive if=none,id=ata{n},format=raw,readonly=off,snapshot=on,file={TOP}/build/{name}.img" for n, name in enumerate(("fat", "ext2"))]
    devices = [f"-device ide-hd,bus=ide.0,unit={n},drive=ata{n}" for n in range(2)]
    extra = " ".join(["-device piix3-ide,id=ide", *disks, *devices])
    result = boot(context, f"list-pci; mount 4; {FIRST_LIGHT.replace('mount 2; ', '')}; exit", QEMU_EXTRA=extra)
    result.wants(r"IDE controller, driver ata", r"^Hello, world!$", r"^Hello from user mode!$", rf"^{HELLO_MD5}  /hello\.txt$")


def tests() -> list[Test]:
    """All of this kind."""
    release, debug = ("build/release", "build/disk"), ("build/debug", "build/disk")
    return [
        Test("bochs/release-smp1", first_light("release", "1"), SECONDS, needs=release),
        Test("bochs/debug-smp2", first_light("debug", "2"), SECONDS, needs=debug),
        Test("bochs/prompt", prompt, SECONDS, needs=release),
        Test("bochs/kernel-tests", kernel_tests, SECONDS, needs=debug),
        Test("bochs/ata-in-qemu", ata_in_qemu, SECONDS, needs=release),
    ]
