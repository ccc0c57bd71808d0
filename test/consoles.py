"""Ports of virtio consoles: terminals, and plain streams of bytes, with somebody at the other side, or nobody, or somebody slow."""

import re
import time

from serial import DEBUG_NEEDS, NEEDS, SECONDS, Machine, md5, use_shell

from harness.console import PROMPT
from harness.plan import Context, Test

CONSOLE = "-device virtio-serial-pci,id=bus -device virtconsole,chardev=line,id=port"
NODE = "/dev/hvc0"
# A block of output that QEMU's socket has room for: what finds none a console of QEMU drops.
BLOCK = 32768
BLOCKS = 40


def shell(port: str = CONSOLE, **settings: str):
    """A shell with its keys and jobs on the terminal; everything else that shows the device."""

    def run(context: Context) -> None:
        with Machine(context, port, NODE, **settings) as machine:
            machine.console.command("list-virtio", r"^\S+ +console +virtio-console +0x[0-9a-f]+ +0x[0-9a-f]+ +0x[0-9a-f]{2}$")
            # What is typed before somebody opens the terminal is not lost.
            machine.send(b"echo early\n")
            use_shell(machine, "38400")
            tree = "$b cat /sys/class/tty/hvc0/dev; $b readlink -f /sys/bus/virtio/drivers/virtio-console/*/driver; $b grep hvc /proc/devices; $b ls -l /dev/hvc0"
            machine.console.type(f"exec /bin/busybox sh -c 'b=/bin/busybox; {tree}'\n")
            for pattern in (r"^229:0$", r"^/sys/bus/virtio/drivers/virtio-console$", r"^229 hvc$", r"^crw-rw-rw- .* 229, +0 .*/dev/hvc0$"):
                machine.console.expect(pattern)
            machine.console.expect(re.escape(PROMPT))
            machine.finish()

    return run


