"""Text from data (captions, names of files and columns) made safe to print: one rule for messages, the terminal, pages and JSON."""

from __future__ import annotations

ZERO_WIDTH_JOINER = "\u200d"  # joins emoji, and is harmless


def printable(text: str, keep: str = "") -> str:
    """The text with every character escaped that moves the cursor, is invisible or changes the direction of text.

    These are control characters (terminal escapes begin with one), line breaks, marks of direction, odd spaces and lone surrogates.

    Args:
        text: any text.
        keep: characters not to escape, such as line breaks that we added.

    >>> printable("red \\x1b[31m, a new\\nline, turned \\u202e, 猫 é")
    'red \\\\x1b[31m, a new\\\\nline, turned \\\\u202e, 猫 é'
    """
    if text.isprintable():
        return text
    return "".join(c if _is_safe(c) or c in keep else c.encode("unicode_escape").decode() for c in text)


def printable_json(text: str) -> str:
    """The same JSON, with such characters in its strings as ``\\u`` escapes.

    >>> printable_json('{"turned\\u202e": 1}')
    '{"turned\\\\u202e": 1}'
    """
    if text.isprintable():
        return text
    return "".join(c if _is_safe(c) or c in "\n\r\t" else _json_escape(c) for c in text)


def _is_safe(character: str) -> bool:
    return character.isprintable() or character == ZERO_WIDTH_JOINER


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
