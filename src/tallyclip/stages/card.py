"""The stage of the data card: what the other stages have said of themselves, on one page."""

from __future__ import annotations

import heapq
import shlex
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from tallyclip.errors import ArtifactError
from tallyclip.escaping import printable
from tallyclip.io.files import read_array, replacing
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.match.coverage import unmatchable_entries
from tallyclip.readers.ledger import KEPT_SAMPLES
from tallyclip.report import card as cards
from tallyclip.run.folder import Frozen, Run
from tallyclip.run.layout import CardFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.shards import sizes_of
from tallyclip.run.versions import versions
from tallyclip.stages.balance import balance_reports
from tallyclip.stages.match import match_reports
from tallyclip.stages.match_shard import Sample
from tallyclip.stages.parse import parse_reports
from tallyclip.stages.plan import load_counts, steps_to, tabulate
from tallyclip.stages.pool import pool_reports


def make_card(run: Run) -> Manifest:
    """Write the data card of a run that is balanced.

    Raises:
        IncompleteError: balancing is not whole.
    """
    balanced = run.required("balance")
    fingerprint = fingerprint_of(stage="card 2", balance=balanced.fingerprint)
    manifest = run.in_place_or_whole("card", fingerprint)
    if manifest is not None:
        return manifest
    started = time.perf_counter()
    run.progress.start("card", 1, 0, None)
    under_way = CardFolder(run.begin("card", fingerprint))
    before, after = load_counts(run), read_array(run.layout.balance.counts_curated)
    card = _describe(run, balanced, before, after)
    pictures = cards.draw_pictures(card, before, after)
    for path, content in (
        (under_way.markdown, cards.as_markdown(card).encode()),
        (under_way.json, cards.as_json(card)),
        (under_way.html, cards.as_html(card, pictures).encode()),
    ):
        with replacing(path) as part:
            part.write_bytes(content)
    run.progress.finish(str(run.layout.card.html))
    inputs = balanced.inputs | {"balance": balanced.fingerprint}
    seconds = time.perf_counter() - started
    outputs = sizes_of(under_way.path, under_way.markdown, under_way.json, under_way.html)
    return run.publish("card", under_way, fingerprint, inputs=inputs, options={}, result={}, outputs=outputs, seconds=seconds)


def read_card(run: Run) -> cards.Card:
    """The card in place.

    Raises:
        ArtifactError: it is not whole.
    """
    card = read_struct(run.layout.card.json, cards.Card)
    if card is None:
        raise ArtifactError(f"{run.layout.card.json} is gone", "run the same command again")
    return card


def _describe(run: Run, balanced: Manifest, before: np.ndarray, after: np.ndarray) -> cards.Card:
    matched = run.required("match")
    reports = match_reports(run, matched)
    frozen = run.frozen()
    t, policy = float(balanced.options["t"]), balanced.options["texts"]
    entries = run.metadata.entries
    head = before >= t
    never = np.flatnonzero(before == 0)
    shown = never[np.linspace(0, len(never) - 1, min(len(never), cards.SHOWN_ENTRIES)).astype(int)]
    plan = tabulate(run, before, sorted({*steps_to(int(before.max())), t}), policy)
    mode = matched.options["mode"]
    return cards.Card(
        title=f"Data card of {run.layout.root.name}",
        made=balanced.finished[:10],
        sources=frozen.pool,
        files=len(frozen.files),
        bytes=sum(file.size for file in frozen.files),
        columns=matched.result["columns"],
        crawl=_crawl_part(run) if frozen.made_here else None,
        languages=_languages(matched.options["languages"]),
        shards=len(run.required("parse" if frozen.made_here else "match").result["shards"]),
        records=matched.result["records"],
        texts=matched.result["texts"],
        matched=matched.result["matched"],
        matches=int(before.sum()),
        drops=cards.reasons(matched.result["drops"], _merged_samples(report.samples for report in reports.values())),
        failed_shards=(run.required("parse").result["failed_shards"] if frozen.made_here else {}) | matched.result["failed_shards"],
        entries=len(entries),
        metadata_fingerprint=run.metadata.fingerprint,
        mode=mode,
        t=t,
        why_t=balanced.options["why"],
        tail_share=balanced.result["tail_share"],
        seed=balanced.options["seed"],
        texts_policy=policy,
        own_uids=matched.result["own_uids"],
        candidates=balanced.result["candidates"],
        kept=balanced.result["kept"],
        expected=balanced.result["expected"],
        unique_uids=balanced.result["unique_uids"],
        repeated_uids=balanced.result["repeated_uids"],
        thinned=_thinned(run, balanced),
        named=int(np.count_nonzero(before)),
        head_entries=int(np.count_nonzero(head)),
        head_matches=int(before[head].sum()),
        never_named=[entries[i] for i in shown],
        never_named_count=len(never),
        unmatchable=[
            cards.Unmatchable(reason, len(ids), [entries[i] for i in ids[: cards.SHOWN_SAMPLES]])
            for reason, ids in unmatchable_entries(entries, mode).items()
        ],
        top_before=cards.top_entries(entries, before, before, after),
        top_after=cards.top_entries(entries, after, before, after),
        matches_after=int(after.sum()),
        lengths=np.sum([report.lengths for report in reports.values()], axis=0).tolist(),
        histogram=cards.histogram(before, after),
        plan=plan,
        command=_commands(matched, run.required("counts"), balanced),
        versions=versions(),
        fingerprints=dict(balanced.inputs) | {"balance": balanced.fingerprint},
    )


def _crawl_part(run: Run) -> cards.CrawlPart:
    parsed, pool = run.required("parse"), run.required("pool")
    files = read_struct(run.layout.parse.pool, Frozen)
    assert files is not None  # the stage is whole
    parts = [*parse_reports(run, parsed).values(), *pool_reports(run, pool).values()]
    return cards.CrawlPart(
        files=len(parsed.result["shards"]),
        bytes=sum(file.size for file in files.files),
        counts=pool.result["counts"],
        pairs=pool.result["pairs"],
        duplicates=parsed.options["duplicates"],
        drops=cards.reasons(pool.result["drops"], _merged_samples(part.samples for part in parts)),
    )


def _languages(asked: dict[str, Any] | None) -> str | None:
    if asked is None:
        return None
    return f"{', '.join(asked['languages']) or 'all'} with a score of at least {asked['threshold']:g}, by {asked['model']}"


def _merged_samples(of_shards: Iterable[dict[str, list[Sample]]]) -> dict[str, list[str]]:
    merged: dict[str, list[Sample]] = {}
    for samples in of_shards:
        for reason, found in samples.items():
            merged[reason] = heapq.nsmallest(KEPT_SAMPLES, merged.get(reason, []) + found)
    return {reason: [sample.text for sample in samples] for reason, samples in merged.items()}


def _thinned(run: Run, balanced: Manifest) -> list[str]:
    """Examples of pairs that were not drawn, each text once."""
    samples = heapq.nsmallest(KEPT_SAMPLES, (s for report in balance_reports(run, balanced).values() for s in report.thinned))
    return list(dict.fromkeys(sample.text for sample in samples))[: cards.SHOWN_SAMPLES]


def _commands(*stages: Manifest) -> str:
    """The commands that make these stages again, a line each: 'curate' needs none before it."""
    lines: list[str] = []
    for stage in stages:
        line = printable(shlex.join(["tallyclip", *stage.command]))
        lines = [line] if stage.command[:1] == ["curate"] else [*dict.fromkeys([*lines, line])]
    return "\n".join(lines)
