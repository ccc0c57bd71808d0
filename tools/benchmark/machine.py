"""Boots of either system in the same emulated machine, by tools/run, with gdb looking on for the moment of the kernel's entry.

The time-stamp counter of that moment is read by letting the stopped processor execute RDTSC in place of the kernel's first
instruction; what that changes is put back.
"""

import contextlib
import dataclasses
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator

from benchmark.rows import Figures, derive, read_console
from harness import sessions
from harness.console import plain
from harness.plan import TOP, clean_environment

KERNEL = TOP / "build/russet-release.elf"
MEMORY_BYTES = 2 << 30
CMDLINE_MAX_BYTES = 4000

# SDM volume 2, RDTSC is 0f 31; the counter comes in edx:eax.
STAMP = """set $was_rax = $rax
set $was_rdx = $rdx
set $was_rip = $rip
set $was_code = *(unsigned short *)$rip
set var *(unsigned short *)$rip = 0x310f
stepi
printf "entry ticks %lu\\n", (($rdx & 0xffffffff) << 32) | ($rax & 0xffffffff)
set var *(unsigned short *)$was_rip = $was_code
set $rax = $was_rax
set $rdx = $was_rdx
set $rip = $was_rip
"""


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a machine is run and read."""

    name: str
    counting: bool  # guest instructions in place of time
    cpus: str
    least_boots: int
    most_boots: int
    qemu: str
    timeout_s: int
    disk: bool = False  # the rows of the disk, on an image with a large file


# Emulation counts every iteration of a rep-string instruction: `-erms,-fsrm` keeps both kernels off the byte-wise ones.
# la57 would make the processor's page tables, and so Linux's, a level deeper. What the emulator does not repeat is when the
# host's disk answers: while all wait for it, the clock leaps to the next timer (sleep=off), and from then on pages lie
# elsewhere. So the best of several boots counts, and there are boots until it has come twice.
DETERMINISTIC = Mode("deterministic", True, "1", 2, 10, "-icount shift=0,sleep=off -cpu max,-erms,-fsrm,la57=off", 240)
PARALLEL = Mode("parallel", False, "2", 5, 5, "", 240)
DISK = Mode("disk", False, "2", 3, 3, "", 600, disk=True)
MODES = {mode.name: mode for mode in (DETERMINISTIC, PARALLEL, DISK)}
# The image of the other modes, grown, with a file that is as large as the program wants it.
LARGE_IMAGE, LARGE_IMAGE_BYTES, LARGE_FILE_BYTES = TOP / "build/bench.img", 1 << 30, 256 << 20


def free_port() -> int:
    """A TCP port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watch_script(port: int, address: int, stops: int) -> str:
    """What gdb does: stop at the address as often as that, each time read the counter, then leave."""
    lines = ["set confirm off", "set pagination off", "set architecture i386:x86-64", "set tcp connect-timeout 60"]
    lines += [f"target remote 127.0.0.1:{port}", f"hbreak *{address:#x}"]
    text = "\n".join(lines) + "\n"
    return text + ("continue\n" + STAMP) * stops + "delete\ndetach\nquit\n"


