"""How devices interrupt where there is no MSI-X: by MSI, and by pins that they share; and what becomes of a line that nobody serves."""

import re

from screen import Machine

from harness.console import Boot, boot
from harness.plan import Context, Failure, Test
from storage import second_disk, small_image

SECONDS = 400
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
# Without vectors QEMU's virtio devices have no MSI-X, and MSI they never have.
PINS = "-global virtio-blk-pci.vectors=0 -global virtio-rng-pci.vectors=0"
RNG = "virtio-rng"


def lines(result: Boot) -> dict[str, int]:
    """What `irq` showed last: of each shared line, by the names of its devices, how often it came."""
    rows = re.findall(r"^ *0x[0-9a-f]+ ((?: *\d+)+) +(\S.*) \(line \d+\)$", result.console, re.MULTILINE)
    return {names: sum(int(count) for count in counts.split()) for counts, names in rows}


def came(found: dict[str, int], device: str) -> int:
    """How often the line of a device came."""
    counts = [count for names, count in found.items() if device in names.split(", ")]
    if len(counts) != 1:
        raise Failure(f"{device} has {len(counts)} lines: {found}")
    return counts[0]


def pins(machine: str, **settings: str):
    """Three disks and two entropy sources without MSI-X, on fewer lines: they read and write what they should, and the
    lines come for it."""

    def run(context: Context) -> None:
        extra = f"-machine {machine} {PINS} -device virtio-rng-pci,rng=entropy,disable-legacy=on"
        commands = [
            "mount 2", "$ dd if=/bin/busybox of=/root/copy bs=64k conv=fsync", "$ cmp /bin/busybox /root/copy",
            "$ md5sum /root/copy", "block 0 0", "block 1 0", "rng 16 300", "list-virtio", "test virtio", "irq", "exit",
        ]  # fmt: skip
        commands = [command.replace("$", "exec /bin/busybox") for command in commands]
        result = boot(context, "; ".join(commands), QEMU_EXTRA=extra, **settings)
        result.wants(r"^300 reads in \d+ ms", r"^[0-9a-f]{32}  /root/copy$", r"^[1-9]\d* passed, 0 failed$")
        found = lines(result)
        devices = [name for names in found for name in names.split(", ")]
        context.check(sorted(devices) == ["vda", "vdb", "vdc", RNG, RNG], f"the lines have {devices}")
        context.check(len(found) < len(devices), f"no line is shared: {found}")
        context.check(all(count > 0 for count in found.values()), f"a line never came: {found}")
        total = sum(count for names, count in found.items() if RNG in names.split(", "))
        context.check(total >= 300, f"the entropy sources' lines came {total} times for 300 reads")
        context.check("is stuck" not in result.console, "a line is said to be stuck")

    return run


def storm(context: Context) -> None:
    """A disk and an entropy source at full rate, on lines that they share with others: no request is lost."""
    image = small_image(context, "64M")
    result = boot(context, "storm 3 5; irq; exit", QEMU_EXTRA=f"{PINS} {second_disk(image)}")
    result.wants(r"^no request lost, no data wrong, no interrupt missing or too many$")
    found = lines(result)
    context.check(came(found, "vdd") > 100 and came(found, RNG) > 100, f"the lines came {found}")
    context.check("is stuck" not in result.console, "a line is said to be stuck")
    image.unlink()


def keyboard(context: Context) -> None:
    """A keyboard and a tablet without MSI-X: keys arrive."""
    extra = f"-machine i8042=off -device virtio-keyboard-pci,vectors=0 -device virtio-tablet-pci,vectors=0 {PINS}"
    with Machine(context, QEMU_EXTRA=extra) as machine:
        machine.see_prompt()
        machine.type("echo by the pin\n")
        machine.see_text(r"^by the pin$")
        machine.type("irq\n")
        machine.see_text(r"virtio-input.* \(line \d+\)$")
        machine.finish()


def graphics(context: Context) -> None:
    """A graphics device without MSI-X shows the terminal."""
    with Machine(context, QEMU_EXTRA=f"-vga none -device virtio-gpu-pci,vectors=0 {PINS}") as machine:
        machine.see_prompt()
        machine.serial.type("irq\n")
        machine.see_text(r"virtio-gpu.* \(line \d+\)$")
        machine.serial.type("exit 0\n")
        context.check(machine.serial.end_status() == 0, "the run failed")


def messages(machine: str, **settings: str):
    """A device with MSI and a pin, and no MSI-X: each of a hundred interrupts comes, either way. A hundred thousand for one handler
    of its line and none for the other do not make the line stuck."""

    def run(context: Context) -> None:
        result = boot(context, "test device::; dmesg; exit", QEMU_EXTRA=f"-machine {machine} -device edu", **settings)
        result.wants(r"^[1-9]\d* passed, 0 failed$")
        ways = re.findall(r"edu: (\d+) interrupts, by its pin: (\w+)$", result.console, re.MULTILINE)
        context.check(ways == [("100", "false"), ("100100", "true"), ("100", "false")], f"the ways tried are {ways}")
        context.check("is stuck" not in result.console, "a line is said to be stuck")

    return run


def stuck(**settings: str):
    """A line that stays raised, whose handler says that it is not its device's: it is masked and reported once, and the machine
    goes on."""

    def run(context: Context) -> None:
        result = boot(context, "irq; crash stuck-interrupt; irq; mount 2; exec /bin/hello; exit", QEMU_EXTRA="-device edu", **settings)
        report = r"interrupt line (\d+) \(vector 0x[0-9a-f]+\) is stuck and masked from now on: (\d+) of 100000 interrupts were nobody's$"
        found = re.findall(report, result.console, re.MULTILINE)
        context.check(len(found) == 1, f"it is reported {len(found)} times")
        line, unclaimed = found[0]
        context.check(int(unclaimed) == 100_000, f"{unclaimed} are said to be nobody's")
        result.wants(
            rf"interrupt line {line}: edu: 0 were its own$", rf"^ *0x[0-9a-f]+ [ \d]*\b100000\b[ \d]* edu \(line {line}, stuck and masked\)$",
            r"^Hello from user mode!$",
        )  # fmt: skip

    return run


def tests() -> list[Test]:
    """All of this kind."""
    return [
        *(
            Test(f"irq/pins-{machine}-{firmware}", pins(machine, UEFI=uefi), SECONDS, needs=NEEDS)
            for machine in ("pc", "q35")
            for firmware, uefi in (("bios", "off"), ("uefi", "on"))
        ),
        Test("irq/pins-debug", pins("q35", RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("irq/storm", storm, SECONDS, needs=NEEDS),
        Test("irq/keyboard", keyboard, SECONDS, needs=NEEDS),
        Test("irq/graphics", graphics, SECONDS, needs=NEEDS),
        Test("irq/messages", messages("q35"), SECONDS, needs=NEEDS),
        Test("irq/messages-pc", messages("pc"), SECONDS, needs=NEEDS),
        Test("irq/messages-debug", messages("q35", RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("irq/stuck", stuck(), SECONDS, needs=NEEDS),
        Test("irq/stuck-smp1", stuck(SMP="1"), SECONDS, needs=NEEDS),
        Test("irq/stuck-debug", stuck(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
    ]
