"""The stages of a run as `status` shows them: a test holds them to the declarations in ``runs.py``, which need all libraries."""

from __future__ import annotations

from tallyclip.readers.record_names import RUN_RECORD
from tallyclip.run.record import Outline, StageOutline

RUN_OUTLINE = Outline(
    noun="run",
    record=RUN_RECORD,
    start="tallyclip curate POOL... --out RUN",
    stages=(
        StageOutline("gather", "tallyclip match POOL... --out RUN", ("shards",), optional=True),
        StageOutline(
            "duplicates",
            "tallyclip pool CRAWL... --out RUN",
            ("site_groups", "sites", "site_places", "groups", "pairs", "places"),
            optional=True,
        ),
        StageOutline("pool", "tallyclip pool CRAWL... --out RUN", ("files",), optional=True),
        StageOutline("kept", "tallyclip match POOL... --out RUN", ("shards",), optional=True),
        StageOutline("samples", "tallyclip survivors RUN --images IMAGES --out RUN2", ("tars",), optional=True),
        StageOutline("lookup", "tallyclip export", ("files",), optional=True),
        StageOutline("retry", "tallyclip survivors RUN --images IMAGES --out RUN2", ("reasons", "files"), optional=True),
        StageOutline("metadata", "tallyclip match POOL... --out RUN"),
        StageOutline("match", "tallyclip match POOL... --out RUN", ("shards",)),
        StageOutline("dropped", "tallyclip curate POOL... --write-dropped --out RUN", ("files",), optional=True),
        StageOutline("repeats", "tallyclip match POOL... --out RUN", ("groups", "buckets"), optional=True),
        StageOutline("counts", "tallyclip count RUN"),
        StageOutline("plan", "tallyclip plan RUN"),
        StageOutline("balance", "tallyclip balance RUN", ("shards",)),
        StageOutline("card", "tallyclip card RUN"),
    ),
)
