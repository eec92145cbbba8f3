"""Numbers and text, formatted for reading."""

from __future__ import annotations

from tallyclip.escaping import printable

HUGE = 1e15  # from here on, and at infinity, numbers are in scientific notation
LONGEST = 120  # characters that are shown of a text
BYTE_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def short(value: float, _: object = None) -> str:
    """A number to three digits, with a unit: 1.2M, 20k, 37.

    >>> short(20_000), short(1_234_567), short(0.06), short(0), short(1e300)
    ('20k', '1.23M', '0.06', '0', '1e+300')
    """
    if not abs(value) < HUGE:
        return f"{value:.3g}"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def decades(most: int) -> tuple[list[float], list[str]]:
    """Edges and names of the bins 0, 1 to 9, 10 to 99 and so on, up to one that holds ``most``.

    >>> decades(120)
    ([0, 1, 10, 100, 1000], ['0', '1–9', '10–99', '100–999'])
    """
    edges: list[float] = [0, 1]
    labels = ["0"]
    while edges[-1] <= most or len(labels) == 1:
        low = int(edges[-1])
        edges.append(low * 10)
        labels.append(f"{short(low)}–{low * 10 - 1}" if low < 1000 else f"{short(low)}–{short(low * 10)}")
    return edges, labels


def size(nbytes: float) -> str:
    """A number of bytes in decimal units.

    >>> size(999), size(1_260_000_000), size(999_999), size(163_200)
    ('999 B', '1.3 GB', '1.0 MB', '163 kB')
    """
    for unit, name in BYTE_UNITS:
        value = nbytes / unit
        if value >= 0.9995:
            return f"{value:,.1f} {name}" if value < 99.95 else f"{value:,.0f} {name}"
    return f"{nbytes:.0f} B"


def number(value: float) -> str:
    """A number in full, or to four digits.

    >>> number(1234.0), number(0.060051), number(1e300)
    ('1,234', '0.06005', '1e+300')
    """
    if not abs(value) < HUGE:
        return f"{value:.4g}"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.4g}"


def decimals(value: float, digits: int, *, signed: bool = False) -> str:
    """A number with some decimals and a true minus sign; what rounds to zero has none.

    >>> decimals(-1234.5, 0), decimals(-0.04, 1), decimals(0.26, 1, signed=True), decimals(-0.04, 1, signed=True)
    ('−1,234', '0.0', '+0.3', '0.0')
    """
    rounded = round(value, digits) or 0.0  # no negative zero
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", "−")


def percent(part: float, whole: float = 1) -> str:
    """A share as a percentage.

    >>> percent(1, 8), percent(1, 0)
    ('12.5%', '–')
    """
    return f"{part / whole:.1%}" if whole else "–"


def visible(text: str) -> str:
    """Text with its invisible characters and direction marks escaped; long text is cut.

    >>> visible("a\\tdog"), len(visible("dog" * 1000))
    ('a\\\\tdog', 121)
    """
    return printable(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")
