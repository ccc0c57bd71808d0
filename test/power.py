"""Power cuts by the record of a whole run: QEMU keeps every write and flush of a disk, and each state that the disk may
have been in when the power went is repaired and looked through. What fsync(2) had promised by then is there and whole."""

import os
import pathlib
import random
import re
import shutil
import struct
import subprocess

from harness.console import boot
from harness.plan import OUT, Context, Test

SECONDS = 900
NEEDS = ("build/release", "build/disk")
SECTOR = 512
# The record's layout is that of Linux's dm-log-writes: a sector that says what it is, then entries of a sector and their data.
LOG_MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
# Processes that write at once, and files of each.
WRITERS, FILES = 4, 12
# Moments for each file system; `POWER_CUTS` in the environment takes more.
CUTS = int(os.environ.get("POWER_CUTS") or 120)


class Record:
    """Writes and flushes of a run, in the order in which the disk ended them."""

    def __init__(self, path: pathlib.Path) -> None:
        self.data = path.read_bytes()
        magic, version, count, sector_len = struct.unpack_from("<QQQI", self.data)
        if (magic, version, sector_len) != (LOG_MAGIC, 1, SECTOR):
            raise ValueError(f"{path}: no record of writes")
        self.entries: list[tuple[int, int, int, int]] = []
        at = SECTOR
        for _ in range(count):
            sector, sectors, flags, _ = struct.unpack_from("<QQQQ", self.data, at)
            at += SECTOR
            self.entries.append((flags, sector * SECTOR, at, sectors * SECTOR))
            if not flags & DISCARD:
                at += sectors * SECTOR

    def flushes(self) -> int:
        """How many there are."""
        return sum(bool(flags & FLUSH) for flags, *_ in self.entries)

    def cut(self, start: bytes, moment: int, numbers: random.Random) -> bytearray:
        """The disk, which began as `start`, if the power goes after `moment` entries: what was not flushed by then may be
        there or not, each write by itself."""
        flushed = max((index for index in range(moment) if self.entries[index][0] & FLUSH), default=0)
        share = numbers.choice((0, 0.5, 0.9, 1))
        image = bytearray(start)
        for index, (flags, place, at, length) in enumerate(self.entries[:moment]):
            if index <= flushed or flags & FUA or numbers.random() < share:
                image[place : place + length] = self.data[at : at + length]
        return image


def content(writer: int, number: int) -> bytes:
    """What file `number` of `writer` holds."""
    return "".join(f"{value}\n" for value in range(number, number + 500 * (writer + 1) + 1)).encode()


def script() -> str:
    """Writes files, each of which is promised, in a file of promises, once fsync(2) has returned; every third is removed
    again, or replaced by a rename."""
    b = "/bin/busybox"
    safe = f"{b} dd if=/dev/null conv=notrunc,fsync 2>/dev/null of"
    loop = (
        f"i=0; while [ $i -lt {FILES} ]; do i=$((i+1)); {b} seq $i $((i+500*(w+1))) >/tmp/w$w-$i.new; {safe}=/tmp/w$w-$i.new; "
        f"{b} mv /tmp/w$w-$i.new /tmp/w$w-$i; {safe}=/tmp/w$w-$i || exit 1; echo $i >>/tmp/promised-$w; {safe}=/tmp/promised-$w; "
        f"{b} seq 1 3000 >/tmp/w$w-extra; [ $((i%3)) != 0 ] || {b} rm /tmp/w$w-extra; done"
    )
    return f"for w in {' '.join(map(str, range(WRITERS)))}; do ({loop}) & done; wait"


def record(context: Context, image: pathlib.Path, smp: str) -> Record:
    """Runs the writers on a copy of the image, with the disk's writes recorded."""
    work, log = image.with_suffix(".work"), image.with_suffix(".writes")
    shutil.copyfile(image, work)
    with log.open("wb") as file:
        file.truncate(1 << 20)
    extra = (
        f"-blockdev driver=file,filename={work},node-name=plain -blockdev driver=file,filename={log},node-name=log "
        "-blockdev driver=blklogwrites,node-name=more,file=plain,log=log -device virtio-blk-pci,drive=more,disable-legacy=on,num-queues=4"
    )
    commands = f'mount 2; mount /dev/vdd /tmp; exec /bin/busybox sh -c "{script()}"; umount /tmp; exit'
    boot(context, commands, QEMU_EXTRA=extra, SMP=smp)
    found = Record(log)
    context.say(f"{len(found.entries)} entries, {found.flushes()} flushes")
    context.check(found.flushes() >= FILES, "there are hardly any flushes: the promises cannot be kept")
    work.unlink()
    log.unlink()
    return found


