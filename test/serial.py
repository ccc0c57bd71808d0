"""The second serial port as a terminal, with somebody at its other end: a shell, flow control, breaks, what is set on the port, and
the log, which has the port while no program has it open."""

import re
import socket
import time

from harness.console import PROMPT, Terminal, boot, plain
from harness.monitor import Monitor
from harness.plan import Context, Failure, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
START, STOP = b"\x11", b"\x13"
# Where the registers of the two ports begin, and which they are.
COM1, COM2 = 0x3F8, 0x2F8
DATA, LINE_CONTROL, MODEM_CONTROL = 0, 3, 4
DIVISOR_ACCESS = 0x80


# A port is the other end of the chardev `line`.
SERIAL_PORT = "-device isa-serial,chardev=line,index=1"


class Machine:
    """A machine, its console, and a socket at the other end of its second port, or another one. Use with `with`."""

    def __init__(self, context: Context, port: str = SERIAL_PORT, node: str = "/dev/ttyS1", **settings: str) -> None:
        self.context = context
        self.node = node
        self.monitor = Monitor(context)
        path = self.monitor.path.with_name("line")
        extra = f"{self.monitor.qemu_extra()} -chardev socket,id=line,path={path},server=on,wait=off {port}"
        self.console = Terminal(context, COM2="none", QEMU_EXTRA=extra, **settings)
        self.seen = b""
        self.console.expect(re.escape(PROMPT), within_s=240)
        self.console.command("mount 2")
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(path))

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()
        self.console.__exit__()
        self.monitor.__exit__()

    def send(self, data: bytes) -> None:
        """Sends on the line."""
        self.line.settimeout(self.context.left_s())
        self.line.sendall(data)

    def receive(self, wait_s: float) -> bool:
        """Takes in what comes on the line within this time; false if nothing does."""
        self.console.read(0)
        self.line.settimeout(wait_s)
        try:
            data = self.line.recv(65536)
        except TimeoutError:
            return False
        self.context.say(f"on the line: {data!r}")
        self.seen += data
        return bool(data)

    def expect(self, pattern: str, within_s: float = 60) -> str:
        """Waits until the expression matches what has come on the line since the last match."""
        end = time.monotonic() + min(within_s, self.context.left_s())
        while True:
            text = plain(self.seen.decode("utf-8", "replace"))
            found = re.search(pattern, text, re.MULTILINE)
            if found:
                self.seen = text[found.end() :].encode()
                return found.group(0)
            if time.monotonic() > end:
                raise Failure(f"nothing on the line that matches {pattern!r}")
            self.receive(0.2)

    def run(self, script: str, device: str = "") -> None:
        """Has busybox's shell run a script with the line as descriptor 3; it says when it is ready to go on."""
        self.console.type(f"exec /bin/busybox sh -c 'exec 3<>{device or self.node}; b=/bin/busybox; {script}'\n")

    def register(self, port: int) -> int:
        """A register of the machine, which QEMU reads as the processor would."""
        return int(self.monitor.command(f"i /xb {port:#x}").split("=")[1], 0)

    def finish(self) -> None:
        """The end, with no command failed."""
        self.console.type("exit\n")
        self.context.check(self.console.end_status() == 0, "a command failed")


def alone(**settings: str):
    """The port looped back; before and after that the log has it."""

    def run(context: Context) -> None:
        result = boot(context, "mount 2; storm log 2; exec /tests/serial; sleep 1; storm log 3; trace on; trace off; trace serial; exit", **settings)
        result.wants(r"^[1-9]\d* passed, 0 failed$")
        log = context.com2_path.read_text(encoding="utf-8", errors="replace")
        for count in (2, 3):
            lines = re.findall(rf"^\[.*storm from CPU \d, line \d of {count}\.$", log, re.MULTILINE)
            context.check(len(lines) == 4 * count, f"{len(lines)} of {4 * count} lines of the log went out")

    return run


