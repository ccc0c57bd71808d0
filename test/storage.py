"""What the kernel writes to disks: the same files are there afterwards, e2fsck finds nothing, and a loss of power, a full
disk or a failing one loses nothing that was promised."""

import filecmp
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness.console import PROMPT, Terminal, boot
from harness.plan import OUT, TOP, Context, Failure, Test

SECONDS = 500
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")
E2FSCK, DEBUGFS, DUMPE2FS, MKE2FS = "/sbin/e2fsck", "/sbin/debugfs", "/sbin/dumpe2fs", "/sbin/mke2fs"


def image_for(context: Context) -> pathlib.Path:
    """A copy of the ext2 image that is the test's own."""
    path = OUT / f"{context.test.name}.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TOP / "build/ext2.img", path)
    return path


def check_clean(context: Context, image: pathlib.Path) -> None:
    """e2fsck finds nothing, and nothing of the mount's journal is left."""
    context.command([E2FSCK, "-fn", str(image)])
    features = subprocess.run([DUMPE2FS, "-h", str(image)], capture_output=True, text=True, check=True).stdout
    context.check("has_journal" not in features, "the journal is still there after the unmount")


def dump(image: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """All files of the image, taken out by debugfs."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    subprocess.run([DEBUGFS, "-R", f"rdump / {directory}", str(image)], capture_output=True, check=True)
    return directory


def differences(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """Names that are in one tree only or hold something else there."""
    compared = filecmp.dircmp(one, other, ignore=[])
    wrong = [str(one / name) for name in compared.left_only + compared.right_only + compared.funny_files]
    same = [name for name in compared.common_files if not (one / name).is_symlink()]
    _, mismatched, errors = filecmp.cmpfiles(one, other, same, shallow=False)
    wrong += [str(one / name) for name in mismatched + errors]
    for name in compared.common_dirs:
        wrong += differences(one / name, other / name)
    return wrong


def written_tree(**settings: str):
    """The shell and programs, several at once, make a tree; the host does the same to a copy of the image's source."""

    def run(context: Context) -> None:
        image = image_for(context)
        commands = [
            "mount 2", "mkdir /new /new/sub", "write-to-file /new/a one two", "mv /new/a /new/sub", "rm -r /nested-dir",
            "exec /bin/busybox cp -r /tests /new/tests", "exec /bin/busybox mv /new/tests/bad /new/worse",
            "exec /tests/files /root", "exec 4 /tests/files /root shared", "exec /bin/busybox dd if=/bin/busybox of=/new/big bs=5000 seek=3000",
            "exec /bin/busybox truncate -s 1234567 /new/cut", "exec /bin/busybox ln /hello.txt /new/link", "sync", "df", "exit",
        ]  # fmt: skip
        result = boot(context, "; ".join(commands), DISK=str(image), **settings)
        context.check(result.count(r"^[1-9]\d* passed, 0 failed$") == 5, "not all five instances of files passed")
        check_clean(context, image)
        wanted = OUT / f"{context.test.name}.wanted"
        shutil.rmtree(wanted, ignore_errors=True)
        dump(TOP / "build/ext2.img", wanted)
        mirror(wanted)
        wrong = differences(dump(image, OUT / f"{context.test.name}.found"), wanted)
        if wrong:
            raise Failure(f"the trees differ: {wrong[:10]}")
        shutil.rmtree(wanted)
        shutil.rmtree(OUT / f"{context.test.name}.found")
        image.unlink()

    return run


def mirror(tree: pathlib.Path) -> None:
    """What the commands of `written_tree` do, done by the host."""
    new = tree / "new"
    (new / "sub").mkdir(parents=True)
    (new / "sub/a").write_text("one two\n", encoding="ascii")
    shutil.rmtree(tree / "nested-dir")
    shutil.copytree(tree / "tests", new / "tests")
    (new / "tests/bad").rename(new / "worse")
    with (new / "big").open("wb") as file:
        file.seek(5000 * 3000)
        file.write((tree / "bin/busybox").read_bytes())
    with (new / "cut").open("wb") as file:
        file.truncate(1234567)
    shutil.copyfile(tree / "hello.txt", new / "link")


def power_cut(context: Context) -> None:
    """Power is lost in the middle of writing, several times over; what was synced is there, whoever repairs."""
    image = image_for(context)
    for turn in range(6):
        with Terminal(context, DISK=str(image)) as machine:
            machine.expect(re.escape(PROMPT))
            machine.command("mount 2")
            for earlier in range(turn):
                machine.command(f"cat /kept{earlier}", rf"^kept in turn {earlier}$")
            machine.command(f"write-to-file /kept{turn} kept in turn {turn}")
            machine.command("sync")
            machine.type(f"exec /bin/busybox cp -r /tests /lost{turn}\n")
            machine.read(0.02 * turn)
        if turn % 2 == 0:
            context.command([E2FSCK, "-fp", str(image)], status=None)
            context.check(context.status in (0, 1), f"e2fsck -p ended with status {context.status}")
    boot(context, "mount 2; ls /; exit", DISK=str(image)).wants(*(rf"^kept{turn}$" for turn in range(6)))
    check_clean(context, image)
    image.unlink()


def second_disk(image: pathlib.Path, *, options: str = "", file: str | None = None) -> str:
    """QEMU's arguments for one more disk: number 3 for the shell."""
    drive = f"if=none,id=more,format=raw,file={file or image}{options}"
    return f"-drive {drive} -device virtio-blk-pci,drive=more,disable-legacy=on"


def small_image(context: Context, size: str, *options: str) -> pathlib.Path:
    """An empty ext2."""
    image = OUT / f"{context.test.name}.img"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    context.command([MKE2FS, "-q", "-F", "-t", "ext2", *options, str(image), size])
    return image


def full_disk(context: Context) -> None:
    """A full disk says so, and takes files again after a delete."""
    image = small_image(context, "8M", "-b", "1024")
    commands = [
        "mount 2", "mount 3 /tmp", "exec /bin/busybox dd if=/dev/zero of=/tmp/fill bs=64k", "write-to-file /tmp/more more",
        "rm /tmp/fill", "write-to-file /tmp/after after all", "cat /tmp/after", "umount /tmp", "exit 0",
    ]  # fmt: skip
    result = boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image))
    result.wants(r"No space left on device", r"^after all$")
    check_clean(context, image)
    image.unlink()