def kept(context: Context, files: dict[str, bytes], what: str) -> int:
    """How many files were promised; all of them must be there and whole."""
    total = 0
    for writer in range(WRITERS):
        # A line that is not whole was not promised yet.
        promised = re.findall(rb"^(\d+)\n", files.get(f"promised-{writer}", b""), re.MULTILINE)
        for number in map(int, promised):
            name = f"w{writer}-{number}"
            context.check(name in files, f"{what}: {name} was promised and is not there")
            context.check(files[name] == content(writer, number), f"{what}: {name} was promised and is not whole")
        total += len(promised)
    return total


def cut_and_repaired(make, repair, smp: str):
    """The test: `make` makes an empty file system, `repair` repairs one in a file and gives what it holds."""

    def run(context: Context) -> None:
        image = OUT / f"{context.test.name}.img"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.unlink(missing_ok=True)
        make(context, image)
        start = image.read_bytes()
        recorded = record(context, image, smp)
        numbers = random.Random(1)
        end = len(recorded.entries)
        most = 0
        for moment in [end, *sorted(numbers.randrange(end) for _ in range(CUTS))]:
            what = f"cut after {moment} of {end} entries"
            image.write_bytes(recorded.cut(start, moment, numbers))
            promised = kept(context, repair(context, image, what), what)
            most = max(most, promised)
            if moment == end:
                context.check(promised == WRITERS * FILES, f"only {promised} files were promised in the whole run")
        image.unlink()

    return run


def make_ext2(context: Context, image: pathlib.Path) -> None:
    """An empty ext2."""
    context.command(["/sbin/mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", str(image), "8M"])


def repaired_by(fsck: list[str], unpack):
    """A repair as at a start, which `fsck` does; what files there are then, which `unpack` brings into a directory."""

    def repair(context: Context, image: pathlib.Path, what: str) -> dict[str, bytes]:
        done = subprocess.run([*fsck, str(image)], capture_output=True, text=True, check=False)
        context.say(f"{what}: {done.stdout}")
        context.check(done.returncode in (0, 1), f"{what}: {' '.join(fsck)}: {done.returncode}")
        tree = image.with_suffix(".tree")
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        unpack(image, tree)
        files = {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file()}
        shutil.rmtree(tree)
        return files

    return repair


def unpack_ext2(image: pathlib.Path, tree: pathlib.Path) -> None:
    """All of it."""
    subprocess.run(["/sbin/debugfs", "-R", f"rdump / {tree}", str(image)], capture_output=True, check=True)


def make_fat(bits: int, mib: int):
    """An empty FAT of this kind."""

    def make(context: Context, image: pathlib.Path) -> None:
        context.command(["/sbin/mkfs.fat", "-C", "-F", str(bits), "-s", "1", str(image), str(mib << 10)])

    return make


def unpack_fat(image: pathlib.Path, tree: pathlib.Path) -> None:
    """All files. That there are none is an error for mtools."""
    subprocess.run(["mcopy", "-n", "-i", str(image), "::*", str(tree)], capture_output=True, check=False)


repair_ext2 = repaired_by(["/sbin/e2fsck", "-fp"], unpack_ext2)
repair_fat = repaired_by(["/sbin/fsck.fat", "-a"], unpack_fat)


def tests() -> list[Test]:
    """All of this kind."""
    return [
        *(Test(f"power/ext2-{smp}", cut_and_repaired(make_ext2, repair_ext2, smp), SECONDS, needs=NEEDS) for smp in ("1", "4")),
        *(Test(f"power/fat-{bits}", cut_and_repaired(make_fat(bits, mib), repair_fat, "4"), SECONDS, needs=NEEDS) for bits, mib in ((16, 12), (32, 34))),
    ]
