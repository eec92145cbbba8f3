"""From a run, and the images that were downloaded of its pairs, to a run over those pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallyclip.core.balance import TextsPolicy, checked_seed
from tallyclip.errors import OptionError
from tallyclip.flows.curate import balance
from tallyclip.flows.images import list_samples
from tallyclip.run.engine import make
from tallyclip.run.workspace import Workspace, only_read
from tallyclip.stages.balance import check_same_draw
from tallyclip.stages.card import CARD
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.lookup import LOOKUP, LookupOptions
from tallyclip.stages.match import MATCH
from tallyclip.stages.metadata import METADATA, MetadataOptions, entries_of
from tallyclip.stages.plan import PLAN, Aim, PlanOptions
from tallyclip.stages.retry import RETRY, RetryOptions
from tallyclip.stages.runs import RUN
from tallyclip.stages.samples import SAMPLES
from tallyclip.stages.survivors import SURVIVORS, SurvivorsOptions, draw_of, picks_captions


def survivors(
    into: Workspace,
    before: Path,
    images: Sequence[str],
    aim: Aim,
    *,
    seed: int = 0,
    policy: TextsPolicy = "pairs",
    estimate: bool = False,
    accept_failed: bool = False,
) -> None:
    """Count the entries of the pairs that have an image, solve for t anew, draw, and write the card.

    Args:
        into: the run to make.
        before: the run that has all matched pairs, or with ``estimate`` one that was balanced.
        images: names of tars, or of folders of them; of a pair in several that have it one image is enough.
        aim: of the threshold.
        seed: of the draw.
        policy: of several captions of an image.
        estimate: if the run before was balanced, estimate the counts from what its draw has kept, and go on with that draw.
        accept_failed: go on without tars that cannot be read.

    Raises:
        OptionError: the run before is balanced and counts are not to be estimated, or seed or policy are not those of its draw; ``into``
            is a run over a pool; or there are no tars.
        IncompleteError: the run before is not whole, tars could not be read, or have none of its pairs.
    """
    aim.check()
    checked_seed(seed)
    run = only_read(RUN, before)
    drawn = draw_of(run, estimate=estimate)
    if drawn is not None:
        check_same_draw(run, msgspec.to_builtins(drawn), seed, policy)
    elif picks_captions(run) and policy == "pairs":
        what = f"{run.root} has one caption picked of each image, so there are no images of pairs with the others"
        raise OptionError(what, "give --texts one-per-image")
    _refuse_other_run(into, run)
    list_samples(into, images, accept_failed=accept_failed)
    into.record([str(run.root), *images], into.required(SAMPLES).result["files"])
    make(into, METADATA, MetadataOptions(entries_of(run), run.required(METADATA).options["mode"]))
    make(into, SURVIVORS, SurvivorsOptions(run, drawn))
    make(into, LOOKUP, LookupOptions.of(run, "curated"))
    make(into, RETRY, RetryOptions(run))
    make(into, COUNTS)
    make(into, PLAN, PlanOptions(aim, policy, seed))
    balance(into, aim, seed=seed, policy=policy)
    make(into, CARD)


def _refuse_other_run(into: Workspace, run: Workspace) -> None:
    if into.root == run.root:
        raise OptionError(f"{run.root} is the run that was downloaded", "give another --out")
    matched = into.whole(MATCH)
    if matched is not None and SAMPLES.name not in matched.inputs:
        raise OptionError(f"{into.root} is a run over a pool", "give a new --out")
