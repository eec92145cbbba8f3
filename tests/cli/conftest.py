"""The run that the tests of the pipeline look at too."""

from tests.stages.conftest import example

__all__ = ["example"]
