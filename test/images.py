"""Disk images: a run leaves the file system clean by e2fsck's judgement, and broken images are refused in words."""

import hashlib
import pathlib
import random
import re
import shutil
import struct
from collections.abc import Callable

from harness.console import boot
from harness.plan import OUT, TOP, Context, Failure, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")
E2FSCK, DEBUGFS = "/sbin/e2fsck", "/sbin/debugfs"

# The superblock begins 1024 bytes into the image; its fields as in the ext2 documentation.
SUPERBLOCK, S_MAGIC, S_FEATURE_INCOMPAT = 1024, 56, 96


def image_for(context: Context) -> pathlib.Path:
    """A copy of the ext2 image that is the test's own."""
    path = OUT / f"{context.test.name}.img"
    shutil.copyfile(TOP / "build/ext2.img", path)
    return path


def clean_after_run(context: Context) -> None:
    """Programs ran from it, and e2fsck finds nothing."""
    image = image_for(context)
    boot(context, "mount 2; cat /hello.txt; exec /bin/hello; exec 4 /bin/primes 15000; exit", DISK=str(image))
    context.command([E2FSCK, "-fn", str(image)])
    image.unlink()


def runs_do_not_leak(context: Context) -> None:
    """A run works on copies: the images that `make disk` made keep their bytes."""
    before = [(TOP / f"build/{name}.img").stat().st_mtime_ns for name in ("fat", "ext2")]
    boot(context, "mount 2; exec /bin/hello; exit")
    after = [(TOP / f"build/{name}.img").stat().st_mtime_ns for name in ("fat", "ext2")]
    context.check(before == after, "the run wrote to build/*.img")


def poke(offset: int, layout: str, value: int) -> Callable[[Context, pathlib.Path], None]:
    """Overwrites one little-endian field of the image."""

    def change(_: Context, image: pathlib.Path) -> None:
        with image.open("r+b") as file:
            file.seek(offset)
            file.write(struct.pack("<" + layout, value))

    return change


def block_outside(context: Context, image: pathlib.Path) -> None:
    """Lets the first block of /hello.txt lie outside the disk."""
    context.command([DEBUGFS, "-w", "-R", "set_inode_field /hello.txt block[0] 0x7fffffff", str(image)])


def refused(commands: str, pattern: str, change: Callable[[Context, pathlib.Path], None]):
    """With a broken image the commands show an error that names the field; the run then fails, without a panic."""

    def run(context: Context) -> None:
        image = image_for(context)
        change(context, image)
        result = boot(context, f"{commands}; exit", status=None, DISK=str(image))
        result.wants(pattern)
        if result.status != 1:
            raise Failure(f"`exit` after a failed command ended with status {result.status}, not 1")
        image.unlink()

    return run


MUTANTS, MUTANTS_PER_BOOT = 200, 50
# Where the image of `sound_ext2` has what, and how often each place is hit: superblock, group descriptors, bitmaps and
# inodes, directories and pointers of the first files, anything.
EXT2_REGIONS = [(1024, 1024 + 264, 1), (2048, 2048 + 32, 1), (3072, 5120, 2), (5120, 5120 + 24 * 256, 8), (5120 + 64 * 256, 64 * 1024, 8), (1024, None, 4)]


def mutant(sound: bytes, regions: list[tuple[int, int | None, int]], seed: int) -> bytes:
    """The image with some of its bytes changed, most of them where they mean something; the same for the same seed."""
    numbers = random.Random(seed)
    image = bytearray(sound)
    for _ in range(numbers.randrange(1, 12)):
        start, end, _ = regions[numbers.choices(range(len(regions)), weights=[weight for *_, weight in regions])[0]]
        at = numbers.randrange(start, (end or len(image)) - 4)
        match numbers.randrange(4):
            case 0:
                image[at] ^= 1 << numbers.randrange(8)
            case 1:
                image[at] = numbers.randrange(256)
            case 2:
                image[at : at + 4] = struct.pack("<I", numbers.choice([0, 1, 2, 11, 0x7FFFFFFF, 0xFFFFFFFF, numbers.randrange(1024)]))
            case _:
                image[at : at + 2] = struct.pack("<H", numbers.choice([0, 1, 4, 12, 0xFFFF, numbers.randrange(4096)]))
    return bytes(image)


