"""What compiled code of every kind gives for some input, as JSON; with ``--without-nrt``, by a Numba that lacks that option."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any


def hide_nrt() -> None:
    """Take ``_nrt`` from the options that Numba knows, before tallyclip is imported: it then refuses it as it does any unknown name."""
    import numba
    from numba.core.cpu import CPUTargetOptions

    for kind in CPUTargetOptions.__mro__:
        if "_nrt" in vars(kind):
            delattr(kind, "_nrt")
    try:
        numba.njit(_nrt=False)(lambda: None)()
    except KeyError as error:
        assert "Unrecognized options: {'_nrt'}" in str(error)
    else:
        raise AssertionError("Numba still takes the option")


def results() -> dict[str, Any]:
    """Digests of matches, of draws and of a count of n-grams, the options, and which functions came from Numba's cache on disk."""
    import numpy as np

    import tallyclip as tc
    from tallyclip.core import balance
    from tallyclip.core.compiled import OPTIONS
    from tallyclip.core.strings import from_python
    from tallyclip.lists.ngrams.counter import NgramCounter
    from tallyclip.match import kernel

    words = ["dog", "St. Louis", "a photo of", "straße", "STRASSE", "photo", "Кошка", "an exceedingly long entry", "of a", "犬", "8:30"]
    draw = np.random.default_rng(7)
    captions = [" ".join(draw.choice([*words, "zebra", ",", "(dog)"], draw.integers(0, 12))) for _ in range(3000)]
    captions += ["photo of a " * 2000, "", "dog"]
    found: dict[str, Any] = {}
    for mode in ("exact", "spaced-entries", "casefold"):
        matches = tc.Matcher(tc.Metadata(words), mode).match([*captions, None])
        found[mode] = _digest(matches.offsets, matches.entry_ids)
        counts = tc.count_entries(matches, len(words))
        keep = tc.keep_probability(matches, tc.entry_probability(counts, 50))
        uids = tc.make_uids(None, [*captions, None])
        picked = balance.pick_one(np.arange(len(keep)) // 3, uids)
        found[f"{mode}, balanced"] = _digest(counts, keep, tc.draw(keep, uids), picked)
    runs: list[Any] = []
    counter = NgramCounter(16 << 20, runs.append)
    counter.add(from_python(captions))
    counter.finish()
    found["n-grams"] = [_digest(run.words.hashes, run.words.words.data, run.words.counts, *run.pairs) for run in runs]
    functions: dict[str, Any] = {"match_rows": kernel.match_rows, "_draw": balance._draw}
    from_disk = {name: sum(function.stats.cache_hits.values()) > 0 for name, function in functions.items()}
    return {"results": found, "options": sorted(OPTIONS), "from disk": from_disk}


def _digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


if __name__ == "__main__":
    if "--without-nrt" in sys.argv:
        hide_nrt()
    sys.stdout.write(json.dumps(results()))