def limits(size: str, inodes: int, argument: str):
    """What is large in a file system, or what comes when its inodes are used up: it is whole afterwards."""

    def run(context: Context) -> None:
        image = small_image(context, size, "-b", "1024", "-N", str(inodes))
        commands = f"mount 2; mount 3 /tmp; exec /tests/limits /tmp {argument}; umount /tmp; exit 0"
        boot(context, commands, QEMU_EXTRA=second_disk(image)).wants(r"^[1-9]\d* passed, 0 failed$")
        check_clean(context, image)
        image.unlink()

    return run


def mapped(block_size: str):
    """Files that are mapped while they are cut, punched, written and written back; what was stored is there after the
    disk has been unmounted and mounted anew."""

    def run(context: Context) -> None:
        image = small_image(context, "32M", "-b", block_size)
        commands = [
            "mount 2", "mount 3 /tmp", "mount tmpfs /root", "exec /tests/mapping /tmp", "exec /tests/mapping /root",
            "exec /tests/opening /tmp", "exec /tests/opening /root",
            "exec /tests/mapping /tmp fill", "umount /tmp", "mount 3 /tmp", "exec /tests/mapping /tmp compare", "umount /tmp", "exit",
        ]  # fmt: skip
        result = boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image), SMP="4")
        context.check(result.count(r"^[1-9]\d* passed, 0 failed$") == 6, "not all runs passed")
        check_clean(context, image)
        image.unlink()

    return run


def larger_than_memory(memory_mib: int, **settings: str):
    """A file larger than the memory is read through mappings, and some of it stored to: nobody is ended for want of memory."""

    def run(context: Context) -> None:
        size = memory_mib + 16
        image = small_image(context, f"{size + 16}M", "-b", "4096")
        commands = f"mount 2; mount 3 /tmp; exec /tests/reclaim /tmp/large {size}; mem; umount /tmp; exit"
        result = boot(context, commands, QEMU_EXTRA=second_disk(image), MEM=f"{memory_mib}M", **settings)
        result.wants(r"^[1-9]\d* passed, 0 failed$")
        for log in (result.console, context.com2_path.read_text(encoding="utf-8", errors="replace")):
            context.check("out of memory" not in log, "a process was ended for want of memory")
        check_clean(context, image)
        image.unlink()

    return run


def attributes(inode_size: str):
    """Extended attributes on the disk and in memory; what is left on the disk debugfs sees, and what that adds is found."""

    def run(context: Context) -> None:
        image = small_image(context, "16M", "-b", "1024", "-I", inode_size)
        commands = "mount 2; mount 3 /tmp; mount tmpfs /root; exec /tests/xattr /tmp; exec /tests/xattr /root; exec /tests/xattr /tmp leave; umount /tmp; exit"
        result = boot(context, commands, QEMU_EXTRA=second_disk(image), SMP="4")
        context.check(result.count(r"^[1-9]\d* passed, 0 failed$") == 3, "not all runs passed")
        check_clean(context, image)
        seen = context.command([DEBUGFS, "-R", "ea_list /left", str(image)])
        seen += context.command([DEBUGFS, "-R", "ea_list /left-directory", str(image)])
        for wanted in ('user.short (5) = "value"', "user.long (300)", 'trusted.d (1) = "d"'):
            context.check(wanted in seen, f"debugfs does not see {wanted}")
        context.command([DEBUGFS, "-w", "-R", "ea_set /left user.theirs abc", str(image)])
        result = boot(context, "mount 2; mount 3 /tmp; exec /tests/xattr /tmp find; umount /tmp; exit", QEMU_EXTRA=second_disk(image))
        result.wants(r"^[1-9]\d* passed, 0 failed$")
        check_clean(context, image)
        image.unlink()

    return run


