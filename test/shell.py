"""The kernel shell's commands with good and bad arguments: each answers as it should, and what is wrong is told in one line."""

import re

from harness.console import PROMPT, boot
from harness.plan import Context, Failure, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")

MISSING, NO_DIRECTORY, DIRECTORY = "No such file or directory (ENOENT)", "Not a directory (ENOTDIR)", "Is a directory (EISDIR)"
EVENTS = "must be on, off, show, save, serial, forget or exec, as `help trace` says"
SOURCES = "neither number nor path of a block device, nor tmpfs, devfs, proc or sysfs"

# A command line to all that it prints, behind the command's name.
BAD = {
    "mkdir /": "/: File exists (EEXIST)",
    "mkdir /hello.txt/x": f"/hello.txt/x: {NO_DIRECTORY}",
    "rm /none": f"/none: {MISSING}",
    "rm /": f"/: {DIRECTORY}",
    "rm -x": "-x: no such option",
    "mv /none /x": f"/none to /x: {MISSING}",
    "mv /hello.txt": "new: argument is missing; usage: mv old new",
    "write-to-file /nested-dir x": f"/nested-dir: {DIRECTORY}",
    "write-to-file /x": "word…: argument is missing; usage: write-to-file path word…",
    "df x": "x: one argument too many; usage: df",
    "sync x": "x: one argument too many; usage: sync",
    "list-pci x": "x: one argument too many; usage: list-pci",
    "list-virtio x": "x: one argument too many; usage: list-virtio",
    "block 99": "99: no such block device; there are 0 to 2",
    "block x": "x: device is not a number",
    "block 1 999999999999": "999999999999: device 1 has ",
    "block 0 0 1 x": "x: one argument too many; usage: block [device] [sector] [count]",
    "rng x": "x: n is not a number",
    "rng 99999999999": "99999999999: n is larger than 4096",
    "rng 8 x": "x: reads is not a number",
    "storm": "device|log: argument is missing; usage: storm device|log [amount]",
    "storm x": "x: device is not a number",
    "storm 99": "99: no such block device; there are 0 to 2",
    "storm 0": "0: the disk is read-only",
    "storm 2": "2: the disk is in use",
    "storm 1 99999": "99999: seconds is larger than 86400",
    "storm log x": "x: number of lines is not a number",
    "ls /none": f"/none: {MISSING}",
    "ls -x": "-x: no such option",
    "ls /bin /dev": "/dev: one path at a time",
    "cat /none": f"/none: {MISSING}",
    "cat /nested-dir": f"/nested-dir: {DIRECTORY}",
    "cat": "path…: argument is missing; usage: cat path…",
    "stat /none": f"/none: {MISSING}",
    "stat / /": "/: one argument too many; usage: stat path",
    "boot-info x": "x: one argument too many; usage: boot-info",
    "mem x": "x: neither objects nor nothing",
    "irq x": "x: one argument too many; usage: irq",
    "locks": "a release build does not keep count of locks",
    "locks x": "x: one argument too many; usage: locks",
    "print-acpi x": "x: one argument too many; usage: print-acpi",
    "page-table x": "x: address is not a number",
    "page-table 0x800000000000": "0x800000000000: not a canonical address: bits 47 to 63 differ",
    "page-table": "address: argument is missing; usage: page-table address",
    "mount 99": "99: no such block device; there are 0 to 2",
    "mount nothing": f"nothing: {SOURCES}",
    "mount nothing /mnt": f"nothing: {SOURCES}",
    "mount -o": "-o: needs options behind it",
    "mount -o rw,none 2": "none: no option of a mount; see help mount",
    "fat bios 99": "99: no such block device; there are 0 to 2",
    "fat what 1": "what: not known; usage: fat bios device",
    "fat bios 2": "2: BPB bytes_per_sector must be 512, 1024, 2048, or 4096",
    "mount 1 / x": "x: one argument too many; usage: mount [-o options] [source] [path]",
    "umount /none": f"/none: {MISSING}",
    "umount /bin": "/bin: Invalid argument (EINVAL)",
    "umount": "path: argument is missing; usage: umount path",
    "profile x": "x: must be on, off, show or save, as `help profile` says",
    "profile show x": "x: number of functions is not a number",
    "write-framebuffer": "text…: argument is missing; usage: write-framebuffer text…",
    "colours x": "x: neither on nor off",
    "pager x": "x: none of on, off and screen",
    "keymap x": "x: no such layout; keymap lists them",
    "help x": "x: no such command",
    "help ls x": "x: one argument too many; usage: help [command]",
    "exit x": "x: status is not a number",
    "exit 256": "256: status is larger than 255",
    "exit 0 1": "1: one argument too many; usage: exit [status]",
    "reboot x": "x: one argument too many; usage: reboot",
    "backtrace x": "x: one argument too many; usage: backtrace",
    "dmesg x": "x: one argument too many; usage: dmesg",
    "uptime x": "x: one argument too many; usage: uptime",
    "tasks x": "x: one argument too many; usage: tasks",
    "timer x": "x: milliseconds is not a number",
    "timer 99999999999": "99999999999: milliseconds is larger than 4294967295",
    "sleep x": "x: not a number of seconds",
    "sleep": "seconds: argument is missing; usage: sleep seconds",
    "prime x": "x: n is not a number",
    "prime 99999999999": "99999999999: n is larger than 4294967295",
    "trace x": f"x: {EVENTS}",
    "trace on x": "x: KiB is not a number",
    "trace show x": "x: number of events is not a number",
    "trace save": "save: the path of a file is missing",
    "trace exec": "exec: the program is missing",
    "exec /none": f"/none: {MISSING}",
    "exec": "path: argument is missing; usage: exec [n] path [argument]…",
    "exec 0 /x": "0: no instance at all",
    "exec 99999 /bin/hello": "99999: number of instances is larger than 10000",
    "exec /hello.txt": "/hello.txt: Permission denied (EACCES)",
    "init /none": f"/none: {MISSING}",
    "crash x": "x: no such kind; help crash lists them",
    "crash": "kind: argument is missing; usage: crash kind",
    "nonsense": "no such command; help lists them",
}