def use_shell(machine: Machine, speed: str) -> None:
    """A shell on the line, with its keys and jobs."""
    # Started by a shell that waits: where setsid(1) leads a group it forks, and the end of its session could be the child's.
    shell = f'/bin/busybox sh -c "exec /bin/busybox sh -i <{machine.node} >{machine.node} 2>&1"'
    machine.console.type(f"exec /bin/busybox sh -c '/bin/busybox setsid {shell}; echo ended'\n")
    machine.expect(r"# ")
    machine.send(b"echo $((6 * 7)); tty; stty | head -n 1\n")
    machine.expect(r"^42$")
    machine.expect(rf"^{machine.node}$")
    machine.expect(rf"^speed {speed} baud")
    machine.send(b"sleep 1000\n")
    machine.expect("sleep 1000")
    time.sleep(1)
    machine.send(b"\x03")
    machine.expect(r"# ")
    machine.send(b"sleep 1000\n")
    time.sleep(1)
    machine.send(b"\x1a")
    machine.expect(r"Stopped")
    machine.send(b"fg\n")
    machine.expect(r"^sleep 1000$")
    time.sleep(1)
    machine.send(b"\x03")
    machine.expect(r"# ")
    machine.send(b"echo typo\x7fed\n")
    machine.expect(r"^typed$")
    machine.send(b"exit\n")
    machine.console.expect(r"^ended$")
    machine.console.expect(re.escape(PROMPT))


def shell(context: Context) -> None:
    """A shell on the line; then the log comes out there again."""
    with Machine(context) as machine:
        use_shell(machine, "9600")
        machine.console.command("sleep 1")
        machine.console.command("storm log 1", r"^1 lines from each")
        machine.expect(r"storm from CPU \d, line 1 of 1\.$")
        machine.finish()


def flow(context: Context) -> None:
    """STOP and START hold output and let it go on; unread input makes the port send them."""
    with Machine(context) as machine:
        machine.run("$b stty raw -echo ixon ixoff speed 115200 <&3; echo ready; read x; echo held >&3; echo written; $b sleep 6; $b head -c 9000 <&3 | $b md5sum")
        machine.console.expect(r"^ready$")
        machine.send(STOP)
        time.sleep(1)
        machine.console.type("\n")
        machine.context.check(not machine.receive(2), "something came though output is stopped")
        machine.send(START)
        machine.expect(r"^held\n")
        machine.console.expect(r"^written$")
        data = bytes(33 + at * 7 % 90 for at in range(9000))
        machine.send(data[:3900])
        context.check(not machine.receive(1), "asked to stop though there is room")
        machine.send(data[3900:4500])
        machine.expect(re.escape(STOP.decode()))
        machine.expect(re.escape(START.decode()))
        machine.send(data[4500:])
        machine.console.expect(rf"^{md5(data)}  -$")
        machine.console.expect(re.escape(PROMPT))
        machine.finish()


def md5(data: bytes) -> str:
    """As md5sum prints it."""
    import hashlib

    return hashlib.md5(data).hexdigest()


def breaks(context: Context) -> None:
    """A break from the other side: an interrupt, a zero, a mark, or nothing."""
    with Machine(context) as machine:
        for modes, expected in (("-brkint -parmrk -ignbrk", "000102"), ("-brkint parmrk -ignbrk", "ff0000"), ("ignbrk", "010203")):
            machine.run(f"$b stty raw -echo {modes} <&3; echo ready; $b head -c 3 <&3 | $b od -A n -t x1 | $b tr -d \" \"")
            machine.console.expect(r"^ready$")
            machine.monitor.command("chardev-send-break line")
            time.sleep(1)
            machine.send(b"\x01\x02\x03")
            machine.console.expect(rf"^{expected}$")
            machine.console.expect(re.escape(PROMPT))
        machine.console.type("exec /bin/busybox setsid /bin/busybox sh -c 'exec /bin/busybox cat </dev/ttyS1'\n")
        time.sleep(2)
        machine.run("$b stty sane brkint -ignbrk <&3; echo set")
        machine.console.expect(r"^set$")
        machine.monitor.command("chardev-send-break line")
        machine.console.expect(re.escape(PROMPT))
        machine.finish()


