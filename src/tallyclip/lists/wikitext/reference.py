r"""The prose of a page of wikitext, by eight rules, in a slow and obvious way; the modules beside this one do the same in compiled passes.

Each rule is applied to the whole text before the next. Three control characters, which rule 1 removes from texts, mark removed markup: GAP
where a word may have been, JOIN where something without width was, BREAK for a line break of HTML. Blanks are spaces; lines end at line
breaks and BREAKs; names are compared without the case of ASCII letters.

1.  Control characters other than line breaks, and U+00A0, become spaces.
2.  From left to right: a comment ``<!-- -->``, or one to the end without ``-->``, is removed and leaves nothing. A tag is ``<`` or ``</``,
    an ASCII name of letters and digits that begins with a letter; then optionally a blank, line break or ``/`` and anything but ``<`` and
    ``>``; and ``>``. It closes itself if it ends with ``/>``. Two things in a tag may contain ``<`` and ``>``: a value in quotes, and a
    comment without ``<`` or ``>`` of its own. A value begins with ``=``, blanks or line breaks, and a quote, ends at the next quote of that
    kind, in the same line and before any ``</name``, and is followed by a blank, a line break, ``/`` or ``>``. If a tag has a quote that
    does not belong to such a value (an unclosed one, or ``O'Brien``), quotes and comments have no meaning in it: it ends at the first
    ``>``, if there is no ``<`` before.
    - an opening tag of an element without prose (``DROPPED``) is removed with everything up to the end of the first ``</name >`` after it;
      one that closes itself or has no such end, and a closing tag, are removed alone: a GAP;
    - ``<nowiki>``, any kind of tag: a JOIN; up to ``</nowiki >`` none of ``MARKUP`` is markup, but entities (rule 7) are;
    - a tag of ``BREAKS`` becomes a BREAK, any other tag is removed and leaves nothing.
3.  Templates, their parameters, and tables are removed with everything in them: a GAP for each. Signs are, from left to right: runs of two
    or more ``{`` or ``}``; ``{|`` after a single ``{``, if only blanks, list markers and GAPs are before it in its line after this rule;
    ``|}`` in such a place, if the run of ``}`` has odd length and a table is open. A run of ``}`` closes three or two at a time (three if
    both runs have them) of the run of ``{`` opened last, its last ones first; tables opened after it are treated as text. A ``|}`` closes
    the table opened last; templates opened after it are treated as text. The rest of a run continues as a run while it is two or more. At
    most ``OPEN_BRACES`` are open; with more, the oldest is treated as text.
4.  ``-{flags|content}-``, for wikis that convert between scripts, without braces and line breaks: flags are ASCII letters, ``;``, ``-`` and
    blanks, and with a T, an H or nothing but ``-`` all of it is removed: a GAP. If the content begins with a code (``zh``, or two or three
    lower-case letters, a hyphen and more) and a colon, the part after it up to the next ``;`` is kept, without blanks around it, else the
    content.
5.  ``[[target|...|label]]`` becomes the label, or if that is blank the target without a colon at its beginning. It becomes a GAP if the
    target has a colon and before the first is a given name of files, categories or media (with ``_`` as a blank, and without blanks around
    it), or if it has one and ends like a file (``MEDIA``), or if the link is alone: there is no blank after the colon, only blanks and GAPs
    are before the link in its line, and also after it up to ``[[`` or the end of the line (categories and links to other languages, with
    various names). Links inside links come first; a link is treated as text at two line breaks in a row, and so is the oldest of more than
    ``OPEN_LINKS``. Of three ``]`` the first closes a single ``[`` inside the link, if there is one. If the target begins, after blanks,
    with one of ``EXTERNAL`` and continues with more than a blank or line break, it is not a link within the wiki, and kept for rule 6.
6.  ``[URL label]`` without a line break, where the URL ends at the first blank and begins with one of ``EXTERNAL``, becomes the label
    without blanks and GAPs around it, or a GAP.
7.  Line by line: list markers, blanks and GAPs are removed at the beginning, and blanks and GAPs at the end. Then a line that begins with
    ``{|`` or ``|-`` is removed; of one that begins with ``|}`` this is removed; of one that begins and ends with ``=``, all ``=`` at both
    ends; of one that begins with four ``-``, all ``-`` at the beginning. In the line, from left to right: a run of two or more ``'``
    becomes one if it has four, and those above five if it has more; ``__WORD__``, in capitals or other scripts, becomes a GAP, and so do
    two or more of ``{``, ``}``, ``[`` or ``]``; blanks and ``,;:'`` after ``(`` are removed if a GAP is among them, and if ``)`` is next,
    they and both parentheses become a GAP; entities of HTML 4 and character numbers, of any number of digits, become their characters
    (U+00A0, tabs and line breaks a space).
8.  Each run of blanks, line breaks, GAPs and JOINs becomes: nothing at either end of the text; else two line breaks if there are two or
    more, or one if there is one; else, with a GAP, nothing before ``,.;:!?)``, and a space if there is a blank or characters of words are
    on both sides, which are ASCII letters and digits and all from U+00C0 on except those from U+2000 to U+303F and from U+E000 to U+FFFF
    (mostly punctuation); else a space if there is a blank, else nothing.

Longer than others for the statement of these rules.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from html.entities import name2codepoint

GAP, JOIN, BREAK = b"\x01", b"\x02", b"\x03"
FIRST_LITERAL = 14
MARKUP = b"{}[]|'=*:_-"  # in <nowiki> each becomes a control character from FIRST_LITERAL on, until rule 8
DROPPED = (
    *("ref", "references", "gallery", "imagemap", "mapframe", "maplink", "timeline", "graph", "score", "hiero", "math", "chem", "ce"),
    *("syntaxhighlight", "source", "pre", "table", "style", "script", "templatestyles", "includeonly", "indicator"),
    *("inputbox", "categorytree", "dynamicpagelist"),
)
BREAKS = (
    *("br", "hr", "p", "div", "center", "blockquote", "poem", "ul", "ol", "li", "dl", "dt", "dd", "tr", "td", "th", "caption"),
    *("h1", "h2", "h3", "h4", "h5", "h6"),
)
OPEN_BRACES, OPEN_LINKS = 4096, 8
LINE_START = b" :*#;" + GAP
MEDIA = (
    *(b".jpg", b".jpeg", b".png", b".gif", b".svg", b".tif", b".tiff", b".webp", b".xcf", b".pdf", b".djvu"),
    *(b".ogg", b".oga", b".ogv", b".opus", b".webm", b".mp3", b".wav", b".flac", b".mid", b".stl"),
)
EXTERNAL = (b"http://", b"https://", b"ftp://", b"irc://", b"//", b"mailto:", b"news:")
ENTITIES = {name.encode(): code for name, code in name2codepoint.items()} | {b"apos": 0x27}

_VALUE = rb"=[ \n]*%(quote)s(?:(?!</(?i:\2))[^\n%(quote)s])*%(quote)s(?=[ \n/>])"
_VALUES = b"|".join(_VALUE % {b"quote": quote} for quote in (b'"', b"'"))
_TAG = re.compile(
    rb"<!--|<(/?)([A-Za-z][A-Za-z0-9]*)(?=[ \n/>])"
    rb"(?:(?:[^<>\"'=]|=(?![ \n]*[\"'])|" + _VALUES + rb"|<!--[^<>]*-->)*+>|[^<>]*>)"
)
_BRACES = re.compile(rb"\{{2,}|\}{2,}|\{\||\|\}+")
_CONVERTED = re.compile(rb"-\{(?:([A-Za-z; -]*)\|)?([^{}\n]*)\}-")
_VARIANT = re.compile(rb" *(?:zh|[a-z]{2,3}-[a-z-]+) *:([^;]*)")
_LINK_SIGN = re.compile(rb"\[\[?|\]|\n\n")
_AFTER_ALONE = re.compile(rb"[ \x01]*(?:[\n\x03]|\Z|\[\[)")
_EXTERNAL = re.compile(rb"\[(?:" + b"|".join(EXTERNAL) + rb")[^ \n\]]*([^\]\n]*)\]", re.IGNORECASE)
_URL = re.compile(b" *(?:" + b"|".join(EXTERNAL) + rb")[^ \n]", re.IGNORECASE)
_INLINE = re.compile(
    rb"'{2,}|__[A-Z\x80-\xff]+(?:_[A-Z\x80-\xff]+)*__|\{{2,}|\}{2,}|\[{2,}|\]{2,}|\([ ,;:']*\x01[ ,;:'\x01]*\)?"
    rb"|&(?:[A-Za-z][A-Za-z0-9]{0,9}|#[0-9]+|#[xX][0-9a-fA-F]+);"
)
_RUN = re.compile(rb"[ \n\x01\x02]+")
_LETTER = rb"(?:[A-Za-z0-9]|[\xc3-\xdf\xe0\xe1\xe4-\xed\xf0-\xf4][\x80-\xbf]|\xe3[\x81-\xbf])"
_WORD_ENDS, _WORD_BEGINS = re.compile(_LETTER + rb"[\x80-\xbf]{0,2}\Z"), re.compile(_LETTER)
_CONTROLS = bytes(32 if (code < 32 and code != 10) or code == 127 else code for code in range(256))
_LITERALS = bytes(range(FIRST_LITERAL, FIRST_LITERAL + len(MARKUP)))
_AS_LITERAL, _AS_MARKUP = bytes.maketrans(MARKUP, _LITERALS), bytes.maketrans(_LITERALS, MARKUP)


@dataclass
class _Open:
    """An open template or table: its position in the output, how many braces it has (0: a table), whether it is at the start of a line."""

    place: int
    braces: int
    fresh: bool


@dataclass
class _Link:
    """An open link: its position in the output, whether it is at the start of a line, and how many single brackets are open in it."""

    place: int
    fresh: bool
    single: int = 0


def plain_text(text: bytes, names: Collection[bytes]) -> bytes:
    """The prose of one page.

    Args:
        text: wikitext in UTF-8.
        names: of the namespaces whose links are not prose, with ASCII letters in lower case.
    """
    text = text.translate(_CONTROLS).replace(b"\xc2\xa0", b" ")
    text = _without_tags(text)
    text = _without_templates(text)
    text = _CONVERTED.sub(_converted, text)
    text = _without_links(text, names)
    text = _EXTERNAL.sub(lambda link: link[1].strip(b" " + GAP) or GAP, text)
    text = b"\n".join(map(_line, text.replace(BREAK, b"\n").split(b"\n")))
    return _RUN.sub(_spacing, text).translate(_AS_MARKUP)


def _without_tags(text: bytes) -> bytes:
    out, at = b"", 0
    while tag := _TAG.search(text, at):
        out += text[at : tag.start()]
        at = tag.end()
        if tag[0] == b"<!--":
            end = text.find(b"-->", at)
            at = end + 3 if end >= 0 else len(text)
            continue
        name = tag[2].lower().decode()
        closing = None
        if not tag[1] and not tag[0].endswith(b"/>"):
            closing = re.compile(b"</" + tag[2] + rb"[ \n]*>", re.IGNORECASE).search(text, at)
        if name in DROPPED:
            out += GAP
            at = closing.end() if closing else at
        elif name == "nowiki":
            out += JOIN
            if closing:
                out += text[at : closing.start()].translate(_AS_LITERAL) + JOIN
                at = closing.end()
        elif name in BREAKS:
            out += BREAK
    return out + text[at:]


def _without_templates(text: bytes) -> bytes:
    out, at = bytearray(), 0
    stack: deque[_Open] = deque(maxlen=OPEN_BRACES)
    for token in _BRACES.finditer(text):
        out += text[at : token.start()]
        at = token.end()
        sign = token[0]
        fresh = _only(LINE_START, out)
        if sign[:1] == b"{":
            if sign != b"{|" or fresh:
                stack.append(_Open(len(out), 0 if sign == b"{|" else len(sign), fresh))
            out += sign
            continue
        if sign[:1] == b"|":
            if fresh and len(sign) % 2 == 0 and any(one.braces == 0 for one in stack):
                while stack[-1].braces:
                    stack.pop()
                del out[stack.pop().place :]
                out += GAP
                sign = sign[2:]
            else:
                out += b"|"
                sign = sign[1:]
        left = len(sign)
        while left >= 2 and any(one.braces for one in stack):
            while not stack[-1].braces:
                stack.pop()
            last = stack[-1]
            closed = min(3, left, last.braces)
            left -= closed
            last.braces -= closed
            del out[last.place + last.braces :]
            out += GAP
            if last.braces < 2:
                stack.pop()
        out += b"}" * left
    return bytes(out + text[at:])


def _only(allowed: bytes, out: bytearray) -> bool:
    """Whether the line so far has only these bytes."""
    return set(out[max(out.rfind(b"\n"), out.rfind(BREAK)) + 1 :]) <= set(allowed)


def _converted(match: re.Match[bytes]) -> bytes:
    flags, content = match[1], match[2]
    if flags is not None and (b"T" in flags or b"H" in flags or flags.strip() == b"-"):
        return GAP
    variant = _VARIANT.match(content)
    return variant[1].strip(b" ") if variant else content


def _without_links(text: bytes, names: Collection[bytes]) -> bytes:
    out, at = bytearray(), 0
    stack: deque[_Link] = deque(maxlen=OPEN_LINKS)
    while token := _LINK_SIGN.search(text, at):
        out += text[at : token.start()]
        at = token.end()
        sign = token[0]
        if sign == b"]" and stack and text[at : at + 1] == b"]" and not (stack[-1].single and text[at + 1 : at + 2] == b"]"):
            at += 1
            link = stack.pop()
            content = bytes(out[link.place + 2 :])
            del out[link.place :]
            out += _link(content, names, link.fresh and _AFTER_ALONE.match(text, at) is not None)
            continue
        if sign == b"[[":
            stack.append(_Link(len(out), _only(b" " + GAP, out)))
        elif sign == b"\n\n":
            stack.clear()
        elif stack:
            stack[-1].single = max(0, stack[-1].single + (1 if sign == b"[" else -1))
        out += sign
    return bytes(out + text[at:])


def _link(content: bytes, names: Collection[bytes], alone: bool) -> bytes:
    if _URL.match(content):
        return b"[[" + content + b"]]"
    target = content.partition(b"|")[0]
    label = content.rpartition(b"|")[2]
    name, colon, rest = target.partition(b":")
    name = name.replace(b"_", b" ").strip(b" ").lower()
    if colon and name:
        if name in names or target.rstrip(b" ").lower().endswith(MEDIA):
            return GAP
        if alone and rest and rest[:1] != b" ":
            return GAP
    if b"|" in content and label.strip(b" " + GAP):
        return label
    return target.lstrip(b" ").removeprefix(b":")


def _line(line: bytes) -> bytes:
    line = line.lstrip(LINE_START).rstrip(b" " + GAP)
    if line.startswith((b"{|", b"|-")):
        return b""
    if line.startswith(b"|}"):
        line = line[2:]
    elif line.startswith(b"=") and line.endswith(b"="):
        line = line.strip(b"=")
    elif line.startswith(b"----"):
        line = line.lstrip(b"-")
    return _INLINE.sub(_inline, line)


def _inline(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if found.startswith(b"'"):
        return b"'" if len(found) == 4 else b"'" * (len(found) - 5)
    if found.startswith(b"(") and not found.endswith(b")"):
        return b"("
    if not found.startswith(b"&"):
        return GAP
    if found.startswith(b"&#"):
        digits, base = (found[3:-1], 16) if found[2:3] in b"xX" else (found[2:-1], 10)
        digits = digits.lstrip(b"0")
        code = int(digits or b"0", base) if len(digits) < 8 else 0
    else:
        code = ENTITIES.get(found[1:-1], 0)
    if code in (9, 10, 13, 0xA0):
        return b" "
    if 0x20 <= code <= 0x7E or 0xA0 < code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code <= 0x10FFFF:
        return chr(code).encode()
    return found


def _spacing(run: re.Match[bytes]) -> bytes:
    start, end = run.span()
    left = run.string[max(0, start - 4) : start].translate(_AS_MARKUP)
    right = run.string[end : end + 2].translate(_AS_MARKUP)
    if not left or not right:
        return b""
    breaks = run[0].count(b"\n")
    if breaks:
        return b"\n" * min(2, breaks)
    if GAP in run[0]:
        if right[:1] in b",.;:!?)":
            return b""
        if _WORD_ENDS.search(left) and _WORD_BEGINS.match(right):
            return b" "
    return b" " if b" " in run[0] else b""
