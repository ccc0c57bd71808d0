"""The screen and the keyboard: pictures of the emulated screen against the font, keys typed on the emulated keyboard.

No window is needed; the screen exists either way. Every test leaves its last picture beside its log, as a PNG file.
"""

import array
import itertools
import pathlib
import re
import tempfile
import time
from collections.abc import Callable

from harness.console import PROMPT, Terminal
from harness.monitor import Monitor
from harness.plan import Context, Failure, Test
from harness.screen import Picture, console_font, rendered

SECONDS = 400
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
MCE_BANK_STATUS = 0xB200000000000000  # valid, uncorrected, enabled, the processor's context is corrupt


class Machine:
    """A booted machine with its serial console, its keyboard and its screen. Use with `with`."""

    def __init__(self, context: Context, cmdline: str = "", **settings: str) -> None:
        self.context = context
        self.monitor = Monitor(context)
        extra = f"{self.monitor.qemu_extra()} {settings.pop('QEMU_EXTRA', '')}"
        self.serial = Terminal(context, CMDLINE=cmdline, QEMU_EXTRA=extra, **settings)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.serial.__exit__()
        self.monitor.__exit__()

    def picture(self) -> Picture:
        """The screen at this moment, kept beside the log."""
        picture = self.monitor.picture()
        picture.write_png(self.context.log_path.with_suffix(".png"))
        return picture

    def see(self, wanted: Callable[[list[str]], bool], what: str, within_s: float = 60) -> list[str]:
        """Looks at the screen until its lines are as wanted."""
        end = time.monotonic() + min(within_s, self.context.left_s())
        while True:
            self.serial.read(0.05)  # what QEMU cannot write would stop the machine
            lines = self.picture().text()
            if wanted(lines):
                return lines
            if time.monotonic() > end:
                shown = "\n".join(line for line in lines if line)
                self.context.say(f"the screen shows\n{shown}")
                raise Failure(f"the screen does not show {what}")
            time.sleep(0.2)

    def see_text(self, pattern: str, within_s: float = 60) -> list[str]:
        """Looks until a line of the screen matches."""
        return self.see(lambda lines: any(re.search(pattern, line) for line in lines), repr(pattern), within_s)

    def see_prompt(self) -> list[str]:
        """Looks until the last line that is not empty is a prompt, which may say that the last command failed."""
        prompt = re.compile(rf"(\[\d+\] )?{re.escape(PROMPT.strip())}")
        return self.see(lambda lines: prompt.fullmatch(last_line(lines)) is not None, "a prompt at its end", 240)

    def type(self, text: str) -> None:
        """Types on the keyboard."""
        self.monitor.type(text)

    def finish(self) -> None:
        """`exit 0` on the keyboard powers off."""
        self.type("exit 0\n")
        status = self.serial.end_status()
        if status != 0:
            raise Failure(f"`exit 0` ended the run with status {status}")


def last_line(lines: list[str]) -> str:
    """The last line with something in it."""
    return next((line for line in reversed(lines) if line), "")


def write_framebuffer(cmdline: str, **settings: str):
    """The text stands at the top left, pixel by pixel, while and after programs print."""

    def run(context: Context) -> None:
        with Machine(context, cmdline, **settings) as machine:
            machine.serial.expect(r"^\d+ passed, 0 failed$", within_s=300)
            machine.see_prompt()
            font = console_font()
            text = "hello!"
            got = machine.picture().part(0, 0, font.width * len(text), font.height)
            context.check(got == rendered(text), f"the pixels at the top left are not those of {text!r}")
            machine.type("write-framebuffer ''\n")
            machine.see(lambda lines: not lines[0].startswith(text), "the line below the text")
            machine.finish()

    return run


