"""Experiments: the same small model trained on data that differ in their curation alone, and what its results show."""
