"""Pictures of the screen, and the console's font rendered on its own: what is drawn is compared by pixels."""

import functools
import json
import pathlib
import struct
import subprocess
import zlib

from harness.plan import TOP, Failure

# The colours of text where no program has asked for others (klib::vt, palette).
FOREGROUND = (204, 204, 204)
BACKGROUND = (0, 0, 0)


class Font:
    """A PSF font: `width`, `height`, and rows of pixels for each character."""

    def __init__(self, data: bytes) -> None:
        if data[:2] == b"\x36\x04":
            mode, self.height = data[2], data[3]
            self.width, start, count = 8, 4, 512 if mode & 1 else 256
            units = data[start + count * self.height :]
            text = "".join(map(chr, struct.unpack(f"<{len(units) // 2}H", units)))
            names = [entry.split("\ufffe")[0] for entry in text.split("\uffff")]
        elif data[:4] == b"\x72\xb5\x4a\x86":
            start, _, count, _, self.height, self.width = struct.unpack("<6I", data[8:32])
            table = data[start + count * self.height * ((self.width + 7) // 8) :]
            names = [entry.split(b"\xfe")[0].decode() for entry in table.split(b"\xff")]
        else:
            raise Failure("not a PSF font")
        size = self.height * ((self.width + 7) // 8)
        self.glyphs: dict[str, tuple[int, ...]] = {}
        for index in range(count):
            bitmap = data[start + index * size :][:size]
            for character in names[index]:
                self.glyphs.setdefault(character, self.rows(bitmap))

    def rows(self, bitmap: bytes) -> tuple[int, ...]:
        """A glyph's rows, each a number of `width` bits with the leftmost pixel highest."""
        row_bytes = (self.width + 7) // 8
        return tuple(
            int.from_bytes(bitmap[at : at + row_bytes], "big") >> (row_bytes * 8 - self.width) for at in range(0, len(bitmap), row_bytes)
        )


@functools.cache
def console_font() -> Font:
    """The font of screens up to 2560 pixels wide, from the file that the kernel is built with."""
    metadata = subprocess.run(
        ["tools/toolchain", "host", "metadata", "--format-version", "1"], cwd=TOP, capture_output=True, check=True
    ).stdout
    packages = json.loads(metadata)["packages"]
    manifest = next(package["manifest_path"] for package in packages if package["name"] == "spleen-font")
    return Font(pathlib.Path(manifest).with_name("fonts").joinpath("spleen-8x16.psfu").read_bytes())


class Picture:
    """Pixels: `rows` of bytes, three to a pixel."""

    def __init__(self, width: int, height: int, pixels: bytes) -> None:
        self.width, self.height = width, height
        self.rows = [pixels[y * width * 3 : (y + 1) * width * 3] for y in range(height)]

    @staticmethod
    def read(path: pathlib.Path) -> "Picture":
        """A PPM file of QEMU's."""
        data = path.read_bytes()
        kind, width, height, most, pixels = data.split(maxsplit=4) if data.count(b"\n", 0, 64) >= 3 else (b"", 0, 0, 0, b"")
        if kind != b"P6" or most != b"255":
            raise Failure(f"{path} is no PPM picture")
        # Black pixels may look like blanks to `split`, so the pixels are taken from the end.
        width, height = int(width), int(height)
        return Picture(width, height, data[len(data) - width * height * 3 :])

    def write_png(self, path: pathlib.Path) -> None:
        """For people to look at."""

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in self.rows))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))

    def part(self, x: int, y: int, width: int, height: int) -> list[bytes]:
        """The rows of a rectangle."""
        return [row[x * 3 : (x + width) * 3] for row in self.rows[y : y + height]]

    def text(self, font: Font | None = None) -> list[str]:
        """What stands on the screen, read by comparing each place with every glyph in whatever two colours it has; lines without the
        blanks at their ends. A place that is no glyph is `\\ufffd`."""
        font = font or console_font()
        # Of two characters with one glyph (blanks of all widths, Latin and Cyrillic letters), the one that comes first in Unicode.
        glyphs = {rows: character for character, rows in sorted(font.glyphs.items(), reverse=True)}
        bold = {tuple(row | row >> 1 for row in rows): character for rows, character in glyphs.items()}
        lines = []
        for top in range(0, self.height - font.height + 1, font.height):
            line = "".join(
                self.character(self.part(x, top, font.width, font.height), glyphs, bold)
                for x in range(0, self.width - font.width + 1, font.width)
            )
            lines.append(line.rstrip())
        return lines

    @staticmethod
    def character(cell: list[bytes], glyphs: dict, bold: dict) -> str:
        """The character of one place."""
        pixels = [[row[at : at + 3] for at in range(0, len(row), 3)] for row in cell]
        colours = {pixel for row in pixels for pixel in row}
        if len(colours) == 1:
            return " "
        if len(colours) == 2:
            for background in colours:
                rows = tuple(int("".join("0" if pixel == background else "1" for pixel in row), 2) for row in pixels)
                found = glyphs.get(rows) or bold.get(rows)
                if found:
                    return found
        return "\ufffd"


def rendered(text: str, font: Font | None = None) -> list[bytes]:
    """The rows of pixels that `text` must have on the screen."""
    font = font or console_font()
    colours = (bytes(BACKGROUND), bytes(FOREGROUND))
    rows = []
    for y in range(font.height):
        bits = "".join(f"{font.glyphs[character][y]:0{font.width}b}" for character in text)
        rows.append(b"".join(colours[int(bit)] for bit in bits))
    return rows
