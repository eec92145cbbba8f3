r"""The prose of a page of wikitext, by rules stated one after the other; the modules beside this one compute the same in compiled passes.

Each rule is applied to the whole text before the next. Three signs that no text has (rule 1) stand for what was there: GAP where something
was that may have been a word, JOIN where something was that has no width, BREAK for a line break that is none in wikitext. Blanks are
spaces; lines end at line breaks and BREAKs; names are compared without regard to the case of ASCII letters.

1.  Control characters other than line breaks, and U+00A0, become spaces.
2.  From left to right: a comment ``<!-- -->``, or to the end without ``-->``, goes and leaves nothing. A tag is ``<`` or ``</``, an ASCII
    name of letters and digits that begins with a letter, a blank, line break or ``/`` or nothing more, anything but ``<`` and ``>``, and
    ``>``. It closes itself if it ends in ``/>``. Two things in a tag may hold ``<`` and ``>``: a value in quotes, and a comment without
    ``<`` or ``>`` of its own. A value begins with ``=``, blanks or line breaks, and a quote, ends at the next quote of that kind, in the
    same line and before any ``</name``, and is followed by a blank, a line break, ``/`` or ``>``. If a tag has a quote that is of no such
    value (one is not closed, or ``O'Brien``), quotes and comments mean nothing in it: it ends at the first ``>``, if no ``<`` comes
    before.
    - an opening tag of an element that holds no prose (``DROPPED``) goes with all up to the end of the first ``</name >`` after it; one
      that closes itself, has no such end or is a closing tag goes alone: a GAP;
    - ``<nowiki>``, whatever kind of tag: a JOIN; up to ``</nowiki >`` none of ``MARKUP`` is markup, but entities (rule 7) are;
    - a tag of ``BREAKS`` becomes a BREAK, any other tag goes and leaves nothing.
3.  Templates, their parameters, and tables go, what is in them included: a GAP for each. Signs are, from left to right: runs of two or
    more ``{`` or ``}``; ``{|`` after a single ``{``, where before it in its line there are only blanks, list markers and GAPs of what this
    rule has left so far; ``|}`` in such a place, if the run of ``}`` is of odd length and a table is open. A run of ``}`` closes three
    or two at a time, three if both runs have them, of the run of ``{`` opened last, its last ones first; tables opened after it are
    given up. A ``|}`` closes the table opened last; templates opened after it are given up. What is left of a run goes on
    as one while it is two or more. At most ``OPEN_BRACES`` are open; the oldest is given up.
4.  ``-{flags|content}-``, for wikis that convert between scripts, without braces and line breaks: flags are of ASCII letters, ``;``,
    ``-`` and blanks, and with a T, an H or nothing but ``-`` all of it goes: a GAP. If the content begins with a code (``zh``, or two or
    three lower-case letters, a hyphen and more) and a colon, what follows up to the next ``;`` stays, without blanks around it, else the
    content.
5.  ``[[target|...|label]]`` leaves the label, or if that is blank the target without a colon at its beginning. It leaves a GAP if the
    target has a colon and before the first is a name given for files, categories or media (``_`` as a blank, blanks around it aside), or
    if it has one and ends like a file (``MEDIA``), or if the link is alone: after the colon comes no blank, before the link in its line
    are only blanks and GAPs, and after it until ``[[`` or the end of the line too (categories and links to other languages, whose
    names differ). Links within go first; one is given up at two line breaks in a row, and of more than ``OPEN_LINKS`` the oldest. Of
    three ``]`` the first closes a single ``[`` within the link, if there is one. If the target begins, behind blanks, as ``EXTERNAL`` says
    and goes on with more than a blank or line break, it is no link within the wiki: all of it stays as it is, for rule 6.
6.  ``[address label]`` without a line break, the address as far as the first blank and beginning as ``EXTERNAL`` says: its label without
    blanks and GAPs around it, or a GAP.
7.  Line by line: list markers, blanks and GAPs at the beginning go, and blanks and GAPs at the end. Then a line that begins with ``{|``
    or ``|-`` goes; of one with ``|}`` that goes; of one that begins and ends with ``=`` these go at both ends; of one with four ``-`` all
    at its beginning go. Within the line, from left to right: of a run of two or more ``'`` four leave one, and more than five those above
    five; ``__WORD__``, in capitals or other scripts, leaves a GAP, and so do two or more of ``{``, ``}``, ``[`` or ``]``; blanks and
    ``,;:'`` behind ``(`` go with a GAP among them, and if ``)`` comes next, both parentheses go with them and leave a GAP; entities of
    HTML 4 and numbers of characters, of however many digits, become these (U+00A0, tabs and line breaks a space).
8.  Of each run of blanks, line breaks, GAPs and JOINs: nothing at either end of the text; else two line breaks if there are two or more,
    or one if there is one; else, with a GAP, nothing before ``,.;:!?)``, and a space if there is a blank or if
    characters of words stand on both sides, which are ASCII letters and digits and all from U+00C0 on but those from U+2000 to U+303F and
    from U+E000 to U+FFFF (mostly punctuation); else a space if there is a blank, else nothing.

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
_NO_TITLE = re.compile(b" *(?:" + b"|".join(EXTERNAL) + rb")[^ \n]", re.IGNORECASE)
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
    """Something opened: where in what has been written, how many braces (0: a table), and whether at the beginning of a line."""

    place: int
    braces: int
    fresh: bool


@dataclass
class _Link:
    """A link opened: where in what has been written, whether at the very beginning of a line, and single brackets open in it."""

    place: int
    fresh: bool
    single: int = 0


def plain_text(text: bytes, names: Collection[bytes]) -> bytes:
    """The prose of one page.

    Args:
        text: wikitext in UTF-8.
        names: of the namespaces whose links are no prose, in lower case as far as they are ASCII.
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
    """Is nothing else in the line so far?"""
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
    if _NO_TITLE.match(content):
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
