"""Imported by the process that workers are forked from, so that they find loaded what they need.

Numba brings in its own types and the compiled functions when one is first called; in every worker that would take half a second anew.
"""

from __future__ import annotations

import pyarrow as pa

from tallyclip.stages.runs import RUN

pa.array([])  # looks for pandas, and loads it where it is installed
for stage in RUN.stages:
    if stage.warm is not None:
        stage.warm()
