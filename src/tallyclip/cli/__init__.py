"""The command line: the only place that prints and exits."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point ``tallyclip``. What it needs is imported here, where Ctrl-C can already be answered."""
    try:
        from tallyclip.cli.app import main as run
    except KeyboardInterrupt:
        print("Interrupted. Nothing was started.", file=sys.stderr)
        sys.exit(130)
    run()


__all__ = ["main"]
