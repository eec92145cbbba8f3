"""From a recipe to an entry list: inputs are found and counted, candidates ranked, sources put together.

PRELOAD names what a worker needs.
"""

PRELOAD = ("tallyclip.pipeline.metadata.tasks",)
