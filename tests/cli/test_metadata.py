"""The commands on entry lists, from what is public to a list that is looked at, and what is said where something is wrong."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import tallyclip as tc
from tallyclip.cli import progress
from tallyclip.cli.built import built_of, files_table, table_1
from tallyclip.cli.progress import Shown
from tallyclip.errors import OptionError
from tallyclip.flows.build_list import ListManifest
from tallyclip.flows.names import bytes_of
from tallyclip.lists.count_tables import NO_COUNT
from tallyclip.lists.recipe import read_recipe
from tallyclip.lists.servers import RemoteFile
from tests.lists.tools import Page, Site, entry, serving, tar_of
from tests.tools import assert_calm, fails, succeeds, tallyclip

WIDTH = 80
WORDNET = {
    "data.noun": "00001740 03 n 01 entity 0 000 | that which is\n00002000 03 n 02 hot_dog 0 frank 0 000 | a sausage\n",
    "data.verb": "00003000 29 v 01 stand_on 0 000 00 | stand\n",
    "data.adj": "00004000 00 a 01 able(p) 0 000 | can\n",
    "data.adv": "00005000 02 r 01 ably 0 000 | well\n",
}
TEXT = "the dog and the cat\n" * 5 + "New York, New York\n" * 4 + "a dog in New York\n" + "-- ++\n"
TITLES = "title\tviews\nGolden_Gate_Bridge\t90\nSnow White\t40\ndog\t30\nTalk:Dog\t99\nodd\n"
RECIPE = """
language = "en"
[wordnet]
files = ["wordnet"]
license = "WordNet license"
[text]
files = ["texts/*.txt"]
[unigrams]
min_count = 2
[bigrams]
score = "pmi"
min_count = 4
[titles]
files = ["titles.tsv"]
min_views = 35
"""
NAMES = ("entity", "hot dog", "stand on", "able", "ably")


def write_inputs(folder: Path, recipe: str = RECIPE) -> Path:
    """A recipe, with what it names beside it."""
    (folder / "wordnet").mkdir(parents=True)
    for name, content in WORDNET.items():
        (folder / "wordnet" / name).write_text(content)
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text(TEXT)
    (folder / "titles.tsv").write_text(TITLES)
    (folder / "mine.toml").write_text(recipe)
    return folder / "mine.toml"


class Built:
    """A list that was built, with what was said."""

    def __init__(self, folder: Path) -> None:
        self.recipe = write_inputs(folder)
        self.out = folder / "list"
        done = tallyclip("metadata", "build", "--recipe", self.recipe, "--out", self.out, "--workers", 1)
        assert done.returncode == 0, done.stderr
        assert_calm(done.stderr)
        self.said, self.progress = done.stdout, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("built"))


@pytest.fixture
def site() -> Iterator[Site]:
    """Servers with the inputs of the recipe FETCHED."""
    with serving() as site:
        site.pages["/wordnet/3.0/WNdb-3.0.tar.gz"] = Page(tar_of({f"dict/{name}": text.encode() for name, text in WORDNET.items()}))
        table = io.BytesIO()
        pq.write_table(pa.table({"id": ["1"], "title": ["Chien"], "text": ["le chien et le chat, le chien"]}), table)
        listed = [entry("20231101.fr/train-0.parquet", table.getvalue())]
        site.pages["/hub/api/datasets/wikimedia/wikipedia/tree/main/20231101.fr"] = Page(json.dumps(listed).encode())
        site.pages["/hub/datasets/wikimedia/wikipedia/resolve/main/20231101.fr/train-0.parquet"] = Page(table.getvalue())
        name = "pageviews-20180413-000000.gz"
        hour = gzip.compress(b"en Dog 90 0\nfr Mont_Blanc 8 0\nfr Paris 2 0\n")
        site.pages["/dumps/other/pageviews/2018/2018-04/"] = Page(f'<a href="{name}">{name}</a>  13-Apr-2018 01:37  {len(hour)}'.encode())
        site.pages[f"/dumps/other/pageviews/2018/2018-04/{name}"] = Page(hour)
        yield site


FETCHED = """
language = "fr"
[wordnet]
files = ["wordnet-3.0"]
[text]
files = ["wikipedia/20231101.{language}/*.parquet"]
[unigrams]
min_count = 2
[titles]
files = ["pageviews/*.gz"]
project = "{language}"
min_hourly_views = 1
min_views = 5
[fetch]
wordnet = "3.0"
wikipedia = "20231101"
pageview_days = ["2018-04-13"]
pageview_hours = [0]
"""


def hosts(site: Site) -> list[str]:
    return [f"--host={name}={url}" for name, url in msgspec.structs.asdict(site.hosts).items()]


def lines(said: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines()]


# building


def test_a_list_is_built_and_described(built: Built) -> None:
    assert lines(built.said)[:7] == [
        ["source", "entries", "share", "matchable", "distinct", "repeats", "paper"],
        ["numerals", "100", "84.7%", "100", "100"],
        ["WordNet", "5", "4.2%", "5", "86,554"],
        ["unigrams", "6", "5.1%", "6", "9", "251,465"],
        ["bigrams", "5", "4.2%", "5", "8", "100,646"],
        ["titles", "2", "1.7%", "2", "3", "61,235"],
        ["total", "118", "118", "500,000"],
    ]
    assert all(len(line) <= WIDTH for line in built.said.splitlines()[:7])
    words = len(TEXT.split()) - 1  # of "--" nothing is left
    assert f"bigrams      no pair of {words} words can have a PMI of 30: ranked by the damped score\n" in built.said
    assert f"counted      1 page, 1 of them articles, with {words} words\n" in built.said
    assert "dropped      " in built.said
    assert f"list         {built.out}/metadata.parquet\n" in built.said
    assert f"inputs       6 files, see {built.out}/manifest.json\n" in built.said


def test_the_list_is_what_the_recipe_says(built: Built) -> None:
    metadata = tc.Metadata.load(built.out / "metadata.parquet")
    assert metadata.entries[100:105] == NAMES
    assert set(metadata.entries[105:111]) == {"the", "dog", "New", "York", "and", "cat"}
    assert set(metadata.entries[111:116]) == {"New York", "the dog", "dog and", "and the", "the cat"}
    assert metadata.entries[116:] == ("Golden Gate Bridge", "Snow White")
    assert metadata.sources is not None
    assert list(dict.fromkeys(metadata.sources)) == ["numeral", "wordnet", "unigram", "bigram", "title"]
    assert f"fingerprint  {metadata.fingerprint}\n" in built.said


def test_progress_speaks_of_bytes_and_of_parts_where_there_are_any(built: Built) -> None:
    assert f"counts: {len(TEXT)} B in 1 part\n" in built.progress
    assert "read: " in built.progress
    assert " in 6 parts\n" in built.progress
    assert "shards" not in built.progress
    assert "0 parts" not in built.progress
    assert " bytes" not in built.progress


def test_the_same_command_again_counts_nothing_and_gives_the_same(built: Built) -> None:
    before = (built.out / "metadata.parquet").read_bytes()
    done = tallyclip("metadata", "build", "--recipe", built.recipe, "--out", built.out, "--memory", "100T")
    assert (done.returncode, done.stdout) == (0, built.said)
    assert done.stderr == ""
    assert (built.out / "metadata.parquet").read_bytes() == before


def test_the_list_can_be_used_and_looked_at(built: Built, tmp_path: Path) -> None:
    name = built.out / "metadata.parquet"
    assert "entries      118\n" in succeeds("metadata", "info", name)
    assert "Golden Gate Bridge" in succeeds("match", "--metadata", name, "--text", "the Golden Gate Bridge at night")
    assert f"{name}, 118 entries" in succeeds("metadata", "check", name).replace("\n", "")
    assert json.loads(succeeds("metadata", "check", name, "--json"))["entries"] == 118
    (tmp_path / "mine.txt").write_text("dog\nwombat\n")
    merged = succeeds("metadata", "merge", name, "mine.txt", "--out", "all.parquet", cwd=tmp_path)
    assert ["mine.txt", "2", "1"] in lines(merged)
    assert tc.Metadata.load(tmp_path / "all.parquet").entries[-1] == "wombat"
    found = succeeds("metadata", "diff", name, tmp_path / "all.parquet")
    assert "only in B\n   'wombat'" in found
    assert json.loads(succeeds("metadata", "diff", name, tmp_path / "all.parquet", "--json"))["only_b"]["count"] == 1


def test_inputs_may_be_elsewhere_and_a_part_that_fails_can_be_skipped(tmp_path: Path) -> None:
    write_inputs(tmp_path / "inputs", "")
    tables = '[unigrams]\ncounts = ["good.tsv", "bad.tsv"]\n'
    (tmp_path / "mine.toml").write_text(tables)
    (tmp_path / "inputs" / "good.tsv").write_text("dog\t5\nodd\n")
    (tmp_path / "inputs" / "bad.tsv").write_text("cat,5\n")
    command = ("metadata", "build", "--recipe", "mine.toml", "--inputs", "inputs", "--out", "list", "--workers", 1)
    said = fails(1, *command, cwd=tmp_path)
    assert f"1 of 2 parts failed:\n  {tmp_path}/inputs/bad.tsv: no usable line: 1 {NO_COUNT}" in said
    assert "--allow-failed-shards" in said
    assert not (tmp_path / "list" / "metadata.parquet").exists()
    accepted = succeeds(*command, "--allow-failed-shards", cwd=tmp_path)
    assert f"unreadable   1 part, such as {tmp_path}/inputs/bad.tsv: " in accepted
    assert f"dropped      1 {NO_COUNT}\n" in accepted
    assert tc.Metadata.load(tmp_path / "list" / "metadata.parquet").entries[100:] == ("dog",)


# fetching


def test_what_a_recipe_names_is_fetched_and_a_list_built_of_it(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FETCHED)
    command = ("metadata", "fetch", "--recipe", "mine.toml", "--out", "inputs", *hosts(site))
    said = succeeds(*command, "--dry-run", cwd=tmp_path)
    assert [line[:2] for line in lines(said)[1:]] == [
        ["inputs/wordnet-3.0", "1"],
        ["inputs/wikipedia/20231101.fr", "1"],
        ["inputs/pageviews", "1"],
        ["total", "3"],
    ]
    assert not (tmp_path / "inputs").exists()
    assert succeeds(*command, cwd=tmp_path) == said
    asked = len(site.asked)
    done = tallyclip(*command, cwd=tmp_path)
    assert done.returncode == 0
    assert "3 files in inputs" in done.stderr
    assert {path for _, path, _ in site.asked[asked:]} <= {path for path in site.pages if "resolve" not in path}  # lists alone
    build = ("metadata", "build", "--recipe", "mine.toml", "--inputs", "inputs", "--out", "list", "--workers", 1)
    assert "French (fr)" in succeeds(*build, cwd=tmp_path)
    assert tc.Metadata.load(tmp_path / "list" / "metadata.parquet").entries[100:] == (*NAMES, "le", "chien", "Mont Blanc")


def test_what_cannot_be_fetched_is_named_and_the_others_are_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FETCHED)
    name = "pageviews/pageviews-20180413-000000.gz"
    del site.pages[f"/dumps/other/pageviews/2018/2018-04/{name.rpartition('/')[2]}"]
    said = fails(1, "metadata", "fetch", "--recipe", "mine.toml", "--out", "inputs", *hosts(site), cwd=tmp_path)
    assert f"failed part {name}: " in said
    assert "1 of 3 files could not be fetched" in said
    assert (tmp_path / "inputs" / "wordnet-3.0" / "data.noun").exists()


# what is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "--recipe", "englsh"), "englsh: cannot read a recipe: No such file or directory Hint: did you mean english?"),
        (
            ("build", "--recipe", "english", "--language", "Thai"),
            "'Thai' is not a known Wikipedia language Hint: did you mean th",
        ),
        (("build", "--recipe", "english", "--memory", "lots"), "--memory lots is not a size Hint: write it as 4G"),
        (("build", "--recipe", "english", "--memory", "-4G"), "--memory -4G is not a size"),
        (("build", "--recipe", "english", "--inputs", "nowhere"), "--inputs nowhere: no such folder"),
        (
            ("build", "--recipe", "typo.toml"),
            "typo.toml: [text] has no key 'file' Hint: did you mean files? the known keys are files, license",
        ),
        (("fetch", "--recipe", "typo.toml"), "typo.toml: [text] has no key 'file'"),
        (("fetch", "--recipe", "plain.toml"), "the recipe has no [fetch]"),
        (("fetch", "--recipe", "nothing.toml"), "the [fetch] table of the recipe names no inputs"),
        (("fetch", "--recipe", "english", "--language", "xx"), "'xx' is not a known Wikipedia language"),
        (
            ("fetch", "--recipe", "english", "--host", "hub=mirror"),
            "--host hub=mirror is not of the form NAME=URL Hint: such as hub=https://mirror.example;",
        ),
        (
            ("fetch", "--recipe", "english", "--host", "hug=http://mirror"),
            "--host hug=http://mirror has an unknown name Hint: such as hub=https://mirror.example; names are hub, dumps, wordnet, omw",
        ),
    ],
)
def test_invalid_options_are_refused_before_anything_is_written(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "typo.toml").write_text("[text]\nfile = ['a']\n")
    (tmp_path / "plain.toml").write_text("[wordnet]\nfiles = ['wordnet']\n")
    (tmp_path / "nothing.toml").write_text("[wordnet]\nfiles = ['wordnet']\n[fetch]\n")
    assert said in " ".join(fails(2, "metadata", *arguments, "--out", "out", cwd=tmp_path).split())
    assert not (tmp_path / "out").exists()


def test_a_shipped_recipe_without_inputs_says_how_to_get_them(tmp_path: Path) -> None:
    said = fails(2, "metadata", "build", "--recipe", "english", "--out", "out", cwd=tmp_path)
    assert f"wordnet.files = wordnet-3.0: there is no file {tmp_path}/wordnet-3.0" in said
    assert "'tallyclip metadata fetch' gets the public ones; --inputs says where they are" in " ".join(said.split())


def test_too_little_memory_is_said_with_what_is_enough(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    command = ("metadata", "build", "--recipe", "mine.toml", "--out", "out", "--workers", 1, "--memory")
    said = fails(2, *command, "10M", cwd=tmp_path)
    assert "--memory 10M is too little for 1 workers" in said
    least = said.split("give at least ")[1].split(",")[0]
    succeeds(*command, least, cwd=tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = fails(2, "metadata", "build", "--recipe", tmp_path / "mine.toml", "--out", tmp_path)
    assert "holds files but no list (mine.toml, texts, titles.tsv)" in " ".join(said.split())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("size", "number"), [("4G", 4 << 30), ("1.5 gib", 3 << 29), ("100MB", 100 << 20), ("7", 7), ("2k", 2048)])
def test_sizes_are_read_as_people_write_them(size: str, number: int) -> None:
    assert bytes_of(size, "--memory") == number


@pytest.mark.parametrize("size", ["", "G", "4X", "-1", "1e9", "٤G", "4GG"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(OptionError, match="is not a size"):
        bytes_of(size, "--memory")


OPTIONS = {
    "build": ["recipe", "out", "language", "inputs", "memory", "workers", "allow-failed-shards"],
    "fetch": ["recipe", "out", "language", "host", "max-download", "workers", "dry-run"],
    "info": ["clean-metadata"],
    "check": ["classes", "json", "clean-metadata"],
    "diff": ["json"],
    "merge": ["out"],
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_fits_the_screen_and_explains_every_option(command: str) -> None:
    said = succeeds("metadata", command, "--help")
    assert all(len(line) <= WIDTH for line in said.splitlines())
    assert all(f"--{option} " in said for option in OPTIONS[command])
    assert "shard" not in said.replace("--allow-failed-shards", "").replace("--shard-timeout", "")  # shards are of pools
    assert "card" not in said


# what is shown


def seen(what: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=WIDTH).print(what)
    return out.getvalue()


def manifest_of(**facts: Any) -> ListManifest:
    """The manifest of a list of all Wikipedias."""
    names = ("numeral", "wordnet", "unigram", "bigram", "title")
    report = {"entries": 251_465, "matchable": 251_465, "repeats": 500_000, "unfit": {"empty": 2}, "drops": {"not UTF-8": 3}}
    sources = [{"source": name, "facts": {"different": 999_999_999, **facts}, **report} for name in names]
    value = {
        "language": {"code": "en", "name": "English", "script": "Latn", "words": "spaces"},
        "entries": 5 * 251_465,
        "fingerprint": "0" * 64,
        "sources": sources,
        "texts": {},
        "inputs": [],
        "failed": [],
        "recipe": {"bigrams": {"min_pmi": 30.0}},
        "command": [],
        "versions": {},
        "finished": "",
    }
    return msgspec.convert(value, ListManifest)


def test_a_shipped_recipe_can_be_taken_as_a_file(tmp_path: Path) -> None:
    said = succeeds("metadata", "recipe", "english")
    (tmp_path / "mine.toml").write_text(said)
    assert read_recipe(str(tmp_path / "mine.toml"))[0] == read_recipe("english")[0]
    assert "did you mean english?" in fails(2, "metadata", "recipe", "englsh")


def test_the_largest_list_fits_the_screen() -> None:
    said = seen(table_1(manifest_of()))
    assert lines(said)[5] == ["titles", "251,465", "20.0%", "251,465", "999,999,999", "500,000", "61,235"]
    assert "…" not in said


def test_build_prints_how_phrases_were_ranked_and_what_was_dropped(tmp_path: Path) -> None:
    by_pmi = built_of(manifest_of(score="pmi", candidates=100_700), tmp_path)
    assert "bigrams      ranked by PMI: 100,700 pairs have a PMI of 30 or more\n" in by_pmi
    assert "dropped      15 not UTF-8\n" in by_pmi
    assert "unfit        10 empty\n" in by_pmi
    assert "bigrams      ranked by the damped score\n" in built_of(manifest_of(score="damped"), tmp_path)
    assert "bigrams " not in built_of(manifest_of(), tmp_path)


def test_files_to_fetch_are_listed_by_folder_and_unknown_sizes_are_marked() -> None:
    files = [RemoteFile("u", f"a/{i}", 3_000_000_000, "sha1:0", "CC0") for i in range(2)]
    assert lines(seen(files_table(files, Path("in"))))[1:] == [["in/a", "2", "6.0", "GB", "2", "CC0"]]
    said = lines(seen(files_table([*files, RemoteFile("u", "b/0", None, None, "[x]")], Path("in"))))
    long = seen(files_table(files, Path("x" * 200)))
    assert long.count("x") == 200
    assert said[2:] == [["in/b", "1", "at", "least", "0", "B", "0", "[x]"], ["total", "3", "at", "least", "6.0", "GB", "2"]]


def test_stages_of_any_unit_are_printed_in_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    shown = Shown(Console(file=out, width=WIDTH))
    for unit, total in (("rows", 4_000_000), ("bytes", 8_000_000), ("pairs", None)):
        shown.start("stage", 3 if total else 0, 1 if total else 0, total, unit)
        shown.advance(2_000_000)
        shown.shard_failed("x", "broken")
        shown.finish("done")
    said = out.getvalue()
    assert "stage: 4,000,000 rows in 3 shards (1 of 3 shards done)\nstage: 2,000,000 of 4,000,000 rows (50%), " in said
    assert "stage: 8.0 MB in 3 parts (1 of 3 parts done)\nstage: 2.0 MB of 8.0 MB (25%), " in said
    assert "stage: 2,000,000 pairs, " in said
    assert "failed shard x: broken" in said
    assert "failed part x: broken" in said
