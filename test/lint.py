"""Form: formatting, clippy, and the walls and arrows of the design."""

from host import PURE_CRATES

from harness.plan import Context, Test

SECONDS = 900


def runs(*argv: str):
    """A command that must end with status 0."""

    def run(context: Context) -> None:
        context.command(list(argv))

    return run


def tests() -> list[Test]:
    """All of this kind."""
    packages = [word for name in PURE_CRATES for word in ("--package", name)]
    deny = ("--", "-D", "warnings")
    cargo, demo, traces = "tools/toolchain", ("in", "user/rust-demo", "host"), ("in", "tools/traces", "host")
    tracing = ("in", "tools/tracing", "host")
    return [
        Test("lint/walls", runs("tools/wallcheck"), 60),
        Test("lint/module-cycles", runs("tools/modcheck"), 60),
        Test("lint/fmt", runs(cargo, "host", "fmt", "--all", "--check"), 120),
        Test("lint/fmt-programs", runs(cargo, *demo, "fmt", "--check"), 120),
        Test("lint/fmt-traces", runs(cargo, *traces, "fmt", "--check"), 120),
        Test("lint/fmt-tracing", runs(cargo, *tracing, "fmt", "--check"), 120),
        Test("lint/clippy-kernel", runs(cargo, "kernel", "clippy", "--workspace", *deny), SECONDS, holds="cargo"),
        Test("lint/clippy-host", runs(cargo, "host", "clippy", *packages, "--all-targets", *deny), SECONDS, holds="cargo"),
        Test("lint/clippy-traces", runs(cargo, *traces, "clippy", *deny), SECONDS, holds="cargo"),
        Test("lint/clippy-tracing", runs(cargo, *tracing, "clippy", *deny), SECONDS, holds="cargo"),
        Test("lint/clippy-programs", runs(cargo, *demo, "clippy", *deny), SECONDS, holds="cargo"),
    ]
