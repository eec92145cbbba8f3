"""Files: opening, downloading, and writing so that a file is either complete or absent."""
