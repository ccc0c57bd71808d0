"""What `tools/check` and the tests in `test/` are made of: tests and their scheduling, consoles, Rust source text."""