def typed(context: Context) -> None:
    """Commands typed on the keyboard are answered on the screen, and on the serial console as well."""
    with Machine(context, "mount 2") as machine:
        machine.see_prompt()
        machine.type("cat /hello.txt\n")
        lines = machine.see_text(r"^Hello, world!$")
        context.check("ksh > cat /hello.txt" in lines, "the typed line is not on the screen")
        machine.serial.expect(r"^Hello, world!$")
        machine.type("ECHO 'A_b' && #1\n")
        machine.see_text(r"^ECHO: no such command")
        machine.type("exec /bin/busybox cat\n")
        machine.see_text(r"cat$")
        machine.type("between\n")
        machine.see(lambda lines: lines.count("between") == 2, "what cat writes back")
        machine.monitor.press("ctrl", "c")
        machine.see_text(r"killed by SIGINT")
        machine.type("exit 9")
        machine.monitor.press("ctrl", "c")
        for _ in range(3):
            machine.monitor.press("up")
        machine.monitor.press("home")
        machine.monitor.press("delete")
        machine.type("X\n")
        machine.see_text(r"^Xat: no such command")
        # The serial console goes on beside it.
        machine.serial.command("echo from afar", r"^from afar$")
        machine.see_text(r"^from afar$")
        machine.finish()


def layouts(context: Context) -> None:
    """Another layout, and a wrong one."""
    with Machine(context) as machine:
        machine.see_prompt()
        machine.type("keymap xx\n")
        machine.see_text(r"^keymap: xx: no such layout")
        machine.type("keymap de\n")
        machine.see(lambda lines: last_line(lines) == PROMPT.strip(), "the prompt")
        machine.type("echo y[\n")
        machine.see_text(r"^zü$")
        machine.type("exit ")
        machine.type("0\n")
        context.check(machine.serial.end_status() == 0, "the run did not end well")


