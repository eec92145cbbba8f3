"""The checker of types and shapes that the tests put on every function of arrays."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as type checkers see it
