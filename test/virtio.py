"""Virtio devices for people: keyboard and tablet, by the terminal and by their nodes, and graphics."""

import re

from screen import MCE_BANK_STATUS, Machine, last_line, write_framebuffer

from harness.console import PROMPT
from harness.plan import Context, Test
from harness.screen import console_font

SECONDS = 400
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")

# The machine's own keyboard is not there.
INPUT = "-machine i8042=off -device virtio-keyboard-pci -device virtio-tablet-pci"


def keyboard(context: Context) -> None:
    """A virtio keyboard does all that the PC's does, where there is no other."""
    with Machine(context, "mount 2; list-virtio; exec /bin/busybox seq 1 200", QEMU_EXTRA=INPUT) as machine:
        machine.serial.expect(r"^\S+ +input +virtio-input +\S+ +0x[0-9a-f]+ +0x[0-9a-f]{2}\b", within_s=240)
        machine.see_prompt()
        machine.monitor.press("shift", "pgup")
        machine.see(lambda lines: "200" not in lines, "earlier lines")
        machine.type("cat /hello.txt\n")
        machine.see_text(r"^Hello, world!$")
        machine.type("keymap de\n")
        machine.see_prompt()
        machine.monitor.press("caps_lock")
        machine.type("y[1\n")
        machine.see_text(r"^ZÜ1: no such command")
        machine.monitor.press("caps_lock")
        machine.type("kezmap us\n")  # as that layout has it
        machine.see_prompt()
        machine.type("exec /bin/busybox cat\n")
        machine.see_text(r"cat$")
        machine.monitor.press("ctrl", "c")
        machine.see_text(r"killed by SIGINT")
        machine.monitor.press("alt", "f2")
        machine.see(lambda lines: lines[0].startswith("No program uses this terminal."), "an unused terminal")
        machine.monitor.press("alt", "f1")
        machine.see_prompt()
        machine.monitor.press("up")
        machine.monitor.press("home")
        machine.monitor.press("delete")
        machine.type("X\n")
        machine.see_text(r"^Xxec: no such command")
        repeated(machine)
        machine.finish()


