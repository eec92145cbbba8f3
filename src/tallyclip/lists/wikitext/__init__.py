"""The prose of pages of wikitext: by eight rules (reference.py), which compiled passes follow at some 250 MB/s (stripper.py)."""
