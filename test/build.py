"""The builds that other tests need."""

from harness.plan import Context, Test

SECONDS = 1200  # the first one builds the core library, too, where it is not installed


def kernel(mode: str):
    """A build of the kernel."""

    def run(context: Context) -> None:
        context.command(["tools/kernel"], settings={"RUST_BUILD_MODE": mode})

    return run


def disk(context: Context) -> None:
    """The programs and both disk images."""
    context.command(["make", "-s", "-C", "user"])
    context.command(["tools/mkdisk"])


def trace_tools(context: Context) -> None:
    """What makes timelines of traces."""
    context.command(["tools/toolchain", "in", "tools/tracing", "host", "build", "--quiet", "--release"])


def tests() -> list[Test]:
    """In the order in which others wait for them. Cargo locks a directory of results for each profile, and whoever waits for
    one would keep a worker idle: so the tests that use the same one hold it. The programs and tools have their own."""
    return [
        Test("build/release", kernel("release"), SECONDS, holds="release builds"),
        Test("build/disk", disk, SECONDS),
        Test("build/debug", kernel("debug"), SECONDS, holds="debug builds"),
        Test("build/trace-tools", trace_tools, SECONDS),
    ]
