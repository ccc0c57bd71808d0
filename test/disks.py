"""Disks as devices: their queues, partitions and nodes, and what of them fails."""

import hashlib
import json
import pathlib
import re
import subprocess

from harness.console import boot
from harness.plan import OUT, TOP, Context, Test
from storage import DEBUG_NEEDS, DEBUGFS, MKE2FS, NEEDS, SECONDS, check_clean, second_disk, small_image

SFDISK = "/sbin/sfdisk"


def several_queues(smp: int):
    """A disk with four request queues, each with an interrupt of its own: what a CPU asks for comes back to it, by its own
    queue where there is one. All is written that was to be."""

    def run(context: Context) -> None:
        image = small_image(context, "64M", "-b", "4096")
        used = min(smp, 4)
        pinned = [f"exec /bin/busybox taskset {1 << cpu:x} /bin/busybox dd if=/bin/busybox of=/tmp/from{cpu} bs=100k conv=fsync" for cpu in range(smp)]
        compared = [f"exec /bin/busybox cmp /bin/busybox /tmp/from{cpu}" for cpu in range(smp)]
        commands = ["mount 2", "mount 3 /tmp", *pinned, "irq", "umount /tmp", "mount 3 /tmp", *compared, "umount /tmp", "list-virtio", "exit"]
        result = boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image) + ",num-queues=4", SMP=str(smp))
        name = (lambda queue: rf"vdd\.{queue}") if used > 1 else (lambda queue: "vdd")
        for queue in range(used):
            row = re.search(rf"^ *0x[0-9a-f]+ ((?: *\d+)+) +{name(queue)}$", result.console, re.MULTILINE)
            context.check(row is not None, f"there is no interrupt of queue {queue}")
            counts = [int(count) for count in row.group(1).split()]
            elsewhere = [count for cpu, count in enumerate(counts) if cpu != queue * smp // used]
            context.check(sum(counts) > 0 and not any(elsewhere), f"queue {queue} raised interrupts {counts}")
        context.check(result.count(rf"^ *0x.* {name(used)}$") == 0 or used == 1, f"there are more than {used} queues")
        check_clean(context, image)
        image.unlink()

    return run


def partitioned(context: Context, script: str, size: str = "64M") -> pathlib.Path:
    """An empty disk with the partitions of this sfdisk script."""
    image = OUT / f"{context.test.name}.img"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(int(size[:-1]) << 20)
    subprocess.run([SFDISK, "-q", str(image)], input=script, text=True, check=True)
    return image


def listed(image: pathlib.Path) -> list[tuple[int, int, int]]:
    """Number, first sector and length of the partitions, as sfdisk tells them."""
    table = json.loads(subprocess.run([SFDISK, "--json", str(image)], capture_output=True, text=True, check=True).stdout)
    rows = table["partitiontable"]["partitions"]
    return [(int(row["node"].removeprefix(str(image)).removeprefix("p")), row["start"], row["size"]) for row in rows]


PARTITIONS = {
    "mbr": "label: dos\nstart=2048,size=32768,type=83\n,20M,E\n,8M,83\n,4M,c\n,1M,83\n",
    "gpt": "label: gpt\nstart=2048,size=32768,type=L\n,8M,U\nstart=100000,size=1\n",
}


def partitions(kind: str, **settings: str):
    """A partitioned disk: the kernel sees what sfdisk sees; a file system in a partition is mounted, read and written; the
    device node shows the very bytes of the image, and takes them."""

    def run(context: Context) -> None:
        image = partitioned(context, PARTITIONS[kind])
        table = listed(image)
        first = image.with_suffix(".ext2")
        context.command([MKE2FS, "-q", "-F", "-t", "ext2", "-b", "1024", str(first), "16M"])
        with image.open("r+b") as file:
            file.seek(table[0][1] * 512)
            file.write(first.read_bytes())
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        last = f"/dev/vdd{table[-1][0]}"
        commands = [
            "mount 2", "cat /proc/partitions", "$ fdisk -l /dev/vdd", "$ sha256sum /dev/vdd", "$ blockdev --getsize64 /dev/vdd1",
            "$ blockdev --getsz /dev/vdd", "$ dd if=/dev/vdd1 bs=1k skip=1 count=1 of=/root/superblock", "mount /dev/vdd1 /tmp",
            "write-to-file /tmp/file in a partition", "$ blockdev --rereadpt /dev/vdd", "$ mkdir /tmp/more", "umount /tmp",
            "$ blockdev --rereadpt /dev/vdd", f"$ dd if=/bin/busybox of={last} bs=512 count=1 conv=fsync", "mount /dev/vdd1 /tmp",
            "cat /tmp/file", "mount", "umount /tmp", "mount /dev/vdd9 /tmp", "mount /hello.txt /tmp", "cat /proc/diskstats", "exit 0",
        ]  # fmt: skip
        commands = [command.replace("$", "exec /bin/busybox") for command in commands]
        result = boot(context, "; ".join(commands), QEMU_EXTRA=second_disk(image), **settings)
        # Of an extended partition the first two sectors can be seen, or the one before the first logical partition.
        extended = [number for number, _, size in table if kind == "mbr" and number == 2]
        rows = [rf"^ 254 +{48 + number} +{1 if number in extended else size // 2} vdd{number}$" for number, _, size in table]
        result.wants(
            *rows, r"^ 254 +48 +65536 vdd$", rf"^{digest}  /dev/vdd$", r"^16777216$", r"^131072$", r"^blockdev: /dev/vdd: Device or resource busy$",
            r"^in a partition$", r"^/dev/vdd1 +/tmp +ext2 +read-write,relatime$", r"^mount: /dev/vdd9: .*\(ENOENT\)$", r"^mount: /hello.txt: .*\(ENOTBLK\)$",
            r"^ 254 +48 vdd [1-9]\d* 0 [1-9]\d* \d+ [1-9]\d* 0 [1-9]", r"^/dev/vdd1 .* 2048 +34815 .* Linux$" if kind == "mbr" else r"^/dev/vdd1 .* EFI GPT$",
        )  # fmt: skip
        context.check(result.count(r"Device or resource busy") == 1, "only the first attempt to read the table again should fail")
        with image.open("rb") as file:
            file.seek(table[0][1] * 512)
            first.write_bytes(file.read(table[0][2] * 512))
            file.seek(table[-1][1] * 512)
            context.check(file.read(6) == b"\x7fELF\x02\x01", "what dd wrote to the last partition is not there")
        check_clean(context, first)
        context.command([DEBUGFS, "-R", "stat /more", str(first)])
        context.check(listed(image) == table, "the partition table has changed")
        image.unlink()
        first.unlink()

    return run


def device_nodes(**settings: str):
    """The C program about disks as files, on a partitioned disk."""

    def run(context: Context) -> None:
        image = partitioned(context, "label: gpt\nstart=2048,size=8192\nsize=8M\n")
        commands = "mount 2; exec /tests/disks /dev/vdd; exit"
        boot(context, commands, QEMU_EXTRA=second_disk(image), **settings).wants(r"^[1-9]\d* passed, 0 failed$")
        image.unlink()

    return run


def failing_node(context: Context) -> None:
    """Sectors that cannot be read or written are EIO for who uses the node; their neighbours are there; a disk that is
    read-only says so."""
    image = partitioned(context, PARTITIONS["mbr"])
    rules = image.with_suffix(".blkdebug")
    rules.write_text(
        '[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "40000"\nonce = "off"\n'
        '[inject-error]\nevent = "pwritev"\nerrno = "5"\nsector = "50000"\nonce = "off"\n',
        encoding="ascii",
    )
    commands = [
        "mount 2", "$ dd if=/dev/vdd of=/dev/null bs=512 count=1 skip=40000", "$ dd if=/dev/vdd of=/dev/null bs=512 count=1 skip=40016",
        "$ dd if=/dev/zero of=/dev/vdd bs=512 count=1 seek=50000 conv=fsync", "$ dd if=/dev/zero of=/dev/vdd bs=512 count=1 seek=50016 conv=fsync",
        "$ dd if=/dev/zero of=/dev/vde bs=512 count=1", "$ blockdev --getro /dev/vde", "$ mount -t ext2 -o rw /dev/vde /tmp", "exit 0",
    ]  # fmt: skip
    extra = second_disk(image, file=f"blkdebug:{rules}:{image}")
    extra += f" -drive if=none,id=protected,format=raw,readonly=on,file={TOP}/build/fat.img -device virtio-blk-pci,drive=protected,disable-legacy=on"
    result = boot(context, "; ".join(commands).replace("$", "exec /bin/busybox"), status=None, QEMU_EXTRA=extra)
    got = re.findall(r"^/bin/busybox \[pid \d+\]: exit status (\d+)$", result.console, re.MULTILINE)
    context.check(got[:7] == ["1", "0", "1", "0", "1", "0", "255"], f"the programs ended with {got}")
    result.wants(r"Input/output error|I/O error", r"Operation not permitted", r"^1$")
    image.unlink()
    rules.unlink()


def tests() -> list[Test]:
    """All of this kind."""
    return [
        *(Test(f"storage/queues-{smp}", several_queues(smp), SECONDS, needs=NEEDS) for smp in (1, 2, 4, 8)),
        *(Test(f"storage/partitions-{kind}", partitions(kind), SECONDS, needs=NEEDS) for kind in PARTITIONS),
        Test("storage/partitions-debug", partitions("mbr", RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("storage/device-nodes", device_nodes(), SECONDS, needs=NEEDS),
        Test("storage/device-nodes-debug", device_nodes(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
        Test("storage/failing-node", failing_node, SECONDS, needs=NEEDS),
    ]
