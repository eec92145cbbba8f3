from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt64

from tallyclip.core.compiled import compiled, u64
from tallyclip.core.hashing import find_pair, make_pair_table, mix_in, put_pairs

WORD = st.integers(0, 2**64 - 1)
MASK = 2**64 - 1


def splitmix(state: int) -> int:
    """The next number of Java's SplittableRandom, as Steele, Lea and Flood print it."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@compiled
def find_all(table: UInt64[np.ndarray, " T"], keys: UInt64[np.ndarray, " N"], values: UInt64[np.ndarray, " N"]) -> None:
    for i in range(u64(len(keys))):
        values[i] = find_pair(table, keys[i])


def test_the_first_numbers_of_splitmix_are_the_published_ones() -> None:
    states = np.array([(1234567 + step * 0x9E3779B97F4A7C15) & MASK for step in range(3)], np.uint64)
    mix_in(states, np.zeros(3, np.uint64))
    assert states.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]  # the test vectors of Rosetta Code


@given(st.lists(st.tuples(WORD, WORD), max_size=20))
def test_a_number_is_mixed_in_by_one_step_of_splitmix(pairs: list[tuple[int, int]]) -> None:
    hashes, numbers = np.array(pairs, np.uint64).reshape(-1, 2).T.copy()
    mix_in(hashes, numbers)
    assert hashes.tolist() == [splitmix(one ^ other) for one, other in pairs]


@given(st.dictionaries(st.integers(1, 2**64 - 1), WORD, max_size=40), st.lists(WORD))
def test_a_pair_table_is_a_dictionary(pairs: dict[int, int], others: list[int]) -> None:
    table = make_pair_table(len(pairs))
    put_pairs(table, np.array(list(pairs), np.uint64), np.array(list(pairs.values()), np.uint64))
    asked = [*pairs, *others, 0]
    found = np.empty(len(asked), np.uint64)
    find_all(table, np.array(asked, np.uint64), found)
    assert found.tolist() == [pairs.get(key, 0) for key in asked]


@given(st.integers(0, 1000))
def test_a_pair_table_stays_half_empty(pairs: int) -> None:
    slots = len(make_pair_table(pairs)) // 2
    assert slots >= max(2 * pairs, 1)
    assert slots & (slots - 1) == 0


def test_a_later_value_of_a_key_replaces_the_earlier() -> None:
    table, found = make_pair_table(2), np.empty(1, np.uint64)
    put_pairs(table, np.array([7, 7], np.uint64), np.array([1, 2], np.uint64))
    find_all(table, np.array([7], np.uint64), found)
    assert found.tolist() == [2]
