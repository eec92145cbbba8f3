"""What a run is exported to, and the folder that exports are made in: each in its own, or several of one run beside each other.

DIR/
├── export.json            what was asked for last, and with which versions
├── downloads/*.parquet    URLs, captions and uids for img2dataset
├── subset/*.parquet       rows of the original tables
├── uids/                  the manifest of the file below
└── uids.npy               the uids, sorted, for DataComp's resharder
"""

from __future__ import annotations

from tallyclip.readers.record_names import EXPORT_RECORD
from tallyclip.run.stage import Stages
from tallyclip.run.workspace import Kind
from tallyclip.stages.downloads import DOWNLOADS
from tallyclip.stages.subset import SUBSET
from tallyclip.stages.uids import UIDS

EXPORT = Kind(
    noun="export",
    record=EXPORT_RECORD,
    stages=Stages(DOWNLOADS, SUBSET, UIDS),
    start="tallyclip export downloads RUN --out DIR",
)
