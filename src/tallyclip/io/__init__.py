"""Files: every path of a run, and writing that leaves either the whole of a file or nothing."""
