"""The commands for evaluation: ``eval``, and ``eval table``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallyclip import api
from tallyclip.cli import options
from tallyclip.cli.console import choose_progress, err, reports_errors, show_result, show_text
from tallyclip.cli.console import out as stdout
from tallyclip.cli.help import Commands
from tallyclip.errors import OptionError
from tallyclip.wording import plural

if TYPE_CHECKING:
    from tallyclip.evaluation.results import Evaluation
    from tallyclip.evaluation.table import SideBySide, TableModel

SHOWN_CLASSES = 3


class EvalPrecisionName(StrEnum):
    fp32 = "fp32"
    amp = "amp"


class SuiteName(StrEnum):
    metaclip_26 = "metaclip-26"
    datacomp_38 = "datacomp-38"


def _option(name: str, text: str, metavar: str | None = None, panel: str | None = None) -> typer.models.OptionInfo:
    return typer.Option(name, metavar=metavar, help=text, show_default=False, rich_help_panel=panel)


Model = Annotated[
    str | None,
    _option("--model", "A model of open_clip, such as ViT-B-32-quickgelu; or a JSON file with a model's configuration.", "NAME"),
]
Pretrained = Annotated[
    str | None, _option("--pretrained", "Its weights: a checkpoint, or a name that open_clip knows, such as openai.", "FILE")
]
Data = Annotated[
    str | None,
    _option(
        "--data",
        "Images with labels or captions: a folder of class folders, a tar of them, shards in CLIP_benchmark's layout, or Parquet. "
        "A path, or an fsspec URL.",
        "DIR",
    ),
]
TaskName = Annotated[
    str | None,
    _option("--task", "Name of a task of the suites, such as imagenet1k, or a TOML file. Default: by the name of DIR.", "TASK"),
]
ResultsOut = Annotated[Path | None, _option("--out", "File for the results, as JSON in CLIP_benchmark's schema.", "FILE")]
BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", min=1, help="Images or prompts at once.", rich_help_panel=options.HOW)]
Device = Annotated[str | None, _option("--device", "Such as cuda:1 or cpu. Default: a GPU if there is one.", "NAME", options.HOW)]
Precision = Annotated[
    EvalPrecisionName,
    typer.Option(
        "--precision",
        metavar=options.one_of(EvalPrecisionName),
        help="'amp' is half precision, where it is safe.",
        rich_help_panel=options.HOW,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Threads that decode images. Default: one per processor.",
        show_default=False,
        rich_help_panel=options.HOW,
    ),
]
Results = Annotated[
    list[Path], typer.Argument(metavar="RESULTS...", help="Files of 'eval --out', or of CLIP_benchmark.", show_default=False)
]
OfSuite = Annotated[SuiteName, typer.Option("--suite", metavar=options.one_of(SuiteName), help="The tasks of the table.")]

eval_app = Commands(invoke_without_command=True, subcommand_metavar="[table RESULTS...]")


@eval_app.callback()
@reports_errors
def evaluate(
    context: typer.Context,
    model: Model = None,
    pretrained: Pretrained = None,
    data: Data = None,
    task: TaskName = None,
    out: ResultsOut = None,
    batch_size: BatchSize = 64,
    device: Device = None,
    precision: Precision = EvalPrecisionName.fp32,
    workers: Threads = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Evaluate a model of open_clip zero-shot: classification with prompts, or retrieval.

    Reads every image of a set, and gives top-1, top-5 and the mean per class, or recall@1, 5 and 10 in both directions, and the metric
    of the task if it has another. Class names and prompts are those of the set's folder, of open_clip for ImageNet, or of a TOML file.

    Needs: train

    Examples:
        tallyclip eval --model ViT-B-32-quickgelu --pretrained epoch_32.pt --data wds_vtab-cifar10 --out results/cifar10.json
        tallyclip eval table results/*.json
    """
    if context.invoked_subcommand is not None:
        return
    if model is None or data is None:
        raise OptionError("--model and --data are needed", "see 'tallyclip eval --help'")
    choose_progress(quiet=quiet)
    try:
        found = api.evaluate(
            data,
            model=model,
            pretrained=pretrained,
            task=task,
            out=out,
            batch_size=batch_size,
            device=device,
            precision=precision.value,
            workers=workers,
            progress=True,
        )
    except KeyboardInterrupt:
        err.print("\nInterrupted. Nothing was written.")
        raise typer.Exit(130) from None
    show_result(as_json, found, lambda: _show_report(found))


