from __future__ import annotations

import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

import tallyclip as tc
from tallyclip.lists.check import MODES, Check, check
from tallyclip.lists.classes import class_lists, packaged_lines, read_classes
from tallyclip.lists.compare import sample
from tallyclip.match.coverage import GLUED_MARK, LINE_BREAK, unmatchable_entries
from tests.match.strategies import entry_lists

COMBINED = "Zoe\u0308"
LIST = tc.Metadata(
    [
        "dog",
        "St. Louis",
        "Dog",
        "Zoë",
        COMBINED,
        "the",
        "a",
        "42",
        "٣",
        "...",
        "+ $",
        "😀",
        " odd",
        "o  dd",
        "a\u200bb",
        "tab\there",
        "x" * 257,
    ],
    sources=["wordnet"] * 3 + ["unigram"] * 12 + [None, None],
)


def test_every_kind_of_entry_is_counted_and_shown() -> None:
    found = check(LIST, {})
    assert found.entries == 17
    assert (found.case_repeats.count, found.case_repeats.groups) == (1, [["dog", "Dog"]])
    assert (found.nfc_repeats.count, found.nfc_repeats.groups) == (1, [["Zoë", COMBINED]])
    kinds = ("not_nfc", "marks", "spaces", "controls", "stop_words", "single", "numerals")
    assert {kind: getattr(found, kind).samples for kind in kinds} == {
        "not_nfc": [COMBINED],
        "marks": ["...", "+ $"],
        "spaces": [" odd", "o  dd"],
        "controls": ["a\u200bb", "tab\there"],
        "stop_words": ["the", "a"],
        "single": ["a", "٣", "😀"],
        "numerals": ["42", "٣"],
    }
    assert all(getattr(found, kind).count == len(getattr(found, kind).samples) for kind in kinds)
    assert (found.long.count, found.long.samples) == (1, ["x" * 256 + "…"])


def test_the_first_of_each_kind_is_no_repeat() -> None:
    repeats = check(tc.Metadata(["dog", "a.b", "Dog", "cat", "DOG", "A.b", "x"]), {}).case_repeats
    assert (repeats.count, repeats.groups) == (3, [["dog", "Dog", "DOG"], ["a.b", "A.b"]])


def test_sources_that_take_turns_are_put_together() -> None:
    x, y = check(tc.Metadata(["a.1", "a.2", "a.3", "a.4"], sources=["x", "y", "x", "y"]), {}).sources
    assert [[one.samples for one in source.unmatchable["exact"].reasons] for source in (x, y)] == [[["a.1", "a.3"]], [["a.2", "a.4"]]]


def test_sources_are_told_with_what_no_text_can_name() -> None:
    wordnet, unigram, none = check(LIST, {}).sources
    assert [(source.source, source.entries) for source in (wordnet, unigram, none)] == [("wordnet", 3), ("unigram", 12), ("not given", 2)]
    for mode in ("exact", "casefold"):
        (reason,) = wordnet.unmatchable[mode].reasons
        assert (wordnet.unmatchable[mode].count, reason.reason, reason.count, reason.samples) == (1, GLUED_MARK, 1, ["St. Louis"])
        assert [(one.reason, one.samples) for one in unigram.unmatchable[mode].reasons] == [(GLUED_MARK, ["..."])]
        assert [(one.reason, one.samples) for one in none.unmatchable[mode].reasons] == [(LINE_BREAK, ["tab\there"])]
    assert all(source.unmatchable["spaced-entries"].count == 0 for source in (wordnet, unigram, none))


def test_letters_may_be_joined_and_parted_by_characters_that_cannot_be_seen() -> None:
    found = check(tc.Metadata(["می\u200cخواهم", "क्\u200dष", "👩\u200d🚀", "soft\u00adhyphen", "\ufeffbom", "bell\a", "new\u2028line"]), {})
    assert found.controls.samples == ["soft\u00adhyphen", "\ufeffbom", "bell\a"]


@given(entry_lists(12))
def test_a_check_says_what_slow_counting_says(entries: list[str]) -> None:
    sources = ["x" if i % 3 else None for i in range(len(entries))]
    found = check(tc.Metadata(entries, sources), {})
    assert sum(source.entries for source in found.sources) == len(entries)
    for mode in MODES:
        slow = unmatchable_entries(entries, mode)
        reasons = [one for source in found.sources for one in source.unmatchable[mode].reasons]
        assert sum(source.unmatchable[mode].count for source in found.sources) == sum(map(len, slow.values()))
        assert {reason: sum(one.count for one in reasons if one.reason == reason) for reason in slow} == {
            r: len(i) for r, i in slow.items()
        }
    assert found.case_repeats.count == len(entries) - len({entry.casefold() for entry in entries})
    assert found.nfc_repeats.count == len(entries) - len({unicodedata.normalize("NFC", entry) for entry in entries})
    assert all(len(group) > 1 for group in found.case_repeats.groups)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Check) == found


@given(entry_lists(6))
def test_an_entry_not_in_nfc_is_named_by_no_text_in_nfc(entries: list[str]) -> None:
    entries = list(dict.fromkeys(unicodedata.normalize("NFD", entry) for entry in entries))
    metadata = tc.Metadata(entries)
    named = tc.match_reference([unicodedata.normalize("NFC", entry) for entry in entries], metadata).entry_ids.tolist()
    assert not {sample(entries[i]) for i in named} & set(check(metadata, {}).not_nfc.samples)


