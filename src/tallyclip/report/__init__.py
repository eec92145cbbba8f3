"""The data card and its plots."""
