"""The stages of runs and of entry lists, one file each."""
