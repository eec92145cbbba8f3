"""Arrays in, arrays out: the algorithm, its types and what it is compiled with. Nothing here knows a file, a clock or a process."""
