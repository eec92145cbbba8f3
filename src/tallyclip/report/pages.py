"""How pages are made of templates: every value that is shown is escaped, and a name that is missing is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tallyclip.escaping import printable
from tallyclip.report.numbers import decimals, number, percent, short, size, visible

HOUSE = "tallyclip.report"  # the package whose templates all pages may include


def _in_html(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def pages(package: str = HOUSE, finalize: Callable[[Any], Any] = _in_html, *, autoescape: bool = True) -> Environment:
    """What fills in the templates of a package.

    Args:
        package: that has a folder ``templates``; those of the data card can be included too.
        finalize: makes a value safe to show; for HTML, characters that would control a terminal are escaped.
        autoescape: for HTML, where what ``finalize`` returns is escaped as well.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "templates") for name in dict.fromkeys([package, HOUSE])]),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {"decimals": decimals, "number": number, "percent": percent, "short": short, "size": size, "visible": visible}
    environment.filters.update(filters)
    return environment
