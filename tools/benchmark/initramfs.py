"""An initramfs as Linux takes it: a cpio archive of the `newc` kind (the kernel's Documentation/driver-api/early-userspace)."""

import gzip
import pathlib
import stat

DIRECTORY, FILE, CHARACTER = stat.S_IFDIR, stat.S_IFREG, stat.S_IFCHR


def entry(number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One member: its header of thirteen hexadecimal fields, its name, its data, each padded to four bytes."""
    path = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def make(output: pathlib.Path, files: dict[str, tuple[bytes, int]], directories: list[str]) -> None:
    """Writes an archive with these files (contents and permissions), directories and a console."""
    members = [entry(1, "dev", DIRECTORY | 0o755), entry(2, "dev/console", CHARACTER | 0o600, device=(5, 1))]
    members += [entry(100 + i, name, DIRECTORY | 0o755) for i, name in enumerate(directories)]
    members += [entry(1000 + i, name, FILE | mode, data) for i, (name, (data, mode)) in enumerate(files.items())]
    members.append(entry(0, "TRAILER!!!", 0))
    output.write_bytes(gzip.compress(b"".join(members), compresslevel=6, mtime=0))
