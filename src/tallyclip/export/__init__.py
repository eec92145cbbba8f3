"""Writes results in formats that other tools read."""
