"""The run that the tests of the pipeline look at too."""

from tests.pipeline.conftest import example

__all__ = ["example"]
