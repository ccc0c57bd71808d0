"""Rust source text without what is not code, for checks that look for words and paths."""

import dataclasses
import pathlib
import re

TOKEN = re.compile(
    r"""(?P<line>//[^\n]*)
      | (?P<block>/\*)
      | (?P<raw>\b(?:br|cr|r)(?P<hashes>\#*)")
      | (?P<string>\b[bc]?"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*")
      | (?P<char>\bb?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])'|'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])')""",
    re.VERBOSE | re.DOTALL,
)
TEST_MODULE = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*\{")


def blanked(text: str) -> str:
    """The text with comments, strings and character literals turned into spaces; lines and columns stay."""
    out, at = [], 0
    while found := TOKEN.search(text, at):
        out.append(text[at : found.start()])
        end = found.end()
        if found.lastgroup == "block":
            end = block_end(text, found.end())
        elif found.group("raw") is not None:
            close = text.find('"' + found.group("hashes"), found.end())
            end = len(text) if close < 0 else close + 1 + len(found.group("hashes"))
        out.append(re.sub(r"[^\n]", " ", text[found.start() : end]))
        at = end
    return "".join(out) + text[at:]


def block_end(text: str, at: int) -> int:
    """Where a block comment whose opening ends at `at` is closed; they nest."""
    depth = 1
    for mark in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def without_tests(code: str) -> str:
    """Blanked code without its `#[cfg(test)] mod … { … }`."""
    while found := TEST_MODULE.search(code):
        depth, at = 1, found.end()
        while depth and at < len(code):
            depth += {"{": 1, "}": -1}.get(code[at], 0)
            at += 1
        code = code[: found.start()] + re.sub(r"[^\n]", " ", code[found.start() : at]) + code[at:]
    return code


def code_lines(code: str) -> int:
    """Lines of blanked code that hold something."""
    return sum(1 for line in code.splitlines() if line.strip())


@dataclasses.dataclass(frozen=True)
class Crate:
    """A crate of the workspace: its name and the folder that holds its sources."""

    name: str
    source: pathlib.Path

    def files(self) -> list[pathlib.Path]:
        """Its source files."""
        return sorted(self.source.rglob("*.rs"))

    def root(self) -> pathlib.Path:
        """lib.rs or main.rs."""
        lib = self.source / "lib.rs"
        return lib if lib.exists() else self.source / "main.rs"


def crates(kernel: pathlib.Path) -> list[Crate]:
    """The crates of the workspace in `kernel`, the kernel proper last."""
    found = [Crate(path.parent.name, path.parent / "src") for path in sorted(kernel.glob("*/Cargo.toml"))]
    return [*found, Crate("src", kernel / "src")]
