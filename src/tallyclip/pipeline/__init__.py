"""The stages of a run: each reads from the store, calls the core, and writes to the store.

metadata → match → counts ┃ plan, balance → card. Left of the bar a shard is worked on without regard to others; the counts need all of
them, so they belong to a frozen set of shards, and what follows carries the fingerprint of that set.
"""

import sys

# What the workers of a run are forked with. Only on Linux: elsewhere a process that has run compiled code had better not be forked.
PRELOAD = ("tallyclip.pipeline.warm",) if sys.platform == "linux" else ()