def test_findings_begin_with_what_matters_most() -> None:
    said = check(LIST, {"mine": ["dog", "LOUIS", "DOG"]}).findings
    assert said[0].startswith("3 of 17 entries (17.6%) can never be matched in exact mode, 3 in casefold mode")
    assert "in Unicode's form NFC" in said[1]
    assert said[-2] == "1 of 3 class names of 'mine' are entries, and 1 more in another case"
    assert said[-1].startswith("2 entries are English stop words, which does no harm")


def test_findings_of_a_good_list_say_so() -> None:
    assert check(tc.Metadata(["dog", "cat"]), {}).findings == [
        "no problems: every entry can be matched in every mode, and no two are alike"
    ]


def test_class_names_are_entries_or_but_for_their_case_or_not() -> None:
    (found,) = check(LIST, {"mine\ud800": ["dog", "DOG", "ZOË", "cat", "cat", "x" * 300]}).classes
    assert (found.name, found.names, found.exact, found.folded) == ("mine\\ud800", 5, 1, 2)
    assert (found.missing.count, found.missing.samples) == (2, ["cat", "x" * 256 + "…"])


def test_the_bundled_lists_are_looked_for_unless_others_are_given() -> None:
    assert [(one.name, one.names) for one in check(LIST).classes] == [("CIFAR-10", 10), ("CIFAR-100", 100), ("ImageNet-1k", 998)]


def test_the_bundled_entries_have_nothing_wrong() -> None:
    found = check(tc.Metadata.wordnet())
    assert found.findings[0].startswith("no problems")
    assert [(one.exact, one.folded) for one in found.classes] == [(10, 0), (92, 0), (640, 95)]


def test_a_list_of_half_a_million_is_checked(shared_data: Path) -> None:
    found = check(tc.Metadata.load(shared_data / "derived" / "standin-metadata.json.gz"))
    assert found.sources[0].unmatchable["exact"].count == 1453
    assert [(one.exact, one.folded) for one in found.classes] == [(10, 0), (97, 0), (726, 85)]
    assert (found.case_repeats.count, len(found.case_repeats.groups)) == (127_709, 20)


def test_the_bundled_class_lists_are_what_they_are_called() -> None:
    lists = class_lists()
    assert {name: (len(names), len(set(names))) for name, names in lists.items()} == {
        "CIFAR-10": (10, 10),
        "CIFAR-100": (100, 100),
        "ImageNet-1k": (1000, 998),
    }
    assert (lists["ImageNet-1k"][0], lists["ImageNet-1k"][504], lists["ImageNet-1k"][-1]) == ("tench", "coffee mug", "toilet paper")
    assert lists["CIFAR-100"] == sorted(lists["CIFAR-100"])
    assert all(name == name.strip() and name for names in lists.values() for name in names)


def test_stop_words_are_different_words_in_lower_case() -> None:
    words = packaged_lines("stop-words.txt")
    assert len(words) == len(set(words)) > 120
    assert all(word.isalpha() and word.islower() for word in words)


PYTHON = '''\
"""Class names, as evaluations of others have them."""
import os
raise SystemExit("this is not run")
birds: list[str] = ["tit", "wren", "\\d"]
fish = FISH = ("tench", "ray")
computed = [os.name]
numbers = [1, 2]
by_task = {"task one": ["a", "b"], "task two": ("c",), "size": 3}
a, b = ["x"], ["y"]
def f():
    inner = ["no"]
'''


@pytest.mark.parametrize(
    ("name", "content", "lists"),
    [
        ("pets.txt", "\ufeffAbyssinian\r\n\r\n  Basset Hound \n", {"pets": ["Abyssinian", "Basset Hound"]}),
        ("pets.json", '["Abyssinian", "", "caf\\u00e9"]', {"pets": ["Abyssinian", "café"]}),
        ("en_classnames.json", '{"gtsrb": ["stop"], "none": [""], "mnist": ["0", "1"]}', {"gtsrb": ["stop"], "mnist": ["0", "1"]}),
        (
            "names.py",
            PYTHON,
            {
                "birds": ["tit", "wren", "\\d"],
                "fish": ["tench", "ray"],
                "FISH": ["tench", "ray"],
                "task one": ["a", "b"],
                "task two": ["c"],
            },
        ),
    ],
)
def test_lists_of_names_are_read(name: str, content: str, lists: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert read_classes(tmp_path / name) == lists


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"dog", "not a file of class names, by its suffix"),
        ("a.txt", b"", "no class names in it"),
        ("a.txt", b"dog\n\xff", "byte 4 is not UTF-8"),
        ("a.json", b'["a", ', "not JSON"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.json", b'["a", 5]', "'a' is not a list of strings"),
        ("a.json", b'{"birds": ["tit"], "fish": {"ray": 1}}', "'fish' is not a list of strings"),
        ("a.json", b'"dog"', "'a' is not a list of strings"),
        ("a.py", b"names = [", "not Python"),
        ("a.py", b"names = \0", "not Python"),
        ("a.py", b"names = " + b"(" * 5000 + b")" * 5000, "not Python"),
        ("a.py", b"names = open('x').read().split()\n", "no class names in it"),
        ("a.txt.gz", b"dog", "not readable as class names"),
    ],
)
def test_what_is_no_list_of_names_is_refused_by_name(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(tc.ArtifactError, match=message) as caught:
        read_classes(tmp_path / name)
    assert str(tmp_path / name) in caught.value.what
    with pytest.raises(tc.ArtifactError, match="no such file"):
        read_classes(tmp_path / "missing.txt")
