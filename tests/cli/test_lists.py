"""What people see of lists that were compared, joined and checked."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

import tallyclip as tc
from tallyclip.cli.lists import check_report, difference_report, merge_report
from tallyclip.lists.check import check
from tallyclip.lists.compare import difference, merge

ODD = [
    "[bold]x[/bold]",
    "[/nothing]",
    "\x1b[31mred",
    "turned\u202earound",
    "猫" * 80,
    "x" * 300,
    "dog",
    "Dog",
    "St. Louis",
    "Zoë",
    "Zoe\u0308",
]
LIST = tc.Metadata(ODD, sources=["wordnet", "[i]titles[/i]", *["unigram"] * 9], ranks=range(1, 12))
OTHER = tc.Metadata(["DOG", "cat", "Zoë"], sources=["wordnet"] * 3)


def seen(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=False).print(what)
    said = out.getvalue()
    assert "\x1b" not in said
    assert "\u202e" not in said
    return "\n".join(line.rstrip() for line in said.splitlines())


def rows(said: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines()]


def test_a_difference_is_printed() -> None:
    said = seen(difference_report("a [x].json", "b.json", difference(LIST, OTHER)))
    assert "A  a [x].json, 11 entries\nB  b.json, 3 entries\n1 entry is in both, in the same order" in said
    assert ["wordnet", "1", "2"] in rows(said)
    assert ["[i]titles[/i]", "1", "0"] in rows(said)
    assert ["total", "10", "2"] in rows(said)
    assert "only in A\n   '[bold]x[/bold]', '[/nothing]', '\\x1b[31mred', 'turned\\u202earound'\n\n" in said
    assert "only in B\n   'DOG', 'cat'" in said
    assert "2 entries of A are in B only in another case\n   'dog' ~ 'DOG', 'Dog' ~ 'DOG'" in said
    assert ["unigram", "->", "wordnet", "1", "'Zoë'"] in rows(said)


def test_lists_that_are_the_same_or_share_nothing_are_called_so() -> None:
    assert seen(difference_report("a", "b", difference(LIST, LIST))).endswith("both have the same 11 entries in the same order")
    assert "no entry is in both" in seen(difference_report("a", "b", difference(OTHER, tc.Metadata(["bird"]))))
    turned = tc.Metadata(OTHER.entries[::-1])
    assert "3 entries are in both, in another order" in seen(difference_report("a", "b", difference(OTHER, turned)))


def test_a_merged_list_is_printed_with_what_each_list_added() -> None:
    said = seen(merge_report(["a.json", "b[x].json"], [LIST, OTHER], merge([LIST, OTHER])))
    assert rows(said)[1:4] == [["a.json", "11", "11"], ["b[x].json", "3", "2"], ["total", "13"]]
    assert "the merged list has no ranks" in said
    assert "ranks" not in seen(merge_report(["a"], [LIST], merge([LIST])))


def test_a_check_is_printed() -> None:
    said = seen(check_report("[b]list[/b].json", check(LIST, {"[b]mine[/b]": ["dog", "DOG", "horse"]})))
    assert said.startswith("[b]list[/b].json, 11 entries\n")
    assert ["[i]titles[/i]", "1", "0", "0", "0"] in rows(said)
    assert ["unigram", "9", "1", "(11.1%)", "0", "1", "(11.1%)"] in rows(said)
    assert ["total", "11", "1", "(9.1%)", "0", "1", "(9.1%)"] in rows(said)
    assert "1 can never be matched in exact mode: the entry has a mark next to another" in said
    assert "   'St. Louis'" in said
    assert "repeat in other case          1  'dog' ~ 'Dog'" in said
    assert "repeat in other NFC form      1  'Zo\\xeb' ~ 'Zoe\\u0308'" in said
    assert "are over 256 characters       1  'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…" in said
    assert "have control characters       2  '\\x1b[31mred', 'turned\\u202earound'" in said
    assert ["[b]mine[/b]", "3", "1", "1", "1", "'horse'"] in rows(said)
    assert said.index("findings") < said.index("- 1 of 11 entries (9.1%) can never be matched in exact mode")
    assert "- 1 of 3 class names of '[b]mine[/b]' are entries, and 1 more in another case" in said


def test_samples_of_a_reason_are_of_every_source() -> None:
    many = tc.Metadata([f"a.{i}" for i in range(60)], sources=["one"] * 30 + ["other"] * 30)
    assert "60 can never be matched" in (said := seen(check_report("x", check(many, {}))))
    assert "'a.0', 'a.30', 'a.1', 'a.31'" in said


def test_a_check_without_lists_of_names_has_no_table_of_them() -> None:
    assert "class names" not in seen(check_report("x", check(OTHER, {})))
