from __future__ import annotations

import codecs
import re

import pytest
import webencodings
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.readers.crawl import charset
from tallyclip.readers.crawl.charset import codec_of, to_utf8

GERMAN = "Größe und Maß: schöne Grüße aus München. "
RUSSIAN = "Страница о кошках и собаках. "
EURO = "5 €"  # in ISO-8859-15 a byte that any guess reads as another character
CHINESE = "这是一个关于猫和狗的页面，欢迎来到我的网站。"


def page(text: str, head: str = "") -> str:
    return f"<!DOCTYPE html><html><head>{head}<title>A page</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF8", "utf-8"),
        (" utf-8\n", "utf-8"),
        ("ISO-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("ascii", "cp1252"),
        ("gb2312", "gb18030"),
        ("GBK", "gb18030"),
        ("shift_jis", "cp932"),
        ("ks_c_5601-1987", "cp949"),
        ("big5", "big5hkscs"),
        ("utf-16", "utf-16-le"),
        ("none", None),
        ("", None),
        ("base64", None),
        ("iso-2022-kr", None),
        ("x-user-defined", None),
    ],
)
def test_labels_mean_what_they_mean_on_the_web(label: str, codec: str | None) -> None:
    assert codec_of(label) == codec


def test_utf8_passes_as_it_is() -> None:
    content = page(GERMAN).encode()
    assert to_utf8(content) is content
    assert to_utf8(content, "text/html; charset=utf-8") is content
    assert to_utf8(b"\xff", "text/html; charset=utf-8") == b"\xff"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_byte_order_mark_has_the_first_word(mark: bytes) -> None:
    codec = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}[mark]
    text = page(RUSSIAN, '<meta charset="koi8-r">')
    assert to_utf8(mark + text.encode(codec), "text/html; charset=koi8-r").decode() == text


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html; charset=iso-8859-15",
        "text/html;charset='ISO-8859-15'",
        'text/html; charset = "l9" ; x',
        "text/html, text/html; Charset=iso-8859-15, x",
    ],
)
def test_the_server_has_the_second_word(content_type: str) -> None:
    text = page(EURO, '<meta charset="windows-1251">')
    assert to_utf8(text.encode("iso-8859-15"), content_type).decode() == text
    assert to_utf8(text.encode("cp1251"), "text/html; charset=unknown").decode() == text


@pytest.mark.parametrize(
    "meta",
    [
        "<meta charset=iso-8859-15>",
        "<META\nCHARSET = 'iso-8859-15' />",
        '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15">',
        "<meta content='text/html;charset=ISO-8859-15' http-equiv=content-type>",
        "<!-- <meta charset=utf-8> --><meta name=x content='charset=utf-8'><meta charset=none><meta charset=iso-8859-15><meta charset=l1>",
        '<meta name="a > b" charset="iso-8859-15">',
        "<x>" * 2_000 + "<meta charset=iso-8859-15>",
    ],
)
def test_the_page_has_the_third_word(meta: str) -> None:
    text = page(EURO, meta)
    assert to_utf8(text.encode("iso-8859-15")).decode() == text


@pytest.mark.parametrize(
    "head",
    [
        "<meta-x charset=iso-8859-15>",
        "<metacharset=iso-8859-15>",
        "<!-- <meta charset=iso-8859-15>",
        "<x>" * 4_000 + "<meta charset=iso-8859-15>",
    ],
)
def test_other_markup_is_not_a_declaration(head: str) -> None:
    assert to_utf8(page(GERMAN, head).encode()).decode() == page(GERMAN, head)


def test_xml_says_its_charset_where_html_does_not() -> None:
    start = '<?xml version="1.0" encoding="iso-8859-15"?>\n'
    assert to_utf8((start + page(EURO)).encode("iso-8859-15")).decode() == start + page(EURO)
    text = start + page(EURO, "<meta charset=windows-1251>")
    assert to_utf8(text.encode("cp1251")).decode() == text


def test_a_page_that_could_be_read_to_say_that_it_is_utf16_is_utf8() -> None:
    text = page(GERMAN, "<meta charset=utf-16>")
    assert to_utf8(text.encode()).decode() == text


