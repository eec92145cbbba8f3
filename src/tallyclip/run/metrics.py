"""What ``status`` shows, as metrics of Prometheus: a text file in its exposition format, for the textfile collector of node_exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tallyclip.io.files import replacing
from tallyclip.run.status import RunStatus, StageStatus

HELP = {
    "tallyclip_shards": "Pieces of work of a stage, by state.",
    "tallyclip_rows_per_second": "Rows a second over the last ten minutes; of some stages bytes, or what else they count.",
    "tallyclip_eta_seconds": "Seconds that the pieces of work take that are known and left.",
    "tallyclip_stage_done": "Whether a stage is whole.",
}


def write_metrics(path: Path, status: RunStatus) -> None:
    """Write the metrics of a run, in one step: a collector reads all of them, or those before.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as part:
        part.write_text(metrics_of(status), encoding="utf-8")


def metrics_of(status: RunStatus) -> str:
    """The metrics of a run; a stage of which something is not known has no value for that."""
    lines: list[str] = []
    for name, help_ in HELP.items():
        values = [_line(name, labels, value) for stage in status.stages for labels, value in _values(name, stage)]
        lines += [f"# HELP {name} {help_}", f"# TYPE {name} gauge", *values]
    return "".join(f"{line}\n" for line in lines)


def _values(name: str, stage: StageStatus) -> Iterator[tuple[dict[str, str], float]]:
    label = {"stage": stage.stage}
    if name == "tallyclip_shards" and stage.shards is not None:
        done, failed, running = stage.shards_done or 0, len(stage.failures), len(stage.running)
        waiting = max(0, stage.shards - done - failed - running) if stage.state != "done" else 0
        counts = {"done": done, "failed": failed, "running": running, "waiting": waiting}
        yield from ((label | {"state": state}, count) for state, count in counts.items())
    if name == "tallyclip_rows_per_second" and stage.rows_per_second is not None:
        yield label, stage.rows_per_second
    if name == "tallyclip_eta_seconds" and stage.eta_seconds is not None:
        yield label, stage.eta_seconds
    if name == "tallyclip_stage_done":
        yield label, int(stage.state == "done")


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}"


def _escaped(text: str) -> str:
    """A label's value, as the format has it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
