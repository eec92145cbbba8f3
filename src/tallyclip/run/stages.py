"""The stages of a run: what each is built on, and which command makes it."""

from __future__ import annotations

# What is built on what: when a stage is put into place, whatever was built on its predecessor goes.
BUILT_ON = {
    "parse": ("duplicates", "pool", "match", "counts", "plan", "balance", "card"),
    "duplicates": ("pool", "match", "counts", "plan", "balance", "card"),
    "pool": ("match", "counts", "plan", "balance", "card"),
    "metadata": ("match", "counts", "plan", "balance", "card"),
    "match": ("counts", "plan", "balance", "card"),
    "counts": ("plan", "balance", "card"),
    "plan": (),
    "balance": ("card",),
    "card": (),
}
CRAWL_STAGES = ("parse", "duplicates", "pool")  # of runs over crawl files
COMMANDS = {
    "parse": "tallyclip pool CRAWL... --out RUN",
    "duplicates": "tallyclip pool CRAWL... --out RUN",
    "pool": "tallyclip pool CRAWL... --out RUN",
    "metadata": "tallyclip match POOL... --out RUN",
    "match": "tallyclip match POOL... --out RUN",
    "counts": "tallyclip count RUN",
    "plan": "tallyclip plan RUN",
    "balance": "tallyclip balance RUN",
    "card": "tallyclip card RUN",
}
