"""The controlled experiment: models that differ in their data alone, trained and evaluated by the commands' own code, and compared."""

from tallyclip.experiment.command import Experimented, run, write_world

__all__ = ["Experimented", "run", "write_world"]