def transfer(**settings: str):
    """Much of it each way, byte for byte."""

    def run(context: Context) -> None:
        with Machine(context, CONSOLE, NODE, **settings) as machine:
            data = bytes((at * 7 + at // 251) % 256 for at in range(BLOCK * BLOCKS))
            machine.run(f"$b stty raw -echo <&3; echo ready; $b head -c {len(data)} <&3 | $b md5sum")
            machine.console.expect(r"^ready$")
            machine.send(data)
            machine.console.expect(rf"^{md5(data)}  -$", within_s=200)
            machine.console.expect(re.escape(PROMPT))
            block = f"$b dd if=/bin/busybox bs={BLOCK} skip=$i count=1 2>/dev/null >&3; read x <&3"
            machine.run(f"$b stty raw -echo <&3; i=0; while [ $i -lt {BLOCKS} ]; do {block}; i=$((i + 1)); done; $b head -c {BLOCK * BLOCKS} /bin/busybox | $b md5sum")
            got = bytearray()
            while len(got) < BLOCK * BLOCKS:
                context.left_s()
                machine.seen = b""
                machine.receive(0.2)
                got += machine.seen
                if machine.seen and len(got) % BLOCK == 0:
                    machine.send(b"\n")
            machine.seen = b""
            machine.console.expect(rf"^{md5(bytes(got))}  -$")
            machine.console.expect(re.escape(PROMPT))
            machine.finish()

    return run


def unread(context: Context) -> None:
    """Nobody reads what a console sends: the machine goes on, and the terminal works again when somebody does."""
    with Machine(context, CONSOLE, NODE) as machine:
        machine.run("$b head -c 2000000 /dev/zero >&3; echo written")
        machine.console.expect(r"^written$")
        machine.console.expect(re.escape(PROMPT))
        while machine.receive(0.5):
            machine.seen = b""
        use_shell(machine, "38400")
        machine.finish()


def plug(machine: Machine, device: str) -> None:
    """Plugs a port in while the machine runs, and waits until that has had time to see it."""
    # What was unplugged is let go of a moment later.
    while "in use" in (shown := machine.monitor.command(f"device_add {device}")):
        machine.context.left_s()
        time.sleep(0.2)
    machine.context.check(not shown.strip(), f"QEMU's monitor: {shown}")
    machine.console.command("sleep 1")


def gone(context: Context) -> None:
    """A console that is unplugged hangs its terminal up; plugged in again it is there again."""
    with Machine(context, CONSOLE, NODE) as machine:
        script = "echo here; /bin/busybox cat </dev/hvc0; echo ended; cat </dev/hvc0 || echo not there"
        for _ in range(2):
            machine.console.type(f"exec /bin/busybox sh -c '{script}'\n")
            machine.console.expect(r"^here$")
            machine.send(b"line\n")
            machine.console.expect(r"^line$")
            machine.expect(r"line")
            machine.monitor.command("device_del port")
            machine.console.expect(r"^ended$")
            machine.console.expect(r"^not there$")
            machine.console.expect(re.escape(PROMPT))
            plug(machine, "virtconsole,bus=bus.0,nr=0,chardev=line,id=port")
        use_shell(machine, "38400")
        machine.finish()


PORT = "-device virtio-serial-pci,id=bus -device virtserialport,chardev=line,nr=3,name=org.example.port,id=port"


def replugged(context: Context) -> None:
    """A port that is unplugged while the other side has not read all takes more when it is plugged in again."""
    with Machine(context, PORT, NODE) as machine:
        write = "p=$(echo /dev/vport*p3); /bin/busybox cat /dev/zero >$p; echo ended"
        machine.console.type(f"exec /bin/busybox sh -c '{write}'\n")
        time.sleep(5)
        machine.monitor.command("device_del port")
        machine.console.expect(r"No such device[\s\S]*^ended$")
        machine.console.expect(re.escape(PROMPT))
        plug(machine, "virtserialport,bus=bus.0,nr=3,chardev=line,id=port")
        machine.console.type("exec /bin/busybox sh -c 'p=$(echo /dev/vport*p3); echo again >$p; echo written'\n")
        while not machine.seen.endswith(b"again\n"):
            context.left_s()
            machine.seen = machine.seen[-8:]
            machine.receive(0.5)
        machine.console.expect(r"^written$")
        machine.console.expect(re.escape(PROMPT))
        machine.finish()


def stream(**settings: str):
    """A port that is no console: somebody who does not read has writers wait; who comes and goes is seen."""

    def run(context: Context) -> None:
        with Machine(context, PORT, NODE, **settings) as machine:
            machine.console.command("dmesg", r"virtio-console: port 3 is called org\.example\.port$")
            ports = "cd /sys/class/virtio-ports; for p in *; do echo port $p $(/bin/busybox cat $p/dev); done"
            node = machine.console.command(f"exec /bin/busybox sh -c '{ports}'", r"^port vport\d+p3 243:\d+$").split()[1]
            machine.console.type(f"exec /tests/port /dev/{node}\n")
            machine.console.expect(r"^full$")
            got = b""
            written = 0
            while not written or len(got) < written:
                context.left_s()
                machine.seen = b""
                machine.receive(0.2)
                got += machine.seen
                found = re.search(r"^written (\d+)\s", machine.console.seen, re.MULTILINE)
                written = int(found.group(1)) if found else 0
            machine.seen = b""
            pattern = bytes((at * 7 + at // 251) % 256 for at in range(len(got)))
            context.check(len(got) == written and got == pattern, f"{len(got)} bytes of {written}, or others")
            machine.send(pattern[:300000])
            machine.console.expect(r"^read all$")
            machine.line.close()
            machine.console.expect(r"^[1-9]\d* passed, 0 failed$")
            machine.console.expect(re.escape(PROMPT))
            machine.finish()

    return run


def too_many(context: Context) -> None:
    """Ports beyond those that are served are refused; the others work. So does each of two devices."""
    ports = f"{CONSOLE} -device virtconsole,nr=8,bus=bus.0 -device virtconsole,nr=30,bus=bus.0 -device virtconsole,nr=7,bus=bus.0 -device virtio-serial-pci,id=other -device virtconsole,bus=other.0"
    with Machine(context, ports, NODE) as machine:
        machine.console.command("dmesg", r"virtio-console: a message about a port that cannot be")
        script = "for i in 0 1 2; do echo text >/dev/hvc$i && echo sent $i; done; [ -e /dev/hvc3 ] || echo no more"
        machine.console.type(f"exec /bin/busybox sh -c '{script}'\n")
        for pattern in (r"^sent 0$", r"^sent 1$", r"^sent 2$", r"^no more$"):
            machine.console.expect(pattern)
        machine.console.expect(re.escape(PROMPT))
        machine.expect(r"^text$")
        machine.finish()


def tests() -> list[Test]:
    """All of this kind."""
    alone = "-device virtio-serial-pci,max_ports=1 -device virtconsole,chardev=line"
    return [
        Test("consoles/shell", shell(), SECONDS, needs=NEEDS),
        Test("consoles/shell-debug", shell(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("consoles/only-port", shell(alone), SECONDS, needs=NEEDS),
        Test("consoles/transfer", transfer(), SECONDS, needs=NEEDS),
        Test("consoles/transfer-debug", transfer(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("consoles/unread", unread, SECONDS, needs=NEEDS),
        Test("consoles/gone", gone, SECONDS, needs=NEEDS),
        Test("consoles/replugged", replugged, SECONDS, needs=NEEDS),
        Test("consoles/stream", stream(), SECONDS, needs=NEEDS),
        Test("consoles/stream-debug", stream(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("consoles/too-many", too_many, SECONDS, needs=NEEDS),
    ]