def repeated(machine: Machine) -> None:
    """A key that is held types its character again and again, until it is let go."""

    def hold(down: bool) -> None:
        key = {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": "z"}}}
        machine.monitor.execute("input-send-event", events=[key])

    hold(True)
    machine.see_text(r"ksh > zzzz")
    hold(False)
    machine.monitor.press("ctrl", "c")
    machine.see_prompt()
    machine.type("echo alone\n")
    machine.see_text(r"^alone$")


def input_devices(context: Context) -> None:
    """What happens to a keyboard and a tablet, by their nodes; one that is taken by a program types nothing."""
    tree = "$b cat /sys/class/input/event0/dev; $b readlink -f /sys/class/input/event1; $b grep input /proc/devices; $b ls -l /dev/input"
    with Machine(context, f"mount 2; exec /bin/busybox sh -c 'b=/bin/busybox; {tree}'", QEMU_EXTRA=INPUT) as machine:
        for pattern in (r"^13:64$", r"^/sys/devices/virtual/input/event1$", r"^ 13 input$", r"^crw------- .* 13, +64 .* event0$", r"ksh > \Z"):
            machine.serial.expect(pattern, within_s=240)
        for number, kind in enumerate(("keyboard", "tablet")):
            machine.serial.command(f"exec /tests/input /dev/input/event{number} {kind}", r"^[1-9]\d* passed, 0 failed$")
        machine.serial.type("exec /tests/input /dev/input/event0 read 2 grab\n")
        machine.serial.expect(r"^reading$")
        machine.type("a")
        machine.serial.expect(r"^event 1 30 1\s+event 0 0 0\s+event 1 30 0\s+event 0 0 0\s+[1-9]\d* passed, 0 failed$")
        machine.serial.expect(r"ksh > \Z")
        machine.type("b")
        machine.see(lambda lines: last_line(lines) == "ksh > b", "the key typed afterwards alone")
        machine.monitor.press("ctrl", "c")
        machine.serial.expect(r"ksh > \Z")
        machine.serial.type("exec /tests/input /dev/input/event1 read 2\n")
        machine.serial.expect(r"^reading$")
        place = [{"type": "abs", "data": {"axis": axis, "value": value}} for axis, value in (("x", 1000), ("y", 20000))]
        machine.monitor.execute("input-send-event", events=place)
        machine.monitor.execute("input-send-event", events=[{"type": "btn", "data": {"button": "left", "down": True}}])
        machine.serial.expect(r"^event 3 0 1000\s+event 3 1 20000\s+event 0 0 0\s+event 1 272 1\s+event 0 0 0\s+[1-9]\d* passed, 0 failed$")
        machine.serial.expect(r"ksh > \Z")
        machine.finish()


# No display but the one on the graphics device.
GRAPHICS = "-vga none -device virtio-gpu-pci"


def graphics(context: Context) -> None:
    """The terminal is on the graphics device's screen as it is on a framebuffer."""
    extra = f"-vga none -device virtio-gpu-pci,xres=1000,yres=700 {INPUT}"
    with Machine(context, "mount 2; list-virtio; exec /bin/busybox seq 1 200", QEMU_EXTRA=extra) as machine:
        machine.serial.expect(r"^\S+ +GPU +virtio-gpu +\S+ +0x[0-9a-f]+ +0x[0-9a-f]{2}\b", within_s=240)
        size = len(machine.see_prompt())
        picture, font = machine.picture(), console_font()
        context.check((picture.width, picture.height) == (1000, 700), f"the screen has {picture.width} x {picture.height} pixels")
        context.check(size == 700 // font.height, f"the screen has {size} lines")
        machine.type("exec /bin/busybox stty size\n")
        machine.see_text(rf"^{size} {1000 // font.width}$")
        machine.type("exec /bin/busybox vi /hello.txt\n")
        lines = machine.see_text(r"^- /hello.txt 1/1 100%")
        context.check(lines[0] == "Hello, world!" and lines[1:-1] == ["~"] * (len(lines) - 2), "vi does not fill the screen")
        machine.type(":q!\n")
        machine.see_text(r"exit status 0$")
        machine.monitor.press("alt", "f2")
        machine.see(lambda lines: lines[0].startswith("No program uses this terminal.") and not lines[1], "an unused terminal")
        machine.monitor.press("alt", "f1")
        machine.see_prompt()
        machine.serial.expect(re.escape(PROMPT) + r"\Z")
        driver = "$b readlink -f /sys/bus/virtio/drivers/virtio-gpu/*/driver; $b cat /sys/bus/virtio/drivers/virtio-gpu/*/device"
        machine.serial.command(f"exec /bin/busybox sh -c 'b=/bin/busybox; {driver}'", r"^/sys/bus/virtio/drivers/virtio-gpu\s+0x0010$")
        machine.finish()


def flood(context: Context) -> None:
    """After 20,000 lines the screen shows the last of them, and none is missing."""
    with Machine(context, "mount 2; exec /bin/busybox seq 1 20000; irq", QEMU_EXTRA=GRAPHICS) as machine:
        lines = machine.see_prompt()
        context.check(any(re.search(r"screen bytes lost: 0$", line) for line in lines), "the screen has lost output")
        numbers = [int(line) for line in lines if line.isdigit()]
        context.check(len(numbers) > 10 and numbers == list(range(20001 - len(numbers), 20001)), "lines are missing")
        machine.finish()


def panic(context: Context) -> None:
    """What a panic says comes to the graphics device's screen, though nothing but the panic runs."""
    with Machine(context, QEMU_EXTRA=f"{GRAPHICS} -set device.debug-exit.iobase=0x501") as machine:
        machine.see_prompt()
        command = f"mce -b 0 1 {MCE_BANK_STATUS:#x} 0x5 0x0 0x0"
        machine.monitor.execute("human-monitor-command", **{"command-line": command})
        machine.see_text(r"^kernel fault on CPU \d in task \d+ \(.*\): MachineCheck")
        machine.see_text(r"^ *[0-9a-f]{16} russet::")
        machine.monitor.execute("quit")


def not_the_screen(context: Context) -> None:
    """Beside a framebuffer the graphics device is driven, and its screen left alone; a VGA card goes on being one."""
    for card in ("-device virtio-gpu-pci", "-vga none -device virtio-vga"):
        with Machine(context, "boot-info; list-virtio", QEMU_EXTRA=card) as machine:
            machine.serial.expect(r"^framebuffer: +\d+ x \d+, \d+ bits", within_s=240)
            machine.serial.expect(r"^\S+ +GPU +virtio-gpu +0x")
            machine.see_prompt()
            machine.type("echo on the card\n")
            machine.see_text(r"^on the card$")
            machine.finish()


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("virtio/keyboard", keyboard, SECONDS, needs=NEEDS),
        Test("virtio/input-devices", input_devices, SECONDS, needs=NEEDS),
        Test("virtio/write-framebuffer", write_framebuffer("write-framebuffer hello!; test tty", QEMU_EXTRA=f"{GRAPHICS} {INPUT}"), SECONDS, needs=NEEDS),
        Test(
            "virtio/write-framebuffer-debug",
            write_framebuffer("write-framebuffer hello!; test tty", QEMU_EXTRA=f"{GRAPHICS} {INPUT}", RUST_BUILD_MODE="debug"),
            SECONDS,
            needs=DEBUG_NEEDS,
        ),
        Test("virtio/graphics", graphics, SECONDS, needs=NEEDS),
        Test("virtio/graphics-flood", flood, SECONDS, needs=NEEDS),
        Test("virtio/graphics-panic", panic, SECONDS, needs=NEEDS),
        Test("virtio/graphics-beside", not_the_screen, SECONDS, needs=NEEDS),
    ]
