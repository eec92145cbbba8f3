from __future__ import annotations

import bz2
import gzip
import re
from collections import Counter
from pathlib import Path

import pytest

import tallyclip as tc
from tallyclip.lists.omw import OmwHeader, lemmas, read_header

HEADER = "# Test Wordnet\tfra\thttps://example.org/\tCC BY 4.0\n"


def write(folder: Path, content: str, name: str = "wn-data-fra.tab") -> str:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return str(path)


def read(path: str) -> tuple[list[str], dict[str, int]]:
    drops: Counter[str] = Counter()
    return list(lemmas(path, drops)), dict(drops)


def rows(*forms: str, kind: str = "fra:lemma") -> str:
    return HEADER + "".join(f"{number:08}-n\t{kind}\t{form}\n" for number, form in enumerate(forms))


def test_words_come_in_the_order_of_the_file_with_repeats(tmp_path: Path) -> None:
    path = write(tmp_path, rows("entité", "chauve-souris", "pomme_de_terre", "New York", "entité"))
    assert read_header(path) == OmwHeader("Test Wordnet", "fra", "https://example.org/", "CC BY 4.0")
    assert read(path) == (["entité", "chauve-souris", "pomme de terre", "New York", "entité"], {})


def test_a_packed_file_with_a_mark_and_other_line_ends_is_the_same(tmp_path: Path) -> None:
    content = rows("entité", "pomme_de_terre", "chien")
    plain = write(tmp_path, content)
    packed = write(tmp_path, "\ufeff" + content.replace("\n", "\r\n"), "wn-data-fra.tab.gz")
    assert read_header(packed) == read_header(plain)
    assert read(packed) == read(plain) == (["entité", "pomme de terre", "chien"], {})


def test_some_files_write_lemma_without_the_language(tmp_path: Path) -> None:
    assert read(write(tmp_path, rows("capaz", kind="lemma"))) == (["capaz"], {})


def test_what_gives_no_word_is_counted_by_its_reason(tmp_path: Path) -> None:
    bad = {
        "00000001-n\tfra:lemma:root\tktb": "kind: lemma:root",
        "00000001-n\tfra:lemma:brokenplural\tkutub": "kind: lemma:brokenplural",
        "00000001-n\tfra:def\t0\tce qui est": "kind: def",
        "00000001-n\tfra:exe\t0\tun exemple": "kind: exe",
        "00000001-n\tfra:what\tx": "kind: unknown",
        "00000001-n\tita:lemma\tparola": "lemma of another language",
        "00000001-n\tfra:lemma\t ": "no form",
        "00000001-n\tfra:lemma\t": "no form",
        "00000001-n\tfra:lemma\t\u0640": "no form",
        "00000001-n\tfra:lemma": "not a row of synset, kind and form",
        "00000001-n\tfra:lemma\tun\tdeux": "not a row of synset, kind and form",
        "00000001 n\tfra:lemma\tmot": "not a row of synset, kind and form",
        "": "not a row of synset, kind and form",
        "# more about it": "comment",
        "00000001-n\tfra:lemma\tGAP!": "the language has no such word",
        "00000001-n\tfra:lemma\tPSEUDOGAP!": "the language has no such word",
    }
    path = write(tmp_path, rows("mot") + "".join(f"{row}\n" for row in bad) + "00000009-n\tfra:lemma\tfin\n")
    assert read(path) == (["mot", "fin"], dict(Counter(bad.values())))


def test_a_row_that_is_not_utf8_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "wn-data-fra.tab"
    path.write_bytes(HEADER.encode() + b"00000001-n\tfra:lemma\tcaf\xe9\n00000002-n\tfra:lemma\tcaf\xc3\xa9\n")
    assert read(str(path)) == (["café"], {"not UTF-8": 1})


def test_forms_with_markup_are_dropped_and_others_stay(tmp_path: Path) -> None:
    markup = [
        "[[eerste]] [[verdieping]]",
        "capital{{m}}",
        "cour|cours",
        "log&lt;sub&gt;10",
        "c&#339;ur",
        "Lapsus#La_suite",
        "oie ''(canada)''",
    ]
    clean = ["C#", "R&B", "Dow Jones & Company", "l'été", "cauteloso(a)", "km/h", "+", "isso aí!", "ap. J.-C.", "C++"]
    assert read(write(tmp_path, rows(*markup, *clean))) == (clean, {"markup in the form": len(markup)})


