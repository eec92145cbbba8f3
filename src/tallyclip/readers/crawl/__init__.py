"""Crawl files: from WAT and WARC to image URLs and their texts."""
