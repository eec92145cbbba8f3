"""The names of files by which folders that tallyclip wrote are known."""

from __future__ import annotations

RUN_RECORD = "run.json"
EXPORT_RECORD = "export.json"
INDEX_RECORD = "index.json"
