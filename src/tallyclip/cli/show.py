"""Results on screen: tables, trees and lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from tallyclip.cli.console import as_markup
from tallyclip.cli.tables import ScreenTable
from tallyclip.escaping import printable
from tallyclip.report.numbers import short, size, visible
from tallyclip.wording import plural

if TYPE_CHECKING:  # most of them compute, and what is shown of a run does not
    from tallyclip.flows.dry_run import Estimate
    from tallyclip.flows.text import TextMatches
    from tallyclip.run.pace import RunningShard
    from tallyclip.run.status import RunStatus, StageStatus
    from tallyclip.stages.plan import Plan

NEAR_SHOWN = 10
MARKS = {"done": "[green]✓[/green]", "under way": "[yellow]…[/yellow]", "to do": "[dim]·[/dim]"}


def plan_table(plan: Plan) -> RenderableType:
    """The table of a plan, with the chosen threshold highlighted."""
    table = ScreenTable()
    table.add_numbers("t", "expected pairs", "of matched", "tail share", "head entries", "head matches")
    for row in plan.rows:
        cells = (
            f"{row.t:,.6g}",
            f"{row.expected_size:,.0f}",
            f"{row.kept_share:.1%}",
            f"{row.tail_share:.2%}",
            f"{row.head_entries:,}",
            f"{row.head_matches:,}",
        )
        table.add_row(*cells, style="bold cyan" if row.t == plan.t else "")
    chosen = Text(f"\nt = {plan.t:,.6g} {plan.why}")
    return Group(table, chosen) if plan.warning is None else Group(table, chosen, Text(f"warning: {plan.warning}", style="yellow"))


def status_tree(status: RunStatus) -> Tree:
    """A run as a tree of stages."""
    files = plural(status.files, "file")
    tree = Tree(f"[bold]{as_markup(status.root)}[/bold]  {files} of {as_markup(', '.join(status.pool))}", guide_style="dim")
    drawn = next((stage.result for stage in status.stages if (stage.stage, stage.state) == ("balance", "done")), {})
    for stage in status.stages:
        branch = tree.add(f"{MARKS[stage.state]} [bold]{stage.stage}[/bold]  {_stage_line(stage)}")
        facts = " · ".join(
            f"{name.replace('_', ' ')} {_fact(name, value)}" for name, value in stage.result.items() if _is_fact(name, value)
        )
        if facts:
            branch.add(facts)
        warning = stage.result.get("warning")
        if stage.stage == "plan" and stage.result.get("t") != drawn.get("t", stage.result.get("t")):
            branch.add(
                f"[yellow]the set was drawn at t = {_fact('t', drawn['t'])}; 'tallyclip balance' draws what is planned here[/yellow]"
            )
        elif warning and (stage.stage != "plan" or warning != drawn.get("warning")):
            branch.add(f"[yellow]warning[/yellow] {as_markup(str(warning))}")
        for line in _pace_lines(stage):
            branch.add(line)
        for failure in stage.failures[:10]:
            branch.add(f"[red]failed[/red] {as_markup(failure.shard)}: {as_markup(failure.what)}")
        if len(stage.failures) > 10:
            branch.add(f"[red]and {len(stage.failures) - 10:,} more[/red]")
    return tree


def status_places(status: RunStatus) -> str:
    """Where the card of a run is, and the command that goes on with it; on lines of their own, to be copied."""
    return in_lines(f"{name}  {value}" for name, value in (("card", status.card), ("next", status.next)) if value is not None)


def _stage_line(stage: StageStatus) -> str:
    if stage.state == "to do":
        return "[dim]to do[/dim]"
    if stage.state == "under way":
        if stage.shards is None:
            return f"under way, {plural(stage.shards_done or 0, 'shard')} done"
        return f"under way, {stage.shards_done:,} of {plural(stage.shards, 'shard')} done"
    shards = f"{plural(stage.shards, 'shard')}, " if stage.shards is not None else ""
    return f"[dim]{shards}finished {stage.finished}, {stage.seconds:.1f} s of work[/dim]"


def _pace_lines(stage: StageStatus) -> Iterator[str]:
    """How fast a stage gets on, and what is being done, the slowest first."""
    if stage.rows_per_second:
        yield f"{size(stage.rows_per_second) if stage.unit == 'bytes' else f'{short(stage.rows_per_second)} {stage.unit}'} a second"
    if stage.eta_seconds:
        yield f"about {_minutes(stage.eta_seconds)} left"
    if stage.running:
        yield f"{plural(len(stage.running), 'shard')} running"
    yield from map(_running_line, stage.running[:10])
    if len(stage.running) > 10:
        yield f"and {len(stage.running) - 10:,} more"


def _running_line(shard: RunningShard) -> str:
    word = "[yellow]slow[/yellow]" if shard.straggler else "running"
    return f"{word} {as_markup(shard.shard)} for {_minutes(shard.seconds)} on {as_markup(shard.host)}"


def _is_fact(name: str, value: object) -> bool:
    return isinstance(value, int | float | str) and name != "warning"


def _fact(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "bytes" and isinstance(value, int):
        return size(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if isinstance(value, float) else as_markup(str(value))


def dry_run(estimate: Estimate) -> str:
    """What a run is expected to take."""
    pairs, matched = short(estimate.pairs), short(estimate.matched)
    rows = f"{estimate.rows:,}" if estimate.exact_rows else f"about {estimate.rows:,}"
    return in_lines(
        [
            f"pool        {plural(estimate.files, 'file')}, {size(estimate.bytes)}, {rows} records in {plural(estimate.shards, 'shard')}",
            *(f"unreadable  {what}" for what in estimate.unread),
            *(f"files       {note}" for note in estimate.skipped),
            f"columns     {'; '.join(estimate.notes)}",
            f"pairs       about {pairs}; about {matched} match an entry, {estimate.matches_per_pair:.1f} matches each",
            f"time        about {_minutes(estimate.seconds)} with {plural(estimate.workers, 'worker')}",
            f"disk        up to {size(estimate.disk_bytes)}, if every matched pair is kept",
            f"memory      about {size(estimate.memory_bytes)}, for a pool of any size",
            "nothing was written; run without --dry-run to start",
        ]
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def text_matches(found: TextMatches) -> RenderableType:
    """The entries that one caption matches, with their counts and probabilities if a run is given, and what it does not match and why."""
    parts: list[RenderableType] = []
    with_counts = found.keep_probability is not None
    if found.entries:
        table = ScreenTable()
        table.add_numbers("id")
        table.add_texts("entry")
        if with_counts:
            table.add_numbers("count", "entry prob.")
        for entry in found.entries:
            more = [f"{entry.count:,}", f"{entry.entry_probability:.4g}"] if with_counts else []
            table.add_row(str(entry.id), Text(visible(entry.entry)), *more)
        parts.append(table)
    else:
        parts.append(Text(f"{found.caption!r} matches no entry"))
    lines = [
        f"{visible(miss.entry)!r}: {miss.reason}{f' (--mode {miss.mode} matches it)' if miss.mode else ''}" for miss in found.near_misses
    ]
    lines = lines[:NEAR_SHOWN] + ([f"and {len(lines) - NEAR_SHOWN:,} more entries"] if len(lines) > NEAR_SHOWN else [])
    if lines:
        parts.append(Text("\nnearly matched, but not in this mode:" if found.entries else "it nearly matches:"))
    parts += [Text(f"  {printable(line)}") for line in lines]
    if found.unlisted:
        parts.append(Text(f"not in the entry list: {', '.join(map(repr, map(visible, found.unlisted)))}"))
    if with_counts:
        parts.append(Text(f"\nkept with probability {found.keep_probability:.6g}\n(t = {found.t:,.6g}, {found.why_t})"))
    return Group(*parts)


def in_lines(lines: Iterable[str]) -> str:
    """Join lines; line breaks and control characters inside a line are escaped."""
    return "\n".join(map(printable, lines))