def write_sparse(path: pathlib.Path, content: bytes) -> None:
    """A file that takes no space for its zeros."""
    step = 4096
    zeros = bytes(step)
    with path.open("wb") as file:
        file.truncate(len(content))
        for at in range(0, len(content), step):
            if (part := content[at : at + step]) != zeros[: len(part)]:
                file.seek(at)
                file.write(part)


def source_tree(tree: pathlib.Path) -> None:
    """What the sound images are made of."""
    (tree / "directory/below").mkdir(parents=True)
    for number in range(30):
        (tree / f"directory/file{number}").write_bytes(bytes([number]) * (number * 311))
    (tree / "large").write_bytes(bytes(range(256)) * 400)


def sound_ext2(context: Context, base: pathlib.Path) -> tuple[bytes, list[tuple[int, int | None, int]]]:
    """An ext2 and its regions."""
    tree, sound = base / "tree", base / "sound.img"
    source_tree(tree)
    (tree / "link").symlink_to("directory/below")
    (tree / "long-link").symlink_to("x" * 200)
    context.command(["/sbin/mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-I", "256", "-N", "96", "-d", str(tree), str(sound), "600k"])
    context.command([DEBUGFS, "-w", "-R", "ea_set /large user.short value", str(sound)])
    return sound.read_bytes(), EXT2_REGIONS


def sound_fat(bits: int, kib: int):
    """A FAT of this kind, and its regions: boot sector, the FATs, directories and first files, anything."""

    def make(context: Context, base: pathlib.Path) -> tuple[bytes, list[tuple[int, int | None, int]]]:
        tree, sound = base / "tree", base / "sound.img"
        source_tree(tree)
        (tree / "directory/A name that is longer than that of others.text").write_text("text", encoding="ascii")
        context.command(["/sbin/mkfs.fat", "-C", "-F", str(bits), "-s", "1", str(sound), str(kib)])
        names = sorted(path.name for path in tree.iterdir())
        context.command(["mcopy", "-s", "-i", str(sound), *(str(tree / name) for name in names), "::"])
        content = sound.read_bytes()
        reserved, count = struct.unpack_from("<H", content, 14)[0], content[16]
        length = struct.unpack_from("<H", content, 22)[0] or struct.unpack_from("<I", content, 36)[0]
        fats, end = reserved * 512, (reserved + count * length) * 512
        return content, [(0, 90, 2), (fats, fats + 600, 6), (fats, end, 2), (end, end + 40 * 512, 8), (0, None, 3)]

    return make


