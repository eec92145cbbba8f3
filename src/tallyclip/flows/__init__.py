"""The order of stages for each command."""
