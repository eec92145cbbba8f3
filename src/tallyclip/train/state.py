"""States of loaders: where an epoch is to be resumed, and all that must be the same for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tallyclip.core.arguments import checked_whole, wrong_type
from tallyclip.errors import OptionError, StaleError

OF_DATA = {"run": "of another run, or the run was made again", "shards": "of other shards, or their index was made again"}


def checked_number(name: str, value: object, hint: str) -> int:
    """A number of a state, or of an option: whole, from 0 on, below 2^63.

    Raises:
        ArgumentTypeError: it is no whole number.
        OptionError: it is out of range.
    """
    number = checked_whole(value, f"{name} is a whole number", hint)
    if not 0 <= number < 1 << 63:
        raise OptionError(f"{name} is {number}, which is out of range", hint)
    return number


def check_state(state: object, now: Callable[[int], Mapping[str, Any]], counted: str) -> None:
    """Check that what remained when a state was made is what would be given now.

    Args:
        state: that is to be loaded.
        now: what the state's values must be, by the number of its epoch.
        counted: what the state counts: "samples" or "batches".

    Raises:
        OptionError: it is of other options, or no such state.
        StaleError: it is of another run or other shards.
    """
    hint = f"give what state_dict() gave for a loader that counts {counted}"
    if not isinstance(state, dict):
        raise wrong_type("a state is a dict", state, hint)
    state = cast(dict[str, Any], state)
    missing = [name for name in (counted, "epoch") if name not in state]
    expected: Mapping[str, Any] = {}
    if not missing:
        for name in (counted, "epoch"):
            checked_number(name, state[name], hint)
        expected = now(state["epoch"])
    missing += [name for name in expected if name not in state]
    if missing:
        raise OptionError(f"this state has no {', '.join(missing)}", hint)
    others = [f"{name} {state[name]!r}, not {value!r}" for name, value in expected.items() if name not in OF_DATA and state[name] != value]
    if others:
        raise OptionError(f"this state was made with {', '.join(others)}", "resume with the same options, or begin the epoch anew")
    for name, what in OF_DATA.items():
        if name in expected and state[name] != expected[name]:
            raise StaleError(f"this state is {what}", "begin the epoch anew, or load the state with the run and shards it was made with")