def scroll_back(context: Context) -> None:
    """Shift-PageUp shows what has scrolled off, a key goes back."""
    with Machine(context, "mount 2; exec /bin/busybox seq 1 200") as machine:
        machine.see_prompt()
        for _ in range(2):
            machine.monitor.press("shift", "pgup")
        lines = machine.see(lambda lines: "200" not in lines, "earlier lines")
        numbers = [int(line) for line in lines if line.isdigit()]
        context.check(len(numbers) == len(lines) and numbers == list(range(numbers[0], numbers[0] + len(lines))), "lines are missing")
        machine.monitor.press("shift", "pgdn")
        machine.see(lambda lines: str(numbers[-1] + len(lines) // 2) in lines, "half a screen further")
        machine.type("x")
        machine.see(lambda lines: last_line(lines) == "ksh > x", "the prompt again")
        machine.monitor.press("ctrl", "c")
        machine.finish()


def flood(context: Context) -> None:
    """After 20,000 lines the screen shows the last of them, and none is missing."""
    with Machine(context, "mount 2; exec /bin/busybox seq 1 20000; irq") as machine:
        lines = machine.see_prompt()
        context.check(any(re.search(r"screen bytes lost: 0$", line) for line in lines), "the screen has lost output")
        numbers = [int(line) for line in lines if line.isdigit()]
        wanted = list(range(20001 - len(numbers), 20001))
        context.check(len(numbers) > 10 and numbers == wanted, f"the screen shows {numbers[:1]} to {numbers[-1:]}")
        machine.finish()


def full_screen(context: Context) -> None:
    """vi uses the whole screen and leaves it as it was; colours and line drawing are drawn."""
    with Machine(context, "mount 2") as machine:
        machine.see_prompt()
        machine.type("exec /bin/busybox vi /hello.txt\n")
        lines = machine.see_text(r"^- /hello.txt 1/1 100%")
        context.check(lines[0] == "Hello, world!" and lines[1:-1] == ["~"] * (len(lines) - 2), "vi does not fill the screen")
        machine.type("Aand more")
        machine.see_text(r"^Hello, world!and more$")
        machine.monitor.press("esc")
        # What comes too soon after it is taken for the rest of a key's sequence.
        machine.see_text(r"^- /hello.txt \[Modified\] 1/1 100%")
        machine.type(":q!\n")
        lines = machine.see_text(r"exit status 0$")
        context.check("ksh > mount 2" in lines, "the screen from before vi is not back")
        machine.type("exec /bin/busybox less /hello.txt\n")
        machine.see(lambda lines: lines[0] == "Hello, world!" and lines[-1].startswith("/hello.txt"), "less")
        machine.type("q")
        machine.see_text(r"exit status 0$")
        machine.type("exec /bin/busybox top -d 1\n")
        machine.see(lambda lines: lines[0].startswith("Mem: ") and any("busybox top" in line for line in lines), "top")
        machine.type("q")
        machine.see_prompt()
        machine.type(r"exec /bin/busybox printf '\033[1;33;44mbold\033[0m \033(0lqk\033(B \342\224\230 \033[38;2;1;2;3mq\n'" + "\n")
        machine.see_text(r"^bold ┌─┐ ┘ q$")
        machine.finish()


def window(context: Context) -> None:
    """The terminal is as large as the screen while the keyboard is in use, else as a serial terminal usually is."""
    with Machine(context, "mount 2") as machine:
        lines = machine.see_prompt()
        machine.type("exec /bin/busybox stty size\n")
        machine.see_text(rf"^{len(lines)} {machine.picture().width // console_font().width}$")
        machine.serial.expect(re.escape(PROMPT) + r"\Z")
        machine.serial.command("exec /bin/busybox stty size", r"^24 80$")
        machine.finish()


def virtual_terminals(context: Context) -> None:
    """Alt-F1 to Alt-F4 show terminals of their own: programs, contents, scroll-back, keys and Ctrl-C stay apart."""
    busybox = "exec /bin/busybox"
    with Machine(context, f"mount 2; {busybox} openvt -c 2 -- /bin/busybox sh") as machine:
        size = len(machine.see_prompt())
        columns = machine.picture().width // console_font().width
        machine.monitor.press("alt", "f2")
        machine.see(lambda lines: last_line(lines).endswith("#") and not any("ksh" in line for line in lines), "the program's terminal alone")
        machine.type("PS1='two# '; /bin/busybox stty size; /bin/busybox tty\n")
        machine.see_text(rf"^{size} {columns}$")
        machine.see_text(r"^/dev/tty2$")
        machine.type("/bin/busybox seq 1 200\n")
        machine.see(lambda lines: last_line(lines) == "two#" and "200" in lines, "numbers")
        machine.monitor.press("shift", "pgup")
        earlier = machine.see(lambda lines: "200" not in lines, "earlier lines")
        machine.monitor.press("alt", "f1")
        machine.see(lambda lines: last_line(lines) == PROMPT.strip() and "200" not in lines, "the kernel's shell")
        machine.serial.command("echo from afar", r"^from afar$")
        machine.see_text(r"^from afar$")
        machine.monitor.press("alt", "f2")
        machine.see(lambda lines: lines == earlier, "the earlier lines again")
        # What is typed here goes to the program here, and its signals as well.
        machine.type("/bin/busybox cat\n")
        machine.see(lambda lines: last_line(lines).endswith("cat"), "cat")
        machine.type("only here\n")
        machine.see(lambda lines: lines.count("only here") == 2, "what cat writes back")
        machine.monitor.press("ctrl", "c")
        machine.see(lambda lines: last_line(lines) == "two#", "the shell after Ctrl-C")
        machine.monitor.press("ctrl", "alt", "f3")
        machine.see(lambda lines: lines[0].startswith("No program uses this terminal.") and not lines[1], "an unused terminal")
        # chvt shows another one from the serial console, whose window stays as it is.
        machine.serial.command(f"{busybox} stty size", r"^24 80$")
        machine.serial.command(f"{busybox} chvt 2", r"exit status 0$")
        machine.see(lambda lines: last_line(lines) == "two#", "the second terminal")
        machine.serial.command(f"{busybox} chvt 9", r"exit status 1$")
        machine.type("exit 0\n")
        machine.monitor.press("alt", "f1")
        machine.see_prompt()
        # openvt takes the first that is free, and shows it.
        machine.serial.command(f"{busybox} openvt -s -- /bin/busybox sh -c 'echo shown; exec /bin/busybox tty'", r"exit status 0$")
        lines = machine.see_text(r"^shown$")
        context.check("only here" in lines, "the second terminal has lost what was on it")
        machine.monitor.press("alt", "f1")
        lines = machine.see_prompt()
        context.check("shown" not in lines and "only here" not in lines, "the terminals are mixed up")
        machine.finish()


def left_behind(context: Context) -> None:
    """A program that leaves black on black, no cursor, a scroll region, line drawing or the other screen hides nothing."""
    with Machine(context, "mount 2") as machine:
        machine.see_prompt()
        for number, left in enumerate((r"\033[30;40;8m", r"\033[?25l\033[3;5r\033[99H\033[?7l\033[4h", r"\033(0\016", r"\033[?1049h\033[8m")):
            machine.type(f"exec /bin/busybox printf '{left}'\n")
            machine.see_text(r"^/bin/busybox \[pid \d+\]: exit status 0$")
            machine.type(f"echo visible{number}\n")
            lines = machine.see_text(rf"^visible{number}$")
            context.check(number == 0 or f"visible{number - 1}" in lines, "the screen from before is not there")
            machine.see_prompt()
        # Several at once, which write as the shell does.
        machine.type(r"exec 2 /bin/busybox printf '\033[30m'" + "\n")
        machine.see_text(r"^2 instances in")
        machine.finish()


def pages(context: Context) -> None:
    """What is typed on the keyboard and shows more than a page stops; boot commands and the serial console do not."""
    with Machine(context, "help; help") as machine:
        lines = machine.see_prompt()
        machine.serial.expect(r"ksh > \Z")
        machine.serial.command("help; help")
        stop = r"^-- space: next page, Enter: next line, q: end --$"
        machine.type("help; help\n")
        first = machine.see_text(stop)
        context.check(first[0] == "ksh > help; help" and len([line for line in first if line]) == len(lines), "the first page is not a page")
        machine.type("x\n")
        machine.see(lambda lines: lines[:-2] == first[1:-1] and lines[-1] == first[-1] and lines[-2] != "", "one line more")
        machine.type(" ")
        rest = machine.see_prompt()
        context.check(first[-2] in rest and not any("--" in line for line in rest), "the rest does not follow")
        machine.type("help; help\n")
        machine.see(lambda lines: lines == first, "the first page again")
        machine.type("q")
        machine.see(lambda lines: lines == [*first[:-1], "ksh >"], "a prompt below the first page")
        machine.type("pager off\nhelp; help\n")
        machine.see(lambda lines: lines == rest, "all of it")
        machine.type("pager maybe\n")
        machine.see_text(r"^pager: maybe: none of on, off and screen$")
        machine.serial.expect(r"ksh > \Z")
        machine.serial.command("pager on")
        machine.serial.type("help; help\n")
        machine.serial.expect(stop)
        machine.serial.type("\x03")
        machine.serial.expect(r"ksh > \Z")
        machine.finish()


def accents(context: Context) -> None:
    """Dead keys."""
    with Machine(context) as machine:
        machine.see_prompt()
        machine.type("keymap us-intl\n")
        machine.type("echo 'e^o~n\"ux^ \n")
        machine.see_text(r"^éôñüx\^$")
        machine.type("exit 0\n")
        context.check(machine.serial.end_status() == 0, "the run did not end well")


def bell(context: Context) -> None:
    """BEL rings at 750 Hz for an eighth of a second; a tone that a program asks for has the pitch and the length it says."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        audio = f"-audiodev wav,id=sound,path={file.name},out.frequency=44100,out.channels=1 -machine pcspk-audiodev=sound"
        with Machine(context, "mount 2", QEMU_EXTRA=audio) as machine:
            machine.see_prompt()
            for command in (r"/bin/busybox printf '\a'", "/bin/busybox sleep 1", "/tests/tone 440 300", "/bin/busybox sleep 1"):
                machine.serial.command(f"exec {command}", r"exit status 0$")
            machine.finish()
        sound = pathlib.Path(file.name).read_bytes()[44:]
    for pitch, length in ((750, 0.125), (440, 0.3)):
        seconds = sounding(sound, pitch)
        context.say(f"{pitch} Hz for {seconds:.3f} s")
        # An emulated machine may be late to end a tone, and the emulator records in pieces.
        context.check(length / 2 < seconds < length * 8, f"a tone of {pitch} Hz for {seconds:.3f} s, not {length}")


def sounding(data: bytes, pitch: float, rate: int = 44100) -> float:
    """For how many seconds the 16-bit samples are a square wave of this pitch. Nothing is recorded of silence."""
    samples = array.array("h", data[: len(data) // 2 * 2])
    changes = [at for at in range(1, len(samples)) if (samples[at] > 0) != (samples[at - 1] > 0)]
    halves = [later - at for at, later in itertools.pairwise(changes)]
    return sum(half for half in halves if abs(half - rate / pitch / 2) < 2) / rate


def panic(context: Context) -> None:
    """What a panic says is on the screen, stack trace and all: a machine check makes one."""
    # With isa-debug-exit at another port the machine halts in the end, and its screen stays.
    extra = "-set device.debug-exit.iobase=0x501"
    with Machine(context, RUST_BUILD_MODE="release", QEMU_EXTRA=extra) as machine:
        machine.see_prompt()
        command = f"mce -b 0 1 {MCE_BANK_STATUS:#x} 0x5 0x0 0x0"
        machine.monitor.execute("human-monitor-command", **{"command-line": command})
        machine.see_text(r"^kernel fault on CPU \d in task \d+ \(.*\): MachineCheck")
        machine.see_text(r"^ *[0-9a-f]{16} russet::")
        machine.monitor.execute("quit")


def graphics(context: Context) -> None:
    """A program draws: the kernel does not, until it is told to, or the program has ended, or there is a panic."""
    with Machine(context, "mount 2", QEMU_EXTRA="-set device.debug-exit.iobase=0x501") as machine:
        machine.see_prompt()
        for times, line in ((1, "go on"), (2, "die")):
            machine.serial.type("exec /tests/vt-mode graphics\n")
            machine.serial.expect(r"^written in graphics mode$")
            context.check(machine.picture().text().count("written in graphics mode") == times - 1, "it is on the screen")
            machine.serial.type(f"{line}\n")
            machine.serial.expect(r"exit status 0$")
            machine.see(lambda lines, times=times: lines.count("written in graphics mode") == times, "what was written meanwhile")
            machine.see_prompt()
        machine.serial.type("exec /tests/vt-mode graphics\n")
        machine.serial.expect(r"^written in graphics mode$")
        shown = machine.picture().text()
        for _ in range(3):
            machine.serial.read(0.5)
            context.check(machine.picture().text() == shown, "something was drawn")
        context.check(shown.count("written in graphics mode") == 2, "what is written in graphics mode is on the screen")
        machine.monitor.command(f"mce -b 0 1 {MCE_BANK_STATUS:#x} 0x5 0x0 0x0")
        machine.see_text(r"^kernel fault on CPU \d in task \d+ \(.*\): MachineCheck")
        machine.monitor.execute("quit")


# Modes of KDSKBMODE, keys, and the bytes that a program gets of them.
KEY_MODES = (
    (0, ("a", "up"), "1e 9e e0 48 e0 c8"),
    (1, ("a", "semicolon"), "61 f6"),
    (2, ("a", "up"), "1e 9e 67 e7"),
    (3, ("a", "semicolon"), "61 c3 b6"),
)


def key_modes(context: Context) -> None:
    """Scan codes, numbers of keys, Latin-1 and UTF-8, as a program asks; afterwards the shell has its keys again."""
    with Machine(context, "mount 2; keymap de") as machine:
        machine.see_prompt()
        for mode, keys, expected in KEY_MODES:
            machine.serial.type(f"exec /tests/vt-mode keys {mode} {len(expected.split())}\n")
            machine.serial.expect(r"^ready$")
            for key in keys:
                machine.monitor.press(key)
            machine.serial.expect(rf"^{expected}$")
            machine.serial.expect(r"exit status 0$")
        # Raw, and so left by a program that is killed.
        machine.serial.type("exec /bin/busybox timeout 3 /tests/vt-mode keys 0 99\n")
        machine.serial.expect(r"^ready$")
        machine.serial.expect(re.escape(PROMPT))
        machine.type("exit 0\n")
        context.check(machine.serial.end_status() == 0, "the keyboard types no more")


def text_mode(context: Context) -> None:
    """Without a framebuffer the terminal is on VGA's text screen."""
    with Machine(context, "mount 2; boot-info; write-framebuffer hello!", VIDEO="text") as machine:
        machine.serial.expect(r"^framebuffer: +none; text mode, 80 x 25", within_s=240)
        machine.serial.expect(re.escape(PROMPT) + "write-framebuffer")
        machine.serial.expect(re.escape(PROMPT))
        machine.type("cat /hello.txt\n")
        end = time.monotonic() + 60
        while "Hello, world!" not in (lines := text_memory(machine)):
            context.check(time.monotonic() < end, "the answer is not on the screen")
            machine.serial.read(0.2)
        context.check(lines[0].startswith("hello!"), "the text is not at the top left")
        machine.picture()
        machine.finish()


def text_memory(machine: Machine) -> list[str]:
    """The 25 lines of VGA's text screen."""
    with tempfile.NamedTemporaryFile() as file:
        machine.monitor.execute("pmemsave", val=0xB8000, size=80 * 25 * 2, filename=file.name)
        data = file.read()
    return [data[at : at + 160 : 2].decode("cp437").rstrip() for at in range(0, len(data), 160)]


def no_screen(context: Context) -> None:
    """Without any display the serial console is all there is."""
    with Machine(context, "write-framebuffer hello!", QEMU_EXTRA="-vga none") as machine:
        machine.serial.expect(r"^write-framebuffer: hello!: there is no screen$", within_s=240)
        machine.serial.expect(re.escape(PROMPT) + r"\Z")
        machine.type("keymap\n")
        machine.serial.expect(r"^us +English")
        machine.type("exit 0\n")
        context.check(machine.serial.end_status() == 0, "the keyboard does not work without a screen")


def mode(video: str, description: str):
    """Another size and depth: the text is drawn all the same."""

    def run(context: Context) -> None:
        with Machine(context, "boot-info; echo ready", VIDEO=video) as machine:
            machine.serial.expect(description, within_s=240)
            machine.see_text(r"^ready$")
            machine.see_prompt()
            machine.finish()

    return run


def tests() -> list[Test]:
    """All of this kind."""
    seed = "mount 2; write-framebuffer hello!; exec 20 /bin/primes 15000; test"
    return [
        Test("screen/write-framebuffer", write_framebuffer(seed, GRAPHICS="on"), SECONDS, needs=NEEDS),
        Test("screen/write-framebuffer-uefi", write_framebuffer(seed, UEFI="on"), SECONDS, needs=NEEDS),
        Test("screen/write-framebuffer-debug", write_framebuffer("write-framebuffer hello!; test tty", RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("screen/typed", typed, SECONDS, needs=NEEDS),
        Test("screen/layouts", layouts, SECONDS, needs=NEEDS),
        Test("screen/scroll-back", scroll_back, SECONDS, needs=NEEDS),
        Test("screen/flood", flood, SECONDS, needs=NEEDS),
        Test("screen/full-screen", full_screen, SECONDS, needs=NEEDS),
        Test("screen/window", window, SECONDS, needs=NEEDS),
        Test("screen/virtual-terminals", virtual_terminals, SECONDS, needs=NEEDS),
        Test("screen/left-behind", left_behind, SECONDS, needs=NEEDS),
        Test("screen/pages", pages, SECONDS, needs=NEEDS),
        Test("screen/accents", accents, SECONDS, needs=NEEDS),
        Test("screen/bell", bell, SECONDS, needs=NEEDS),
        Test("screen/panic", panic, SECONDS, needs=NEEDS),
        Test("screen/graphics", graphics, SECONDS, needs=NEEDS),
        Test("screen/key-modes", key_modes, SECONDS, needs=NEEDS),
        Test("screen/text-mode", text_mode, SECONDS, needs=NEEDS),
        Test("screen/24-bits", mode("800x600x24", r"^framebuffer: +800 x 600, 24 bits"), SECONDS, needs=NEEDS),
        Test("screen/16-bits", mode("640x480x16", r"^framebuffer: +640 x 480, 16 bits"), SECONDS, needs=NEEDS),
        Test("screen/no-screen", no_screen, SECONDS, needs=NEEDS),
    ]  # fmt: skip