# Commands that go well, and what they print among other things.
GOOD = {
    "help": r"^exec \[n\] path", "help exec": r"Example: exec", "echo 'a; b'": r"^a; b$", "uptime": r"^up \d", "dmesg": r"CPUs, \d+ KiB", "df": r"^/dev/vdc ",
    "mkdir /made": "", "write-to-file /made/file one two": "", "cat /made/file": r"^one two", "mv /made/file /made/other": "", "ls /made": r"^other$",
    "ls -l /made": r" other$", "stat /made/other": r"\d", "rm -r /made": "", "sync": "", "mount tmpfs /tmp": "", "umount /tmp": "", "mount": r" / ", "fat bios 1": r"FAT32",
    "list-pci": r"1af4", "list-virtio": r"blk", "block": r"28\d|ext2|\d", "block 2 2 1": r"[0-9a-f]{2}", "rng 8": r"[0-9a-f]{2}",
    "rng 8 5": r"^5 reads in \d+ ms; the last:$", "boot-info": r"^framebuffer",
    "mem": r"^total", "mem objects": r"\d", "irq": r"\d", "print-acpi": r"FACP", "page-table 0xffff800000001234": r"physical 0x1234",
    "write-framebuffer hi": "", "colours": r"^on$", "pager": r"^screen$", "tasks": r"shell", "timer 1": r"\d", "sleep 0.01": "", "prime 1000": r"^168 primes",
    "backtrace": r"russet::shell", "exec /bin/hello": r"exit status 0$", "exec 2 /bin/hello": r"^2 instances in", "trace on": "", "trace off": r"^CPU 0: \d+ events",
    "trace show 1": r"^CPU 0: \d+ events", "trace forget": "", "profile on": "", "profile off": r"^CPU 0: \d+ samples",
    "storm log 2": r"^2 lines from each of \d CPUs in \d+ ms$", "storm 1 1": r"^no request lost", "test words_and": r"^1 passed, 0 failed$",
}  # fmt: skip


def answers(context: Context, commands: list[str]) -> list[tuple[str, list[str]]]:
    """What each of the commands prints: the prompt that follows it, and its lines."""
    console = boot(context, "; ".join(["mount 2", *commands, "exit 0"])).console
    parts = re.split(rf"^(\[\d+\] )?{re.escape(PROMPT)}(.*)\n?", console, flags=re.MULTILINE)
    # In groups of three behind what comes before the first prompt: status, command, what that prints.
    shown = [(parts[at], parts[at + 1], parts[at + 2].splitlines()) for at in range(1, len(parts) - 2, 3)]
    if [command for _, command, _ in shown[1:-1]] != commands:
        raise Failure(f"the shell has run {[command for _, command, _ in shown[1:-1]]}")
    return [(shown[at + 1][0] or "", shown[at][2]) for at in range(1, len(shown) - 1)]


def bad_arguments(context: Context) -> None:
    """Each line of the table is answered by one line, and the prompt says that it failed."""
    wrong = []
    for (line, problem), (prompt, lines) in zip(BAD.items(), answers(context, list(BAD)), strict=True):
        expected = f"{line.split()[0]}: {problem}"
        as_wanted = lines == [expected] or expected.endswith(" ") and len(lines) == 1 and lines[0].startswith(expected)
        if not as_wanted or prompt != "[1] ":
            wrong.append(f"`{line}` printed {lines} and left the prompt {prompt!r}")
    if wrong:
        raise Failure("; ".join(wrong))


def good_arguments(context: Context) -> None:
    """Each command goes well and prints what only it would."""
    wrong = []
    for (line, pattern), (prompt, lines) in zip(GOOD.items(), answers(context, list(GOOD)), strict=True):
        text = "\n".join(lines)
        if prompt != "" or not (re.search(pattern, text, re.MULTILINE) if pattern else text == ""):
            wrong.append(f"`{line}` printed {lines[:5]} and left the prompt {prompt!r}")
    if wrong:
        raise Failure("; ".join(wrong))


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("shell/bad-arguments", bad_arguments, SECONDS, needs=NEEDS),
        Test("shell/good-arguments", good_arguments, SECONDS, needs=NEEDS),
    ]
