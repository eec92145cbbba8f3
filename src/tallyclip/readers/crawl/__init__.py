"""Crawl files: from WAT and WARC to image addresses and their texts."""
