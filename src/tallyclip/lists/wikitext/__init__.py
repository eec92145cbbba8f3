"""The prose of pages of wikitext, by eight rules (reference.py); compiled passes apply them at about 250 MB/s (stripper.py)."""
