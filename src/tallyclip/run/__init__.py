"""The stages of a run: each reads from the store, calls the core, and writes to the store.

[parse ┃ duplicates → pool →] metadata → match → counts ┃ plan, balance → card; what is in brackets is for crawl files. Left of a bar a
shard is worked on without regard to others; what is right of it needs all of them. So counts belong to a frozen set of shards, and what
follows carries the fingerprint of that set.
"""

import sys

# What the workers of a run are forked with. Only on Linux: elsewhere a process that has run compiled code had better not be forked.
PRELOAD = ("tallyclip.stages.warm",) if sys.platform == "linux" else ()
