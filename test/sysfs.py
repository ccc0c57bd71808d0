"""sysfs: the devices that are there, by the same paths as on Linux; every file can be read and every link leads somewhere,
also while partitions come and go."""

import re

from disks import PARTITIONS, partitioned
from harness.console import boot
from harness.plan import Context, Test
from storage import second_disk

SECONDS = 300
NEEDS = ("build/release", "build/disk")
DEBUG_NEEDS = ("build/debug", "build/disk")


def script(*lines: str) -> str:
    """A command line that has the shell of busybox do these."""
    return f"mount 2; exec /bin/busybox sh -c 'b=/bin/busybox; {'; '.join(lines)}'"


def devices(context: Context) -> None:
    """What the tree says of PCI functions, virtio devices, disks, terminals, CPUs and tasks."""
    image = partitioned(context, PARTITIONS["mbr"])
    commands = script(
        "cd /sys/bus/pci/devices", "for d in *; do echo function $d $($b cat $d/vendor $d/device $d/class); done", "cd /sys/class/block",
        "echo link $($b readlink vdd1)", "cd vdd", "$b grep -H . size ro dev removable queue/logical_block_size vdd1/start vdd1/size vdd3/partition vdd1/uevent",
        "echo driver $($b readlink -f ../../driver)", "echo device $($b readlink -f device)", "echo class $($b readlink -f vdd1/subsystem)",
        "echo number $($b readlink -f /sys/dev/block/254:49)", "cd /sys/devices/system/cpu", "$b grep -H . online possible cpu1/topology/core_id",
        "echo null $($b cat /sys/class/mem/null/dev) $($b readlink -f /sys/class/tty/ttyS0)", "$b grep shell /sys/kernel/tasks",
        "$b rm /dev/vdd1 /dev/null", "$b mdev -s", "$b ls -l /dev/vdd1 /dev/null", "$b mount",
    )  # fmt: skip
    result = boot(context, f"list-pci; {commands}; ls /; umount /sys; ls /sys; mount sysfs /tmp; cat /tmp/block/vdd/size; exit", QEMU_EXTRA=second_disk(image))
    listed = re.findall(r"^([0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) ([0-9a-f]{4}):([0-9a-f]{4}) ", result.console, re.MULTILINE)
    context.check(len(listed) >= 8, f"only {len(listed)} functions")
    result.wants(*(rf"^function 0000:{re.escape(address)} 0x{vendor} 0x{device} 0x[0-9a-f]{{6}}$" for address, vendor, device in listed))
    place = r"/sys/devices/pci0000:00/0000:00:0\d\.0"
    result.wants(
        rf"^link \.\./\.\.{place[4:]}/virtio\d/block/vdd/vdd1$", r"^size:131072$", r"^ro:0$", r"^dev:254:48$", r"^removable:0$",
        r"^queue/logical_block_size:512$", r"^vdd1/start:2048$", r"^vdd1/size:32768$", r"^vdd3/partition:3$", r"^vdd1/uevent:DEVNAME=vdd1$",
        r"^driver /sys/bus/virtio/drivers/virtio-blk$", rf"^device {place}/virtio\d$", r"^class /sys/class/block$",
        rf"^number {place}/virtio\d/block/vdd/vdd1$", r"^online:0-3$", r"^possible:0-3$", r"^cpu1/topology/core_id:1$",
        r"^null 1:3 /sys/devices/virtual/tty/ttyS0$", r"^ +\d+ shell +waiting ", r"^brw-rw---- .* 254, +49 .* /dev/vdd1$", r"^crw-rw---- .* 1, +3 .* /dev/null$",
        r"^sysfs on /sys type sysfs \(rw,relatime\)$", r"^131072$",
    )  # fmt: skip
    image.unlink()


def all_read(**settings: str):
    """Four processes read everything while a fifth has the partitions made anew; what is gone is told as gone."""

    def run(context: Context) -> None:
        image = partitioned(context, PARTITIONS["gpt"])
        reading = "$b find /sys/block/ /sys/devices/ -type f -exec $b cat {} + >/dev/null 2>&1"
        commands = script(
            "for l in $($b find /sys -type l); do [ -e $l ] || echo broken $l; done", "$b find /sys -type f -exec $b cat {} + >/dev/null",
            f"for i in 1 2 3 4; do (for j in 1 2 3; do {reading}; done; echo reader done) & done",
            "for i in 1 2 3 4 5 6 7 8; do $b blockdev --rereadpt /dev/vdd; done", "wait", "echo files $($b find /sys -type f | $b wc -l)",
            "$b ls -lR /sys | $b tail -n 1 >/dev/null", "echo all read",
        )  # fmt: skip
        result = boot(context, f"{commands}; exit", QEMU_EXTRA=second_disk(image), **settings)
        result.wants(r"^files [4-9]\d\d$", r"^all read$")
        context.check(result.count(r"^reader done$") == 4, "not all four readers came to their end")
        context.check(not result.count(r"^(broken |cat: )"), "a link leads nowhere, or a file cannot be read")
        image.unlink()

    return run


def tests() -> list[Test]:
    """All of this kind."""
    return [
        Test("sysfs/devices", devices, SECONDS, needs=NEEDS),
        Test("sysfs/all-read", all_read(), SECONDS, needs=NEEDS),
        Test("sysfs/all-read-debug", all_read(RUST_BUILD_MODE="debug"), SECONDS, needs=DEBUG_NEEDS),
    ]