def test_arabic_loses_what_captions_do_not_write(tmp_path: Path) -> None:
    assert read(write(tmp_path, rows("كِيْلُو_مِتْر", "أعْطى شكْلاً لـ", "رحمٰن", "كتاب"))) == (["كيلو متر", "أعطى شكلا ل", "رحمن", "كتاب"], {})


def test_what_chinese_can_leave_out_gives_two_words(tmp_path: Path) -> None:
    assert read(write(tmp_path, rows("红色+的", "有声有色 +的", "快+地", "中意+的人", "的"))) == (
        ["红色", "红色的", "有声有色", "有声有色的", "快", "快地", "中意+的人", "的"],
        {},
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.removeprefix("# "), "its first line is not a header"),
        ("00001740-n\tfra:lemma\tentité\n", "its first line is not a header"),
        ("# Test Wordnet\tfra\tCC BY 4.0\n", "its header has 3 fields, not 4"),
        ("# Test Wordnet\tfra\turl\tCC BY 4.0\tmore\n", "its header has 5 fields, not 4"),
        ("# Test Wordnet, fra\n", "its header has 1 fields, not 4"),
        ("# Test Wordnet\t \turl\tCC BY 4.0\n", "its header has no language"),
        ("\n" + HEADER, "its first line is not a header"),
    ],
)
def test_a_wrong_header_is_refused_and_a_right_one_shown(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path, content)
    for function in (read_header, read):
        with pytest.raises(tc.ArtifactError, match=message) as raised:
            function(path)
        assert raised.value.hint is not None
        assert "# name<TAB>language<TAB>url<TAB>license" in raised.value.hint


def test_a_header_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wn-data-fra.tab"
    path.write_bytes(HEADER.replace("Test", "Français").encode("latin-1"))
    with pytest.raises(tc.ArtifactError, match="its header is not in UTF-8"):
        read_header(str(path))
    path.write_bytes(HEADER.encode("utf-16"))
    with pytest.raises(tc.SourceError, match="the content does not match the suffix") as raised:
        read_header(str(path))
    assert "UTF-16" in str(raised.value)


def test_a_file_that_is_cut_short_empty_or_missing_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path, rows(*map(str, range(1000))), "wn-data-fra.tab.gz"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(tc.SourceError, match=re.escape(str(path))):
        read(str(path))
    path.write_bytes(b"")
    with pytest.raises(tc.SourceError, match=re.escape(str(path))):
        read(str(path))
    with pytest.raises(tc.SourceError, match="none"):
        read(str(tmp_path / "none.tab"))


REAL = {  # words, distinct words, rows without one
    "arb": (37_335, 14_729, 17_631),
    "cmn": (97_751, 71_017, 2),
    "ell": (24_106, 18_219, 18_136),
    "fra": (102_519, 55_233, 128),
    "ind": (106_688, 36_954, 12_862),
    "ita": (62_125, 41_853, 5_132),
    "nld": (60_231, 43_049, 28),
    "por": (74_008, 54_068, 4),
}


@pytest.mark.parametrize("code", REAL)
def test_every_row_of_the_real_files_is_a_word_or_counted(shared_data: Path, code: str) -> None:
    path = shared_data / "omw" / f"wn-data-{code}.tab.gz"
    words, drops = read(str(path))
    assert (len(words), len(set(words)), sum(drops.values())) == REAL[code]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        optional = sum(line.endswith(("+的\n", "+地\n")) and "[" not in line for line in lines)
    with gzip.open(path) as lines:
        assert len(words) - optional + sum(drops.values()) == sum(1 for _ in lines) - 1
    assert read_header(str(path)).language == code


def test_arabic_pages_have_the_words_without_their_vowel_signs(shared_data: Path) -> None:
    pages = bz2.decompress((shared_data / "wikipedia" / "dbpedia-minidumps" / "ar.wiki.xml.bz2").read_bytes()).decode()
    on_pages = set(re.findall("[\u0600-\u06ff]+", pages))
    with gzip.open(shared_data / "omw" / "wn-data-arb.tab.gz", "rt", encoding="utf-8") as lines:
        written = {line.rstrip("\n").split("\t")[2] for line in lines if "\tarb:lemma\t" in line}
    words = set(read(str(shared_data / "omw" / "wn-data-arb.tab.gz"))[0])
    assert len(words & on_pages) > 2 * len(written & on_pages)
