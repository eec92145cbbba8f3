"""Texts that try to be more than text: for terminals, pages, Markdown, JSON and tables."""

from __future__ import annotations

import re

NASTIES = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;a title\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",  # CSI as one character
    "\r\x1b[2KError: nothing is wrong",
    "line\nError: a line of its own",
    "next\x85line\u2028paragraph\u2029",
    "\x08\x08\x08back",
    "nul\x00",
    "\x7f",
    "turned \u202egnp.exe",
    "\u2066isolated\u2069",
    "zero\u200bwidth \ufeff mark",
    "\ud800 half",
    "[bold]rich[/bold] [/nothing] [link=http://evil.example]x[/link]",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</table></html><!-- ",
    "&lt;b&gt; &amp; &#60;",
    "a | b || c",
    "` `` ``` ~~~",
    "![image](http://evil.example/x.png) [link](http://evil.example) <http://evil.example>",
    "**bold** _em_ ~~gone~~ # head\n# head\n\n- item",
    "{{ card }} {% if %} ${x} %s {0}",
    "# head",
    "- item",
    "1. item",
    "> quote",
    "---",
    "\\ \\| \\n \\x1b",
    "猫 é 👩‍👩‍👧",
]
# What may not reach a terminal or a page as it is: controls but for line breaks, and marks that hide or turn text.
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")  # the colours of our own


def acts(text: str) -> list[str]:
    """What in a text would act on a terminal or hide in a page."""
    return ACTS.findall(text)
