#!/usr/bin/env python3
"""Makes files that must not be executable although somebody tries, each wrong in one way.

    make_bad_elf.py GOOD_ELF OUTPUT_DIRECTORY

GOOD_ELF is a static x86-64 program. Offsets are those of the ELF-64 header and program header (System V gABI).
"""

import pathlib
import struct
import sys

EI_CLASS, E_TYPE, E_MACHINE, E_ENTRY, E_PHOFF, E_PHENTSIZE, E_PHNUM = 4, 16, 18, 24, 32, 54, 56
P_FLAGS, P_OFFSET, P_VADDR, P_FILESZ, P_MEMSZ = 4, 8, 16, 32, 40
PT_LOAD = 1


def patched(image: bytes, offset: int, layout: str, value: int) -> bytes:
    """The image with one little-endian field replaced."""
    field = struct.pack("<" + layout, value)
    return image[:offset] + field + image[offset + len(field) :]


def first_load(image: bytes) -> int:
    """The file offset of the first PT_LOAD program header."""
    (table,) = struct.unpack_from("<Q", image, E_PHOFF)
    size, count = struct.unpack_from("<HH", image, E_PHENTSIZE)
    for at in range(table, table + size * count, size):
        if struct.unpack_from("<I", image, at)[0] == PT_LOAD:
            return at
    raise ValueError("no PT_LOAD segment")


def bad_files(good: bytes) -> dict[str, bytes]:
    """Name and contents of each."""
    load = first_load(good)
    return {
        "empty": b"",
        "text": b"This is a text file, and no script either.\n",
        "magic-only": good[:4],
        "header-only": good[:64],
        "truncated": good[: len(good) // 2],
        "class-32": patched(good, EI_CLASS, "B", 1),
        "wrong-machine": patched(good, E_MACHINE, "H", 183),  # EM_AARCH64
        "relocatable": patched(good, E_TYPE, "H", 1),
        "phoff-outside": patched(good, E_PHOFF, "Q", 0xFFFF_FFFF_FFFF_FF00),
        "phentsize-odd": patched(good, E_PHENTSIZE, "H", 8),
        "phnum-huge": patched(good, E_PHNUM, "H", 0xFFFF),
        "no-segments": patched(good, E_PHNUM, "H", 0),
        "segment-in-kernel": patched(good, load + P_VADDR, "Q", 0xFFFF_FFFF_8010_0000),
        "segment-in-physmap": patched(good, load + P_VADDR, "Q", 0xFFFF_8000_0010_0000),
        "segment-wraps": patched(good, load + P_MEMSZ, "Q", 0xFFFF_FFFF_FFFF_F000),
        "segment-huge": patched(good, load + P_MEMSZ, "Q", 0x7FFF_0000_0000),
        "segment-offset-outside": patched(good, load + P_OFFSET, "Q", 0x7FFF_FFFF_FFFF_F000),
        "segment-file-bigger": patched(good, load + P_FILESZ, "Q", 0x10_0000),
    }


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    good = pathlib.Path(sys.argv[1]).read_bytes()
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for name, contents in bad_files(good).items():
        path = directory / name
        path.write_bytes(contents)
        path.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