def test_what_cannot_be_decoded_is_replaced() -> None:
    assert to_utf8(b"a \xff b", "text/html; charset=gbk").decode() == "a \ufffd b"
    assert to_utf8(b"a\x81b", "text/html; charset=windows-1252").decode() == "a\ufffdb"


# guesses

UNDECLARED = {
    "utf-8": GERMAN,
    "cp1252": GERMAN,
    "cp1251": RUSSIAN,
    "koi8_r": RUSSIAN,
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń. ",
    "cp1253": "Αυτή είναι μια σελίδα για γάτες και σκύλους. ",
    "cp1256": "هذه صفحة عن القطط والكلاب. مرحبا بكم في موقعي. ",
    "gb18030": CHINESE,
    "big5": "這是一個關於貓和狗的頁面，歡迎來到我的網站。",
    "cp874": "หมาสีน้ำตาลวิ่งเล่นอยู่บนชายหาดกับเด็กผู้ชาย ภาพถ่ายดอกไม้ในสวน ",
    "cp1258": "con cho\u0301 nâu cha\u0323y trên ba\u0303i biê\u0309n cu\u0300ng mô\u0323t câ\u0323u bé đo\u0301 ơ\u0309 Viê\u0323t Nam. ",
    "cp1257": "Rudas šuo bėga paplūdimiu su berniuku. Gėlių nuotrauka sode, žąsys ir ančių šeima. ",
    "cp1255": "כלב חום רץ על החוף עם ילד. תמונה של פרחים בגן. ",
    "cp1254": "Kahverengi köpek plajda çocukla koşuyor. Bahçede çiçeklerin fotoğrafı, güneş ışığı. ",
    "iso8859_2": "Brązowy pies biegnie po plaży z chłopcem. Zdjęcie kwiatów w ogrodzie, ćma i źdźbło. ",
    "koi8_u": "Коричневий собака біжить пляжем із хлопчиком. Світлина квітів у саду, їжак і ґава. ",
    "cp949": "이것은 고양이와 개에 대한 페이지입니다. 환영합니다. ",
    "cp932": "これは猫と犬についてのページです。ようこそ。",
    "euc_jp": "これは猫と犬についてのページです。ようこそ。",
}


@pytest.mark.parametrize("codec", UNDECLARED)
def test_where_nothing_is_said_the_text_tells(codec: str) -> None:
    for before in (0, 100_000):
        text = page(" " * before + UNDECLARED[codec] * 20)
        assert to_utf8(text.encode(codec)).decode() == text


LITHUANIAN = "Rudas šuo bėga paplūdimiu su berniuku, žąsys ir ančių šeima ežere. "
LATVIAN = "Brūns suns skrien pa pludmali ar zēnu, ziedu fotogrāfija dārzā un ķirši. "
HUNGARIAN = "A barna kutya a tengerparton fut egy fiúval, virágok fényképe a kertben, őszi erdő. "
ROMANIAN = "Câinele maro aleargă pe plajă cu un băiat, fotografie cu flori în grădină. "
FRENCH = "Le chien brun court sur la plage avec un garçon, été à la forêt, où l'âne dort. "
POLISH = "Brązowy pies biegnie po plaży z chłopcem, zdjęcie kwiatów w ogrodzie. "


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1257", LITHUANIAN),
        ("cp1257", LATVIAN),
        ("cp1250", HUNGARIAN),
        ("iso8859_2", HUNGARIAN),
        ("cp1250", ROMANIAN),
        ("cp1252", FRENCH),
        ("cp1252", GERMAN),
        ("cp1250", POLISH),
        ("iso8859_2", POLISH),
        ("cp1251", RUSSIAN),
    ],
)
@pytest.mark.parametrize("form", ["running text", "alt texts", "among English"])
def test_letters_with_the_same_bytes_are_those_of_the_language_that_the_text_is_in(codec: str, text: str, form: str) -> None:
    body = text * 6
    if form == "alt texts":
        body = "".join(f"<img src='a{i}.jpg' alt='{word}'>" for i, word in enumerate((text * 6).split()))
    elif form == "among English":
        body = f"<p>{'All rights reserved. Sign in to our newsletter. ' * 50}</p><h1>{text * 3}</h1>{text * 3}<p>{text}"
    written = page(body)
    assert to_utf8(written.encode(codec)).decode() == written