def mounts(**settings: str):
    """Bind mounts, ways of unmounting and times of reads, on the disk and in memory, by mount(2) and by the shell."""

    def run(context: Context) -> None:
        image = small_image(context, "16M", "-b", "1024")
        commands = [
            "mount 2", "mount -o strictatime 3 /tmp", "mount tmpfs /root", "exec /tests/mounts /tmp", "exec /tests/mounts /root",
            "write-to-file /tmp/kept kept", "mkdir /tmp/shown", "mount -o bind /tmp/shown /root", "mount -o remount,noatime,nodiratime /tmp",
            "mount", "umount /root", "mount -o remount,ro /tmp", "mount", "mount -o lazytime 3 /root", "umount /tmp", "exit 0",
        ]  # fmt: skip
        result = boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image), SMP="4", **settings)
        context.check(result.count(r"^[1-9]\d* passed, 0 failed$") == 2, "not both runs passed")
        result.wants(
            r"^/dev/vdd +/tmp +ext2 +read-write,noatime,nodiratime$", r"^/dev/vdd +/root +ext2 +read-write$",
            r"^/dev/vdd +/tmp +ext2 +read-only,noatime,nodiratime$", r"^mount: lazytime: no option",
        )  # fmt: skip
        check_clean(context, image)
        image.unlink()

    return run


def watched(**settings: str):
    """Events of files on the disk and in memory."""

    def run(context: Context) -> None:
        image = small_image(context, "16M", "-b", "1024")
        commands = "mount 2; mount 3 /tmp; mount tmpfs /root; exec /tests/inotify /tmp; exec /tests/inotify /root; umount /tmp; exit"
        result = boot(context, commands, QEMU_EXTRA=second_disk(image), SMP="4", **settings)
        context.check(result.count(r"^[1-9]\d* passed, 0 failed$") == 2, "not both runs passed")
        check_clean(context, image)
        image.unlink()

    return run


def access_times(context: Context) -> None:
    """When files were read reaches the disk, also of those that were forgotten meanwhile."""
    image = small_image(context, "16M", "-b", "1024")
    busybox = "exec /bin/busybox"
    names = " ".join(f"/tmp/f{number}" for number in range(60))
    commands = [
        "mount 2", "mount 3 /tmp", f"{busybox} touch -d 2001-02-03 {names}", "sync", f"{busybox} cat {names}", "umount /tmp", "exit",
    ]  # fmt: skip
    boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image))
    check_clean(context, image)
    for number in (0, 30, 59):
        about = context.command([DEBUGFS, "-R", f"stat /f{number}", str(image)])
        context.check(re.search(r"mtime: .* 2001\b", about) is not None, f"f{number} was not made as it should be")
        context.check(re.search(r"atime: .* 20[2-9]\d\b", about) is not None, f"the read of f{number} is not on the disk")
    image.unlink()


def churn(block_size: str, seed: int, operations: int):
    """Four processes do random operations on files at once, `operations` in all, on four CPUs and here: every call and the
    whole tree must come out the same, also after the disk has been mounted anew."""
    each = str(operations // 4)

    def run(context: Context) -> None:
        image = small_image(context, "128M", "-b", block_size)
        commands = [
            "mount 2", "mount 3 /tmp", f"exec /tests/churn /tmp {seed} {each} 4", "exec /bin/busybox rmdir /tmp/lost+found",
            "exec /tests/churn /tmp tree", "umount /tmp", "mount 3 /tmp", "exec /tests/churn /tmp tree", "umount /tmp", "exit",
        ]  # fmt: skip
        result = boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image), SMP="4")
        with tempfile.TemporaryDirectory(prefix="russet-churn-") as directory:
            program = str(TOP / "build/user/root/tests/churn")
            calls = context.command([program, directory, str(seed), each, "4"])
            tree = context.command([program, directory, "tree"])
        wanted = sorted(re.findall(r"^process \d+: .*$", calls, re.MULTILINE))
        found = sorted(re.findall(r"^process \d+: .*$", result.console, re.MULTILINE))
        context.check(found == wanted, f"seed {seed}: calls gave {found}, not {wanted}")
        wanted = re.findall(r"^tree: .*$", tree, re.MULTILINE) * 2
        found = re.findall(r"^tree: .*$", result.console, re.MULTILINE)
        context.check(found == wanted, f"seed {seed}: trees {found}, not {wanted}")
        check_clean(context, image)
        image.unlink()

    return run


