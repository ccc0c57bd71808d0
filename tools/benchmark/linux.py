"""The Linux to compare with: Debian's kernel for virtual machines, unpacked from its package and never installed, on an ISO
with a small initramfs that mounts the same ext2 image as Russet and runs the same program."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from benchmark import initramfs
from harness import packages
from harness.plan import TOP

META_PACKAGE = "linux-image-cloud-amd64"
WORK = TOP / "build/cache/linux"
# In the order in which they need each other.
MODULES = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
# `nokaslr`: a fixed place to watch for the kernel's entry, and the same run each time. The others take off what a
# distribution adds for safety, which Russet has not either.
ARGUMENTS = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off init_on_alloc=0 random.trust_cpu=on"

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in @MODULES@; do /bin/busybox insmod /modules/$module.ko; done
until [ -b /dev/vdc ]; do /bin/busybox usleep 10000; done
/bin/busybox mount -t ext4 /dev/vdc /root
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mount -t proc proc /root/proc
/bin/busybox ifconfig lo up
for row in @ROWS@; do
    echo "exec /bin/bench @FLAG@$row"
    /bin/busybox chroot /root /bin/bench @FLAG@$row || echo "/bin/bench: exit status $?"
done
/bin/busybox umount /root/proc /root/dev /root
/bin/busybox poweroff -f
"""
GRUB = """set timeout=0
insmod all_video
linux /boot/vmlinuz @ARGUMENTS@
initrd /boot/initramfs
boot
"""


class Linux:
    """The unpacked kernel. `version` is the package's, as `linux-image-… 6.1…`."""

    # Where both the decompressor and then the kernel proper begin without address randomisation (CONFIG_PHYSICAL_START).
    entry_address = 0x100_0000

    def __init__(self) -> None:
        names = [name for name in packages.depends_of([META_PACKAGE]) if name.startswith("linux-image-")]
        if len(names) != 1:
            raise packages.NoPackage(f"{META_PACKAGE} should name one kernel, but names {' '.join(names) or 'none'}")
        package = packages.fetch(names)[0]
        self.version = packages.version_of(package)
        self.root = WORK / package.stem
        if not self.root.exists():
            partial = WORK / f"{package.stem}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            packages.unpack(package, partial)
            partial.rename(self.root)

    def image(self) -> pathlib.Path:
        """The kernel's file."""
        return next((self.root / "boot").glob("vmlinuz-*"))

    def module(self, name: str) -> bytes:
        """A module's file."""
        return next((self.root / "lib/modules").rglob(f"{name}.ko")).read_bytes()

    def make_iso(self, output: pathlib.Path, names: list[str], counting: bool) -> None:
        """An ISO that boots, runs these rows one by one and powers off."""
        script = INIT.replace("@MODULES@", " ".join(MODULES)).replace("@ROWS@", " ".join(names))
        script = script.replace("@FLAG@", "-i " if counting else "")
        busybox = shutil.which("busybox")
        files = {
            "init": ((TOP / "build/user/bench-init").read_bytes(), 0o755),
            "init.sh": (script.encode(), 0o755),
            "bin/busybox": (pathlib.Path(busybox or "/bin/busybox").read_bytes(), 0o755),
            **{f"modules/{name}.ko": (self.module(name), 0o644) for name in MODULES},
        }
        with tempfile.TemporaryDirectory(prefix="linux-iso-") as work:
            root = pathlib.Path(work, "root")
            (root / "boot/grub").mkdir(parents=True)
            shutil.copyfile(self.image(), root / "boot/vmlinuz")
            initramfs.make(root / "boot/initramfs", files, ["bin", "modules", "root"])
            (root / "boot/grub/grub.cfg").write_text(GRUB.replace("@ARGUMENTS@", ARGUMENTS), encoding="utf-8")
            command = ["grub-mkrescue", "-o", str(output), "--compress=no", "--fonts=", "--locales=", "--themes=", str(root)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0 or not output.exists():
                raise OSError(f"grub-mkrescue failed with status {done.returncode}: {done.stderr.strip()[-300:]}")


def short_version(version: str) -> str:
    """`Linux 6.1.172-1` of the package's name and version."""
    return "Linux " + re.sub(r"^\S+ ", "", version)