def boot(mode: Mode, settings: dict[str, str], address: int, stops: int) -> tuple[str, str, list[int]]:
    """One run to its end: the console, why it ended early if it did, and the counter at each stop."""
    watched = shutil.which("gdb") is not None
    port = free_port()
    settings = {
        "RUST_BUILD_MODE": "release", "UEFI": "off", "SMP": mode.cpus, "MEM": f"{MEMORY_BYTES >> 30}G", "QEMU_EXTRA": mode.qemu,
        "ACCEL": "tcg" if mode.counting else "auto", **({"RUN_QEMU_GDB": "yes", "GDB_PORT": str(port)} if watched else {}), **settings,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-", dir=TOP / "build") as work:
        script, console, seen = (pathlib.Path(work, name) for name in ("gdb", "console", "stops"))
        script.write_text(watch_script(port, address, stops), encoding="utf-8")
        why, started = "", []
        with console.open("wb") as out, seen.open("wb") as stops_out:
            run = sessions.start(
                [str(TOP / "tools/run")], cwd=TOP, env=clean_environment(settings), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
            started.append(run)
            try:
                if watched:
                    started.append(
                        sessions.start(
                            ["gdb", "-nx", "-batch", "-x", str(script)], stdin=subprocess.DEVNULL, stdout=stops_out, stderr=subprocess.DEVNULL
                        )
                    )
                status = run.wait(mode.timeout_s)
                # Russet's status also tells of rows that were killed; those are told by their own lines.
                why = f"the machine ended with status {status}" if status > 1 else ""
            except subprocess.TimeoutExpired:
                why = f"no end after {mode.timeout_s} s"
            finally:
                for process in started:
                    sessions.end(process)
        ticks = [int(text) for text in re.findall(r"^entry ticks (\d+)$", seen.read_text(errors="replace"), re.MULTILINE)]
        return plain(console.read_text(encoding="utf-8", errors="replace")), why, ticks


def make_large_image() -> None:
    """The image with a large file, made anew when the other one is newer."""
    source = TOP / "build/ext2.img"
    if LARGE_IMAGE.exists() and LARGE_IMAGE.stat().st_mtime > source.stat().st_mtime:
        return
    sbin = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    with tempfile.TemporaryDirectory(prefix="bench-image-", dir=TOP / "build") as work:
        image, big = pathlib.Path(work, "image"), pathlib.Path(work, "big")
        shutil.copyfile(source, image)
        os.truncate(image, LARGE_IMAGE_BYTES)
        chance = random.Random(1)
        big.write_bytes(b"".join(chance.randbytes(1 << 20) for _ in range(LARGE_FILE_BYTES >> 20)))
        for command in (["resize2fs", str(image)], ["debugfs", "-w", "-R", f"write {big} big", str(image)]):
            subprocess.run(command, env=sbin, check=True, capture_output=True)
        image.rename(LARGE_IMAGE)


@contextlib.contextmanager
def image_for(mode: Mode) -> Iterator[dict[str, str]]:
    """What to set so that a boot has an image of its own for the mode's rows."""
    if not mode.disk:
        yield {}
        return
    make_large_image()
    with tempfile.TemporaryDirectory(prefix="bench-disk-", dir=TOP / "build") as work:
        copy = pathlib.Path(work, "image")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(LARGE_IMAGE), str(copy)], check=True)
        yield {"DISK": str(copy)}


def run_russet(mode: Mode, names: list[str]) -> Figures:
    """One boot of Russet."""
    flag = "-i " if mode.counting else ""
    commands = "; ".join(["mount 2", *(f"exec /bin/bench {flag}{name}" for name in names), "exit"])
    if len(commands) > CMDLINE_MAX_BYTES:
        raise ValueError(f"{len(names)} rows make a command line of {len(commands)} bytes")
    # ELF-64: e_entry lies 24 bytes into the file.
    (entry,) = struct.unpack_from("<Q", KERNEL.read_bytes(), 24)
    with image_for(mode) as image:
        console, why, ticks = boot(mode, {"CMDLINE": commands, **image}, entry, 1)
    if mode.disk:
        return read_console(console, names, why)
    return derive(read_console(console, names, why), MEMORY_BYTES, ticks[0] if ticks else None, mode.counting)


def run_linux(mode: Mode, names: list[str], linux) -> Figures:
    """One boot of Linux; its first program prints the row `start`."""
    rest = [name for name in names if name != "start"]
    with tempfile.TemporaryDirectory(prefix="bench-linux-", dir=TOP / "build") as work:
        iso = pathlib.Path(work, "linux.iso")
        linux.make_iso(iso, rest, mode.counting)
        # Its decompressor is entered first, at the same address as then the kernel.
        with image_for(mode) as image:
            console, why, ticks = boot(mode, {"ISO": str(iso), **image}, linux.entry_address, 2)
    if mode.disk:
        return read_console(console, names, why)
    return derive(read_console(console, names, why), MEMORY_BYTES, ticks[1] if len(ticks) == 2 else None, mode.counting)
