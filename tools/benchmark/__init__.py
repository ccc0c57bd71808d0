"""What `tools/bench` is made of: rows and their figures, the two systems, runs kept and compared, the report."""