def removed_at_exit(context: Context) -> None:
    """Files that lose their names before they were ever written back leave nothing behind when the machine goes off, or
    when the disk is unmounted."""
    image = small_image(context, "32M", "-b", "4096")
    remove = "exec /bin/busybox sh -c 'b=/bin/busybox; for i in 1 2 3; do echo text >/tmp/$i; done; $b rm /tmp/1 /tmp/2 /tmp/3'"
    for end in ("exit 0", "umount /tmp; exit 0"):
        result = boot(context, f"mount 2; mount 3 /tmp; {remove}; {end}", QEMU_EXTRA=second_disk(image))
        result.wants(r"^/bin/busybox \[pid \d+\]: exit status 0$")
        check_clean(context, image)
    image.unlink()


def read_only_disk(context: Context) -> None:
    """A disk that cannot be written is mounted read-only, and says so to who tries."""
    image = small_image(context, "8M", "-b", "1024")
    before = image.read_bytes()
    commands = "mount 2; mount 3 /tmp; mount; mkdir /tmp/new; umount /tmp; exit 0"
    result = boot(context, commands, QEMU_EXTRA=second_disk(image, options=",readonly=on"))
    result.wants(r"/dev/vdd +/tmp +ext2 +read-only", r"^mkdir: /tmp/new: .*\(EROFS\)$")
    context.check(image.read_bytes() == before, "the image has changed")
    image.unlink()


def failing_disk(context: Context) -> None:
    """Writes that the disk refuses come back as EIO; the kernel and the other disks go on."""
    image = small_image(context, "32M", "-b", "4096")
    rules = image.with_suffix(".blkdebug")
    # Writes to one sector fail, which lies where the program's file is.
    rules.write_text('[inject-error]\nevent = "pwritev"\nerrno = "5"\nsector = "20000"\nonce = "off"\n', encoding="ascii")
    commands = [
        "mount 2", "mount 3 /tmp", "exec /bin/busybox dd if=/dev/zero of=/tmp/fill bs=64k count=200 conv=fsync",
        "write-to-file /alive still alive", "cat /alive", "exit 0",
    ]  # fmt: skip
    extra = second_disk(image, file=f"blkdebug:{rules}:{image}")
    # `exit` writes everything out first, and says so if that disk still refuses.
    result = boot(context, "; ".join(commands), status=None, QEMU_EXTRA=extra)
    result.wants(r"(Input/output|I/O) error", r"^still alive$")
    context.check(result.status in (0, 1), f"the run ended with status {result.status}")
    image.unlink()
    rules.unlink()


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("storage/written-tree", written_tree(), SECONDS, needs=NEEDS),
        Test("storage/written-tree-debug", written_tree(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("storage/power-cut", power_cut, SECONDS, needs=NEEDS),
        Test("storage/full-disk", full_disk, SECONDS, needs=NEEDS),
        Test("storage/limits", limits("160M", 60000, "50000"), SECONDS, needs=NEEDS),
        Test("storage/no-inode", limits("8M", 128, "inodes"), SECONDS, needs=NEEDS),
        Test("storage/mapped-1024", mapped("1024"), SECONDS, needs=NEEDS),
        Test("storage/mapped-4096", mapped("4096"), SECONDS, needs=NEEDS),
        Test("storage/larger-than-memory", larger_than_memory(64), 900, needs=NEEDS),
        Test("storage/larger-than-memory-debug", larger_than_memory(96, RUST_BUILD_MODE="debug"), 900, needs=DEBUG_NEEDS),
        Test("storage/attributes-128", attributes("128"), SECONDS, needs=NEEDS),
        Test("storage/attributes-256", attributes("256"), SECONDS, needs=NEEDS),
        Test("storage/mounts", mounts(), SECONDS, needs=NEEDS),
        Test("storage/mounts-debug", mounts(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("storage/inotify", watched(), SECONDS, needs=NEEDS),
        Test("storage/inotify-debug", watched(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("storage/access-times", access_times, SECONDS, needs=NEEDS),
        Test("storage/churn-1024", churn("1024", 1, 20000), SECONDS, needs=NEEDS),
        Test("storage/churn-4096", churn("4096", 2, 6000), SECONDS, needs=NEEDS),
        Test("storage/removed-at-exit", removed_at_exit, SECONDS, needs=NEEDS),
        Test("storage/read-only-disk", read_only_disk, SECONDS, needs=NEEDS),
        Test("storage/failing-disk", failing_disk, SECONDS, needs=NEEDS),
    ]