# What is asked of stty, the line control register, and the divisor.
FORMATS = {
    "115200 cs8 -parenb -cstopb": (0b0_0011, 1),
    "9600 cs7 parenb -parodd -cstopb": (0b1_1010, 12),
    "1200 cs6 parenb parodd cstopb": (0b0_1101, 96),
    "50 cs5 -parenb cstopb": (0b0_0100, 2304),
}


def formats(first: int, device: str):
    """What termios says is set on the port whose registers begin there, and the modem lines are."""

    def run(context: Context) -> None:
        data, line_control, modem_control = (first + offset for offset in (DATA, LINE_CONTROL, MODEM_CONTROL))
        with Machine(context) as machine:

            # To be called when nothing is being sent: a byte would become the divisor.
            def check(words: str, expected: int, divisor: int, lines: int) -> None:
                found = machine.register(line_control)
                context.check(found == expected, f"{words}: line control {found:#b}, not {expected:#b}")
                machine.monitor.command(f"o /xb {line_control:#x} {found | DIVISOR_ACCESS:#x}")
                got = machine.register(data) | machine.register(data + 1) << 8
                machine.monitor.command(f"o /xb {line_control:#x} {found:#x}")
                context.check(got == divisor, f"{words}: divisor {got}, not {divisor}")
                found = machine.register(modem_control) & 0b11
                context.check(found == lines, f"{words}: DTR and RTS are {found:#b}, not {lines:#b}")

            script = "; ".join(f"$b stty {words} <&3; echo set; read x" for words in FORMATS)
            machine.run(f"{script}; $b stty 0 <&3; echo hung up; read x; $b stty 4800 cs8 -parenb -cstopb <&3; echo up again; read x", device)
            for words, (expected, divisor) in FORMATS.items():
                machine.console.expect(r"^set\n")
                check(words, expected, divisor, 0b11)
                machine.console.type("\n")
            machine.console.expect(r"^hung up\n")
            found = machine.register(modem_control) & 0b11
            context.check(found == 0, f"speed 0 leaves DTR and RTS {found:#b}")
            machine.console.type("\n")
            machine.console.expect(r"^up again\n")
            check("4800 baud", 0b11, 24, 0b11)
            machine.console.type("\n")
            machine.console.expect(re.escape(PROMPT))
            time.sleep(1)
            # The shell has the console again, and the log its port.
            check("afterwards", 0b11, 12, 0b11)
            machine.finish()

    return run


def console_whole(context: Context) -> None:
    """What is written on the console goes out whole, while its speed changes all the time."""
    speeds = "50 300 9600 115200"
    with Machine(context) as machine:
        change = f"while :; do for speed in {speeds}; do $b stty $speed <&3; done; done"
        machine.run(f"({change}) & $b seq 1 3000; kill $!; $b stty 9600 cs8 <&3", "/dev/ttyS0")
        machine.console.expect(r"^3000$", within_s=200)
        machine.console.expect(re.escape(PROMPT))
        machine.finish()
        numbers = [int(line) for line in re.findall(r"^(\d+)$", plain(machine.console.seen), re.MULTILINE)]
        context.check(numbers == list(range(1, 3001)), f"{len(numbers)} lines of 3000 came whole")


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("serial/alone", alone(), SECONDS, needs=NEEDS),
        Test("serial/alone-debug", alone(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("serial/shell", shell, SECONDS, needs=NEEDS),
        Test("serial/flow", flow, SECONDS, needs=NEEDS),
        Test("serial/breaks", breaks, SECONDS, needs=NEEDS),
        Test("serial/formats", formats(COM2, "/dev/ttyS1"), SECONDS, needs=NEEDS),
        Test("serial/formats-console", formats(COM1, "/dev/ttyS0"), SECONDS, needs=NEEDS),
        Test("serial/console-whole", console_whole, SECONDS, needs=NEEDS),
    ]
