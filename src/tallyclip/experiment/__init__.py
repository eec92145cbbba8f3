"""Does curation help? The same training on several sets curated from one pool, each evaluated in the same way."""
