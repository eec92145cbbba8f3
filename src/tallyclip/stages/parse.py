"""The stage of parsing: every crawl file by itself, to its pairs."""

from __future__ import annotations

from typing import Any

import msgspec

from tallyclip.errors import OptionError
from tallyclip.io.web import POLITE
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.sources import cut
from tallyclip.run.folder import Frozen, Run
from tallyclip.run.frozen import FrozenStage, refuse_failures, reports_of
from tallyclip.run.layout import ParseFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.shards import run_shards, sizes_of
from tallyclip.run.versions import PARSE
from tallyclip.stages.parse_shard import Duplicates, ParseJob, ParseReport, merged_counts, parse_shard
from tallyclip.steps.filters import Filters, Screen
from tallyclip.steps.languages import LanguageChoice, asked_languages


class PoolOptions(msgspec.Struct, frozen=True):
    """What is asked of a pool made from crawl files.

    Attributes:
        duplicates: of what there is to be one: "pair" (address and text), "url", or "off".
        known: run folders of earlier pools, whose pairs are left out.
        languages: which to keep, or None to ask for none.
        filters: what else to leave out.
        salvage: keep what can be read of damaged files.
        max_site_repeats: drop texts that stand with more different images than that on the pages of one host.
        max_download: bytes of a file; larger ones are not fetched.
    """

    duplicates: Duplicates = "pair"
    known: list[str] = []
    languages: LanguageChoice | None = None
    filters: Filters = Filters()
    salvage: bool = False
    max_site_repeats: int | None = None
    max_download: int = POLITE.largest

    @property
    def early_languages(self) -> LanguageChoice | None:
        """The languages, if they must be told before duplicates are: of an address the text that stays must be in one of them."""
        return self.languages if self.duplicates == "url" else None

    def check(self) -> None:
        """Refuse what cannot be, before any work.

        Raises:
            OptionError: a language, a filter or a number that cannot be.
        """
        if self.languages is not None:
            self.languages.check()
        self.filters.check()
        if self.max_site_repeats is not None and self.max_site_repeats < 1:
            raise OptionError(f"--max-site-repeats {self.max_site_repeats} would leave nothing", "give a number of at least 1")


def parse_files(run: Run, frozen: Frozen, options: PoolOptions, *, accept_failed: bool = False) -> Manifest:
    """The stage of parsing.

    Raises:
        StaleError: a file changed or went after it was read.
        IncompleteError: shards failed and were not accepted.
    """
    shards = {shard.key: shard for shard in cut(frozen.files)}
    asked = {"duplicates": options.duplicates, "filters": Screen(options.filters).fingerprint, "salvage": options.salvage}
    by_site, languages = options.max_site_repeats is not None, options.early_languages
    asked |= {"by_site": by_site, "known": bool(options.known), "languages": asked_languages(languages)}
    stage = FrozenStage(run, "parse", PARSE, ParseFolder, ParseReport, {}, asked)
    taken_up = stage.take_up(frozen, shards)
    if isinstance(taken_up, Manifest):
        return taken_up
    under_way = taken_up
    scratch = str(run.layout.downloads)
    jobs = {
        key: ParseJob(
            shard=shard,
            folder=str(under_way.path),
            scratch=scratch,
            duplicates=options.duplicates,
            filters=options.filters,
            salvage=options.salvage,
            by_site=by_site,
            collapse=not by_site and not options.known,
            languages=languages,
            max_download=options.max_download,
        )
        for key, shard in shards.items()
    }
    reports, failures = run_shards(run, under_way, "parse", parse_shard, jobs, lambda job: estimate_rows(job.shard), ParseReport)
    refuse_failures(failures, reports, len(shards), accept_failed=accept_failed)
    result = _result(reports)
    run.progress.finish(
        f"{result['pairs']:,} pairs from {result['counts'].get('images', 0):,} images of {result['counts'].get('pages', 0):,} pages"
    )
    return run.publish(
        "parse",
        under_way,
        stage.fingerprint(reports, failures),
        inputs=stage.inputs,
        options=stage.options,
        result=result
        | {
            "failed_shards": {key: failure.what for key, failure in failures.items()},
            "filters": {name: value for name, value in msgspec.to_builtins(options.filters).items() if value},
        },
        outputs=sizes_of(under_way.path, under_way.pool)
        | {path: size for report in reports.values() for path, size in report.outputs.items()},
        seconds=sum(report.seconds for report in reports.values()),
    )


def parse_reports(run: Run, manifest: Manifest) -> dict[str, ParseReport]:
    """The reports of the frozen set of crawl files."""
    return reports_of(run.layout.parse, ParseReport, manifest.result["shards"], "tallyclip pool")


def _result(reports: dict[str, ParseReport]) -> dict[str, Any]:
    counts, drops = merged_counts(list(reports.values()))
    return {
        "shards": list(reports),
        "pairs": sum(report.rows for report in reports.values()),
        "counts": dict(sorted(counts.items())),
        "drops": dict(sorted(drops.items())),
    }
