"""Steps between reading and matching: filters and language detection."""
