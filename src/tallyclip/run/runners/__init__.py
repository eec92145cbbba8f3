"""Where the work runs: one task at a time in each of several processes."""
