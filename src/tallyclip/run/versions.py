"""The versions that results may depend on."""

from __future__ import annotations

import platform

import numba
import numpy
import pyarrow

import tallyclip

# Of what parsing makes of a crawl file; raised with any change of its pairs. 2: URLs are percent-encoded, pages without a charset are
# read in more encodings.
PARSE = 2
# Of what reading makes of a pool's files, and matching of their pairs. 2: columns of folders, dialects of CSV and TSV, samples of tars.
MATCH = 2
OF_STAGES = {"parse": PARSE, "match": MATCH}  # in whose results there is what was read, which later stages read again


def versions() -> dict[str, str]:
    """What computes: the library versions that the bytes of a result may depend on."""
    return {
        "tallyclip": tallyclip.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "numba": numba.__version__,
        "pyarrow": pyarrow.__version__,
    }
