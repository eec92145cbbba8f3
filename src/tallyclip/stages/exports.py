"""What a run is exported to, and the folder that exports are made in: each in its own, or several of one run beside each other.

DIR/
├── export.json            what was asked for last, and with which versions
├── downloads/*.parquet    URLs, captions and uids for img2dataset
├── subset/*.parquet       rows of the original tables
├── uids/                  the manifest of the file below
├── uids.npy               the uids, sorted, for DataComp's resharder
├── samples/               which samples the tars of images have
├── lookup/                where the curated pairs are, by uid
├── webdataset/            the manifest of the shards below
└── shards/*.tar           the curated pairs of tars of images, with sizes.json

The index of shards that a loader needs has a folder of its own (``INDEXED``): samples/, lookup/ of the run's probabilities, and index/.
If it is of all their pairs, without a run, there is no lookup/ (``INDEXED_WHOLE``).
"""

from __future__ import annotations

from tallyclip.readers.record_names import EXPORT_RECORD, INDEX_RECORD
from tallyclip.run.stage import Stages
from tallyclip.run.workspace import Kind
from tallyclip.stages.downloads import DOWNLOADS
from tallyclip.stages.index import INDEX, INDEX_OF_ALL
from tallyclip.stages.lookup import LOOKUP
from tallyclip.stages.samples import SAMPLES
from tallyclip.stages.subset import SUBSET
from tallyclip.stages.uids import UIDS
from tallyclip.stages.webdataset import WEBDATASET

EXPORT = Kind(
    noun="export",
    record=EXPORT_RECORD,
    stages=Stages(DOWNLOADS, SUBSET, UIDS, SAMPLES, LOOKUP, WEBDATASET),
    start="tallyclip export downloads RUN --out DIR",
)
INDEXED = Kind(
    noun="index",
    record=INDEX_RECORD,
    stages=Stages(SAMPLES, LOOKUP, INDEX),
    start=INDEX.command,
)
INDEXED_WHOLE = Kind(
    noun="index",
    record=INDEX_RECORD,
    stages=Stages(SAMPLES, INDEX_OF_ALL),
    start=INDEX_OF_ALL.command,
)
