"""How stages are made: what a stage is, the folder it is made in, and where its work runs."""
