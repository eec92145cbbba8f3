"""The stages of a run, and the folder they are made in.

RUN/
├── run.json                     what was asked for, and with which versions
├── log.txt                      what commands did, and when
├── events.jsonl                 the same for programs, a JSON object a line
├── crawl.json                   of a crawl by its name: which of its files were chosen
├── gather/                      of crawl files: their pairs, and the keys of these
├── duplicates/                  of crawl files: which pairs repeat others
├── pool/*.parquet               of crawl files: the pool they become, and in _index/ the keys of its pairs
├── kept/                        of tables, if some of their pairs are dropped before matching: the places of the others
├── samples/                     of survivors: which pairs have an image
├── lookup/                      of survivors: where the pairs that were to be downloaded are
├── retry/*.parquet              of survivors: the pairs that have none, with the reasons
├── metadata/                    the entry list and the matcher's tables
├── match/                       which pairs match which entries, a file a shard; and the snapshot of the shards
├── dropped/REASON/*.parquet     if asked for: the pairs that were dropped before the draw
├── repeats/                     of tables, if none are dropped: how many pairs repeat others
├── counts/                      how often each entry is matched
├── plan/                        t against expected size, tail share, head entries and matches
├── balance/                     the manifest of the results below
├── probabilities/*.parquet      uid, place and keep probability of every matched pair
├── curated/*.parquet            the pairs that are kept
├── uids.npy                     their uids, sorted, each once
├── entry_counts.json            entry → count in the pool
├── entry_counts_curated.json    entry → count in the curated set
├── card/                        the data card
├── README.md                    the same for the Hugging Face Hub
└── index/*/                     what the loader made to know shards of its pairs (``stages/exports.py``)
"""

from __future__ import annotations

from tallyclip.run.stage import Stages
from tallyclip.run.workspace import Kind
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.card import CARD
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.dropped import DROPPED
from tallyclip.stages.duplicates import DUPLICATES
from tallyclip.stages.gather import GATHER
from tallyclip.stages.kept import KEPT
from tallyclip.stages.lookup import LOOKUP
from tallyclip.stages.match import MATCH
from tallyclip.stages.metadata import METADATA
from tallyclip.stages.outline import RUN_OUTLINE
from tallyclip.stages.plan import PLAN
from tallyclip.stages.pool import POOL
from tallyclip.stages.repeats import REPEATS
from tallyclip.stages.retry import RETRY
from tallyclip.stages.samples import SAMPLES

RUN = Kind(
    noun=RUN_OUTLINE.noun,
    record=RUN_OUTLINE.record,
    stages=Stages(GATHER, DUPLICATES, POOL, KEPT, SAMPLES, LOOKUP, RETRY, METADATA, MATCH, DROPPED, REPEATS, COUNTS, PLAN, BALANCE, CARD),
    start=RUN_OUTLINE.start,
    others=("index",),
)