@eval_app.command()
@reports_errors
def table(results: Results, suite: OfSuite = SuiteName.metaclip_26, as_json: options.AsJson = False) -> None:
    """Show results beside those of CLIP, OpenCLIP and MetaCLIP in the paper, of models of the same size.

    The average is the paper's: over all tasks of the suite, or over those that are there, for all models alike.

    Example:
        tallyclip eval table results/*.json
    """
    from tallyclip.evaluation.table import side_by_side

    found = side_by_side(results, suite.value)
    show_result(as_json, found, lambda: _show_table(found))


def _show_report(found: Evaluation) -> None:
    """The numbers, and what people should know about them."""
    from rich.text import Text

    from tallyclip.cli.show import in_lines
    from tallyclip.cli.tables import ScreenTable

    assert found.tallyclip is not None
    details = found.tallyclip
    numbers = ScreenTable()
    numbers.add_texts("metric")
    numbers.add_numbers("percent")
    for name, value in found.metrics.items():
        numbers.add_row(Text(name), _percent(value), style="bold cyan" if name == details.metric else "")
    captions = f", {plural(details.captions, 'caption')}" if details.captions else ""
    lines = [f"images       {details.images:,} of {details.form}{captions}"]
    for reason, count in details.dropped.items():
        lines.append(f"unusable     {count:,}: {reason}; such as {details.dropped_names[reason][0]}")
    if details.per_class is not None:
        lines.append(f"classes      {len(details.per_class):,}, prompts {sum(one['prompts'] for one in details.per_class):,}")
        counted = sorted((one["acc1"], one["class"]) for one in details.per_class if one["acc1"] is not None)
        lines.append("lowest       " + ", ".join(f"{name} {_percent(value)}" for value, name in counted[:SHOWN_CLASSES]))
    lines += [f"note         {note}" for note in details.notes]
    show_text(in_lines([f"{found.dataset}  {found.model}  {found.pretrained}".rstrip()]) + "\n")
    stdout.print(numbers)
    show_text("\n" + in_lines(lines))


def _show_table(found: SideBySide) -> None:
    from tallyclip.cli.show import in_lines
    from tallyclip.cli.tables import ScreenTable

    shown = ScreenTable()
    shown.add_texts("task")
    for model, heading in zip(found.models, _headings(found.models), strict=True):
        shown.add_numbers(heading, style="" if model.source else "cyan")
    rows = [(task.title, [model.values.get(task.name) for model in found.models]) for task in found.tasks]
    if found.averaged:
        rows.append(("average", [model.average for model in found.models]))
    for title, values in rows:
        best = max(value for value in values if value is not None)
        shown.add_row(title, *(_cell(value, is_best=value == best) for value in values))
    tables = sorted({model.source for model in found.models if model.source})
    source = f"; others are of arXiv 2309.16671, {' and '.join(tables)}" if tables else ""
    stdout.print(shown)
    show_text("\n" + in_lines([f"{found.suite}, in percent{source}", *found.notes]))


def _headings(models: Sequence[TableModel]) -> list[str]:
    """A line for the model and one for its weights, of own ones by the whole path if names repeat, and for the paper's one for the size."""
    stems = [Path(model.weights).stem for model in models]
    weights = [stem if stems.count(stem) == 1 and not model.source else model.weights for model, stem in zip(models, stems, strict=True)]
    return ["\n".join([model.model, name, *([model.size] if model.source else [])]) for model, name in zip(models, weights, strict=True)]


def _cell(value: float | None, *, is_best: bool) -> str:
    return "–" if value is None else f"[bold]{value:.1f}[/bold]" if is_best else f"{value:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
