"""Run folders and the folders of entry lists: what is in them, who may write there, and where the work runs."""
