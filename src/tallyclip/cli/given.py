"""Gives a command the options of a function of ``api.py``, and, if it is to have ``--config``, what a file says for those not given."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from tallyclip.cli.config import REPLACES, read_config, wrong_value
from tallyclip.cli.console import choose_progress
from tallyclip.cli.options import HOW, OPTIONS, Quiet, Verbose
from tallyclip.errors import ArtifactError, TallyclipError


def options_of(function: Callable[..., Any], *, config: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the command takes the function's keywords as options, with the same names and defaults, and after them its own.

    An option that the command declares itself is as declared there. The command is called with plain values, as the function is, those of
    ``--config`` among them. If it has a parameter ``context``, that is typer's.
    """

    def give(command: Callable[..., None]) -> Callable[..., None]:
        own = {
            name: parameter
            for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        parameters = {
            name: own.get(name) or parameter.replace(annotation=OPTIONS[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function).parameters.items()
            if name in OPTIONS
        }
        parameters |= own
        if "progress" in inspect.signature(function).parameters:
            parameters |= {name: _flag(name, kind) for name, kind in (("quiet", Quiet), ("verbose", Verbose))}
        if config:
            parameters["config"] = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile)
        parameters["context"] = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        @functools.wraps(command)
        def called(
            context: typer.Context,
            config: str | None = None,  # noqa: ARG001 - its callback has read it
            quiet: bool = False,
            verbose: bool = False,
            **given: Any,
        ) -> None:
            choose_progress(quiet=quiet, verbose=verbose)
            values = {name: value.value if isinstance(value, StrEnum) else value for name, value in given.items()}
            if "pool" in values and not values["pool"]:  # which older versions of click take for given, on the command line
                values["pool"] = context.lookup_default("pool")
            values |= {name: parameters[name].default for name in _replaced(context, values)}
            command(**values, **({"context": context} if "context" in own else {}))

        called.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        called.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
        return called

    return give


def _flag(name: str, kind: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)


def origins(context: typer.Context) -> dict[str, str]:
    """Where the value of each option of a command is from: a flag, the file, or the default."""
    file = os.path.basename(context.params.get("config") or "")
    words = {"COMMANDLINE": "flag", "DEFAULT_MAP": file}
    return {name: words.get(_source(context, name), "default") for name in context.params}


def _source(context: typer.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    if name == "pool" and not context.params[name]:
        return "DEFAULT_MAP"
    return "" if source is None else source.name


def _replaced(context: typer.Context, given: dict[str, Any]) -> list[str]:
    """The options of the file that one on the command line makes void."""
    flags = [name for name in REPLACES if name in given and _source(context, name) == "COMMANDLINE"]
    return [name for flag in flags for name in REPLACES[flag] if name in given and _source(context, name) == "DEFAULT_MAP"]


def _read(context: typer.Context, name: str | None) -> str | None:
    """Make what the file says the defaults of the command, before other options are looked at; typer converts it as if it were typed."""
    if name is None:
        return None
    options = {option.name: option for option in context.command.params}
    values = {key: value for key, value in read_config(name).items() if key in options}
    for key, value in values.items():
        try:
            options[key].process_value(context, value)
        except typer.BadParameter as error:
            raise wrong_value(name, key, value, error.message) from None
        except TallyclipError as error:
            raise ArtifactError(f"{name}: {key}: {error.what}", error.hint) from None
    context.default_map = values
    return name


ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with options by their names in Python, such as tail_share = 0.1; flags win. See 'tallyclip config show'.",
        rich_help_panel=HOW,
        show_default=False,
        is_eager=True,
        callback=_read,
    ),
]