def test_a_page_with_few_stray_bytes_is_still_utf8() -> None:
    content = page(GERMAN * 20).encode() + b"<p>\xa9 2020</p>"
    assert to_utf8(content) is content


def test_guesses_are_reported_and_declarations_are_not() -> None:
    told: list[int] = []
    for content, content_type in ((page(GERMAN).encode(), ""), (page(GERMAN).encode("cp1252"), "text/html; charset=latin1")):
        to_utf8(content, content_type, lambda: told.append(0))
    assert told == []
    to_utf8(page(GERMAN).encode("cp1252"), "text/html", lambda: told.append(0))
    assert told == [0]


def test_a_page_that_was_cut_within_a_letter_is_still_utf8() -> None:
    content = page(CHINESE).encode()
    cut = content[: content.index("猫".encode()) + 1]
    assert to_utf8(cut) is cut


def test_a_stray_byte_elsewhere_does_not_make_utf8_another_charset() -> None:
    content = b"<p>\xe4</p>" + b" " * 20_000 + page(CHINESE * 20).encode()
    assert to_utf8(content) is content


def test_a_page_that_shows_no_charset_is_windows_1252() -> None:
    assert to_utf8(b"<p>caf\xe9</p>").decode() == "<p>café</p>"


@pytest.mark.parametrize("content", [b"\x80", b"\xe4\xf6 ", b"<meta ", b"<!--", b"<meta a='", b"charset="])
def test_the_largest_pages_are_read_in_time_proportional_to_their_size(content: bytes) -> None:
    """The square of it would exceed the time limit of tests."""
    to_utf8(content * ((16 << 20) // len(content)))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("tail", [b"a", b"1", b"abc ", b"abc\n"])
def test_a_long_run_of_ascii_beside_other_letters_is_read_once(tail: bytes) -> None:
    """If a search began at each of its bytes, this would take minutes."""
    content = b"x " + b"\xe9" * 25 + b"\n" + tail * (16_000 // len(tail))
    for _ in range(80):
        assert to_utf8(content).endswith(tail)


# laws

PIECES = {
    charset._MARKUP: re.compile(rb"[^<>\"'=\r\n]*[\x80-\xff][^<>\"'=\r\n]*"),
    charset._NO_LETTERS: re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*"),
}


@given(st.lists(st.sampled_from(list(b"aZ1 -<>\"'=\r\n\x80\xe9\xff"))).map(bytes) | st.binary())
def test_pieces_beyond_ascii_are_the_longest_around_each_such_letter(content: bytes) -> None:
    for separator, longest in PIECES.items():
        assert charset._pieces_beyond_ascii(separator, content) == longest.findall(content)


labels = st.sampled_from(sorted(webencodings.LABELS))
starts = st.sampled_from([b"", *charset.BYTE_ORDER_MARKS, b"<meta charset=", b"<?xml version='1' encoding='", b"\x1b$B", b"\xe4"])


@given(start=starts, content=st.binary(max_size=200), label=labels | st.text(max_size=5))
def test_any_bytes_in_any_charset_give_text(start: bytes, content: bytes, label: str) -> None:
    for content_type in ("", f"text/html; charset={label}"):
        found = to_utf8(start + content, content_type)
        assert (start + content).endswith(found) or found.decode().encode() == found


@given(text=st.text(st.characters(codec="utf-8"), max_size=100), label=labels)
def test_text_in_a_charset_that_is_named_comes_back(text: str, label: str) -> None:
    codec = codec_of(label)
    if codec is None or text.startswith("\ufeff"):
        return
    content = text.encode(codec, "ignore")
    if any(content.startswith(mark) for mark in charset.BYTE_ORDER_MARKS):
        return
    assert to_utf8(content, f"text/html; charset={label}").decode() == content.decode(codec)


@pytest.mark.timeout(60)  # each page took two seconds, and takes a thousandth of one
def test_a_page_with_little_beyond_ascii_is_guessed_at_once() -> None:
    for _ in range(100):
        to_utf8(b"\xe9 " * 40 + b"<" + b"a" * 16_000)