def mutants(make, total: int):
    """Damaged images, many in one boot, are mounted, walked and changed; errors are all right, a panic or a hang is not."""

    def run(context: Context) -> None:
        base = OUT / context.test.name
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        content, regions = make(context, base)
        mounted = 0
        for first in range(0, total, MUTANTS_PER_BOOT):
            extra, names = [], []
            for number in range(MUTANTS_PER_BOOT):
                image = base / f"seed-{first + number}.img"
                write_sparse(image, mutant(content, regions, first + number))
                extra.append(f"-drive if=none,id=m{number},format=raw,file={image} -device virtio-blk-pci,drive=m{number},disable-legacy=on")
                # Several functions share a slot, of which there are few.
                extra[-1] += f",addr={8 + number // 8:#x}.{number % 8},multifunction=on"
                letters = [chr(ord("a") + index) for index in range(26)]
                index = number + 3
                names.append("/dev/vd" + (letters[index] if index < 26 else letters[index // 26 - 1] + letters[index % 26]))
            commands = f"mount 2; exec /tests/mutants /tmp {' '.join(names)}; cat /hello.txt; exit"
            result = boot(context, commands, QEMU_EXTRA=" ".join(extra))
            result.wants(r"^Hello, world!$")
            counts = re.findall(rf"^{MUTANTS_PER_BOOT} images, (\d+) of them mounted, (\d+) entries$", result.console, re.MULTILINE)
            context.check(len(counts) == 1, f"seeds from {first} on: the walk did not come to its end")
            mounted += int(counts[0][0])
        context.check(mounted > total // 2, f"only {mounted} of {total} could be mounted: the damage is too great to show anything")
        shutil.rmtree(base)

    return run


def ext4(context: Context) -> None:
    """An ext4 as mke2fs makes it is mounted to be read, and shows the files that it was made of; one whose journal is to be
    replayed is refused."""
    image = OUT / f"{context.test.name}.img"
    image.parent.mkdir(parents=True, exist_ok=True)
    source = TOP / "build/user/root"
    context.command(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", str(source), str(image), "64M"])
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    dirty = image.with_suffix(".dirty")
    shutil.copyfile(image, dirty)
    poke(SUPERBLOCK + S_FEATURE_INCOMPAT, "I", 0x2C6)(context, dirty)
    extra = " ".join(
        f"-drive if=none,id={name},format=raw,file={path} -device virtio-blk-pci,drive={name},disable-legacy=on"
        for name, path in (("sound", image), ("dirty", dirty))
    )
    commands = (
        "mount 2; mount /dev/vdd /tmp; mount; exec /bin/busybox sh -c 'cd /tmp; find . -type f -exec sha256sum {} +'; exec /tmp/bin/hello;"
        "exec /bin/busybox touch /tmp/new; umount /tmp; exec /bin/busybox mount -t ext4 -o ro /dev/vdd /tmp; ls /tmp; umount /tmp; mount /dev/vde /tmp; exit 0"
    )
    result = boot(context, commands, QEMU_EXTRA=extra)
    files = [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]
    wanted = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(source)}" for path in files]
    result.wants(
        r"^/dev/vdd +/tmp +ext4 +read-only,relatime$", r"^touch: /tmp/new: Read-only file system$", r"^mount: /dev/vde: .*needs_recovery", r"^bin$",
        *[rf"^{re.escape(line)}$" for line in wanted],
    )  # fmt: skip
    context.check(hashlib.sha256(image.read_bytes()).hexdigest() == before, "the image was written to")
    image.unlink()
    dirty.unlink()


def tests() -> list[Test]:
    """All of this kind."""
    magic = poke(SUPERBLOCK + S_MAGIC, "H", 0x1234)
    feature = poke(SUPERBLOCK + S_FEATURE_INCOMPAT, "I", 0x8000_0002)
    return [
        Test("images/clean-after-run", clean_after_run, SECONDS, needs=NEEDS),
        Test("images/runs-do-not-leak", runs_do_not_leak, SECONDS, needs=NEEDS),
        Test("images/ext2-bad-magic", refused("mount 2", r"(?i)mount: .*magic", magic), SECONDS, needs=NEEDS),
        Test("images/ext2-unknown-feature", refused("mount 2", r"(?i)mount: .*incompat", feature), SECONDS, needs=NEEDS),
        Test("images/mutants", mutants(sound_ext2, MUTANTS), SECONDS, needs=NEEDS),
        *(Test(f"images/mutants-fat{bits}", mutants(sound_fat(bits, kib), MUTANTS // 4), SECONDS, needs=NEEDS) for bits, kib in ((12, 400), (16, 3000), (32, 34000))),
        Test("images/ext4", ext4, SECONDS, needs=NEEDS),
        Test("images/ext2-block-outside", refused("mount 2; cat /hello.txt", r"(?i)cat: .*hello\.txt", block_outside), SECONDS, needs=NEEDS),
    ]
