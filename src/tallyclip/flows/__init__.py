"""Which stages are run in which order, for each of the commands."""
