"""The stages of runs and of entry lists, one file each, from the pieces of work to what is published.

A run: [gather ┃ duplicates ┃ pool or kept →] metadata → match ┃ counts → plan, balance → card; what is in brackets is for crawl files,
and for tables if some of their pairs are dropped before matching. Left of a bar a shard is worked on by itself; what is right of it needs
all of them. So counts belong to a snapshot of shards, and what follows carries the fingerprint of that snapshot.
"""

import sys

# Modules that the workers of a run, and of a list, need. A run's are forked with theirs, but only on Linux: elsewhere a process that has
# run compiled code had better not be forked.
PRELOAD = ("tallyclip.stages.warm",) if sys.platform == "linux" else ()
LIST_PRELOAD = ("tallyclip.stages.ngrams",)
