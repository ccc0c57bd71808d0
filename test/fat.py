"""FAT file systems made by mkfs.fat: the kernel reads and writes them, fsck.fat finds nothing, and the host's mtools see the
same files."""

import hashlib
import pathlib
import shutil
import subprocess

from harness.console import boot
from harness.plan import OUT, TOP, Context, Test

SECONDS = 400
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
MKFS, FSCK = "/sbin/mkfs.fat", "/sbin/fsck.fat"
# Kind of FAT, and MiB.
KINDS = {12: 12, 16: 24, 32: 64}


def image_of(context: Context, kind: int, size_mib: int) -> pathlib.Path:
    """An empty file system of this kind."""
    path = OUT / f"{context.test.name}.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size_mib << 20)
    context.command([MKFS, "-F", str(kind), "-n", "TESTDISK", str(path)])
    return path


def more_disk(image: pathlib.Path) -> str:
    """QEMU's arguments for one more disk: /dev/vdd."""
    return f"-drive if=none,id=more,format=raw,file={image} -device virtio-blk-pci,drive=more,disable-legacy=on"


def content(image: pathlib.Path, path: str) -> bytes:
    """A file of the image, by mtools."""
    return subprocess.run(["mtype", "-i", str(image), f"::{path}"], capture_output=True, check=True).stdout


def listing(image: pathlib.Path) -> set[str]:
    """The paths of all files and directories of the image, by mtools, for which an empty one is an error."""
    text = subprocess.run(["mdir", "-/", "-b", "-i", str(image), "::"], capture_output=True, text=True, check=False).stdout
    return {line.removeprefix("::/") for line in text.splitlines()}


def shipped_image(context: Context) -> None:
    """Device 1 is mounted by its number, in any case of its names; the content is what the host put there."""
    block = "; ".join(["fat bios 1", "fat bios 2", "fat bios 9", "fat label 1"])
    commands = f"{block}; mount 2; mount 1 /tmp; mount; ls /tmp; cat /tmp/SHORT.txt; exec /bin/busybox sha256sum /tmp/Long.TXT; exit 0"
    result = boot(context, commands)
    digest = hashlib.sha256(b"Rust is cool!" * 1000).hexdigest()
    result.wants(
        r"^volume label: +RUSSET$", r"^so it is: +FAT32, \d+ clusters of 512 bytes$", r"^fat: 2: BPB .*$", r"^fat: 9: .*$",
        r"^fat: label: .*$", r"^/dev/vdb +/tmp +vfat +read-write,relatime$", r"^long\.txt$", r"^short\.txt$", rf"^{digest}  /tmp/Long\.TXT$",
        *[rf"^{line}$" for line in (TOP / "disk/fat/short.txt").read_text(encoding="utf-8").splitlines()],
    )  # fmt: skip


def program(kind: int, **settings: str):
    """The C program about FATs."""

    def run(context: Context) -> None:
        image = image_of(context, kind, KINDS[kind])
        result = boot(context, "mount 2; exec /tests/fat /dev/vdd /tmp; exit", QEMU_EXTRA=more_disk(image), **settings)
        result.wants(r"^[1-9]\d* passed, 0 failed$")
        context.command([FSCK, "-n", str(image)])
        context.check(listing(image) == set(), f"files were left: {listing(image)}")
        image.unlink()

    return run


def written_tree(kind: int, **settings: str):
    """Programs make, change and remove files and directories, two at once; the host finds what they left."""

    def run(context: Context) -> None:
        image = image_of(context, kind, KINDS[kind])
        subprocess.run(["mmd", "-i", str(image), "::From the host"], check=True)
        commands = [
            "mount 2", "mount /dev/vdd /tmp", "$ cp -r /tests/faults /tests/files /tmp", "mv /tmp/files '/tmp/From the host'",
            "$ dd if=/bin/busybox of=/tmp/big bs=5000 count=100", "$ dd if=/bin/busybox of=/tmp/big bs=1000 seek=700 count=20 conv=notrunc",
            "$ truncate -s 123457 /tmp/Cut", "$ sh -c 'echo one > /tmp/appended.txt; echo two >> /tmp/APPENDED.TXT'", "rm -r /tmp/faults",
            "$ mkdir -p /tmp/a/b/c", "$ rmdir /tmp/a/b/c", "$ sh -c 'for i in 1 2 3; do cp /hello.txt /tmp/a/copy-number-$i.text; done'",
            "$ sh -c '(cp /bin/busybox /tmp/a/b/one) & cp /bin/busybox /tmp/a/b/two; wait'", "$ rm /tmp/A/Copy-Number-2.TEXT", "$ df /tmp",
            "umount /tmp", "mount /dev/vdd /tmp", "$ cat /tmp/appended.txt", "$ cmp /bin/busybox /tmp/a/b/one", "exit",
        ]  # fmt: skip
        commands = [command.replace("$ ", "exec /bin/busybox ") for command in commands]
        result = boot(context, "; ".join(commands), QEMU_EXTRA=more_disk(image), **settings)
        result.wants(r"^/dev/vdd .* /tmp$", r"^one$", r"^two$")
        context.command([FSCK, "-n", str(image)])
        context.check(listing(image) == TREE, f"not the names that were made: {listing(image) ^ TREE}")
        busybox = pathlib.Path(shutil.which("busybox") or "busybox").read_bytes()
        hello = (TOP / "disk/ext2/hello.txt").read_bytes()
        big = bytearray(busybox[:500_000].ljust(720_000, b"\0"))
        big[700_000:720_000] = busybox[:20_000]
        wanted = {
            "big": bytes(big), "Cut": bytes(123_457), "appended.txt": b"one\ntwo\n", "a/b/one": busybox, "a/b/two": busybox,
            "a/copy-number-1.text": hello, "From the host/files": (TOP / "build/user/root/tests/files").read_bytes(),
        }  # fmt: skip
        for path, expected in wanted.items():
            context.check(content(image, path) == expected, f"{path} does not hold what was written")
        image.unlink()

    return run


# What written_tree leaves; directories end with a slash.
TREE = {
    "From the host/", "From the host/files", "big", "Cut", "appended.txt", "a/", "a/b/", "a/copy-number-1.text", "a/copy-number-3.text",
    "a/b/one", "a/b/two",
}  # fmt: skip


def broken(context: Context) -> None:
    """A boot sector that says impossible things is refused by name; the kernel goes on."""
    image = image_of(context, 16, 24)
    with image.open("r+b") as file:
        file.seek(16)
        file.write(b"\x07")
    result = boot(context, "mount /dev/vdd /tmp; mount 2; cat /hello.txt; exit 0", QEMU_EXTRA=more_disk(image))
    result.wants(r"^mount: /dev/vdd: .*BPB fat_count must be 1 or 2$")
    image.unlink()


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("fat/shipped-image", shipped_image, SECONDS, needs=NEEDS),
        *(Test(f"fat/program-{kind}", program(kind), SECONDS, needs=NEEDS) for kind in KINDS),
        Test("fat/program-debug", program(32, RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        *(Test(f"fat/written-tree-{kind}", written_tree(kind), SECONDS, needs=NEEDS) for kind in KINDS),
        Test("fat/written-tree-debug", written_tree(16, RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("fat/broken", broken, SECONDS, needs=NEEDS),
    ]
