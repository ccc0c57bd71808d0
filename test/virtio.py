"""Virtio devices for people: keyboard and tablet, by the terminal and by their nodes."""

from screen import Machine, last_line

from harness.plan import Context, Test

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


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("virtio/keyboard", keyboard, SECONDS, needs=NEEDS),
        Test("virtio/input-devices", input_devices, SECONDS, needs=NEEDS),
    ]
