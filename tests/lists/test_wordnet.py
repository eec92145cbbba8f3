from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tallyclip as tc
from tallyclip.lists.wordnet import lemmas, synset_names

INSTALLED = Path("/usr/share/wordnet")
SCRIPT = Path(__file__).parents[2] / "scripts" / "wordnet-list"

LICENSE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"
FILES = {
    "data.noun": LICENSE
    + "00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is\n"
    + "00001930 03 n 02 physical_entity 0 body 0 007 @ 00001740 n 0000 | an entity\n"
    + "00002137 03 n 01 St._Louis 0 001 @ 00001740 n 0000 | a city\n",
    "data.verb": "00001740 29 v 04 breathe 0 take_a_breath 0 respire 0 suspire 3 020 * | draw air\n",
    "data.adj": "00001740 00 a 01 able 0 005 = 05200169 n 0000 | having\n00002312 00 a 02 elect(ip) 0 chosen(a) 0 000 | elected\n",
    "data.adv": "00001837 02 r 01 .22 0 002 \\ 02 r 0000 | of a calibre\n00001980 02 r 01 Entity 0 002 | again\n",
}


def list_of(folder: Path, tmp_path: Path) -> tc.Metadata:
    """The list that the script makes from a folder."""
    subprocess.run([sys.executable, SCRIPT, folder, tmp_path / "list.txt.zst"], check=True)
    return tc.Metadata.load(str(tmp_path / "list.txt.zst"))


def test_the_installed_database_gives_the_bundled_list(tmp_path: Path) -> None:
    if not (INSTALLED / "data.noun").exists():
        pytest.skip("WordNet's database files are not installed (Debian: wordnet-base)")
    built = list_of(INSTALLED, tmp_path)
    assert len(built) == 86_654
    assert built.fingerprint == tc.Metadata.wordnet().fingerprint


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_the_script_names_each_synset_by_its_first_lemma_and_each_name_once(tmp_path: Path) -> None:
    entries = list_of(write(tmp_path, FILES), tmp_path).entries
    assert entries[:100] == tuple(str(number) for number in range(100))
    assert entries[100:] == ("entity", "physical entity", "st", "breathe", "able", "elect")


def test_names_come_in_the_order_of_the_files_with_repeats(tmp_path: Path) -> None:
    names = ["entity", "physical entity", "st", "breathe", "able", "elect", "entity"]
    assert list(synset_names(write(tmp_path, FILES))) == names


def test_lemmas_are_all_words_of_all_synsets_as_they_are_written(tmp_path: Path) -> None:
    nouns = ["entity", "physical entity", "body", "St. Louis"]
    others = ["breathe", "take a breath", "respire", "suspire", "able", "elect", "chosen", ".22", "Entity"]
    files = FILES | {"data.noun": FILES["data.noun"].replace("02 physical_entity 0 body 0", "02 physical_entity 0 body f")}
    assert list(lemmas(write(tmp_path, files))) == [*nouns, *others]


def test_the_number_of_lemmas_is_hexadecimal(tmp_path: Path) -> None:
    many = [f"word{number}" for number in range(0x1C)]
    line = "00001740 29 v 1c " + " ".join(f"{word} 0" for word in many) + " 001 @ 00001740 v 0000 | many\n"
    assert [word for word in lemmas(write(tmp_path, FILES | {"data.verb": line})) if word.startswith("word")] == many


def test_the_installed_database_has_its_known_number_of_lemmas() -> None:
    if not (INSTALLED / "data.noun").exists():
        pytest.skip("WordNet's database files are not installed (Debian: wordnet-base)")
    words = list(lemmas(INSTALLED))
    index: dict[str, int] = {}  # which lists each word of a part of speech in lower case, with the number of its synsets
    for path in sorted(INSTALLED.glob("index.????")) + sorted(INSTALLED.glob("index.???")):
        rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("  ")]
        index |= {f"{path.name} {row[0]}": int(row[2]) for row in rows}
    assert {word.lower().replace(" ", "_") for word in words} == {key.split()[1] for key in index}
    assert sum(index.values()) == 206_941  # as the manual says, wnstats(7WN)
    assert len(words) == 206_941 + 37  # synsets that have a word in two cases, such as "ddC" and "DDC"
    assert {"New York", "entity", "galore"} <= set(words)
    assert not any("_" in word or "(" in word for word in words)


def test_a_missing_or_other_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(tc.ArtifactError, match=r"data\.noun: no such file"):
        list(synset_names(tmp_path))
    write(tmp_path, FILES | {"data.verb": "what is this\n"})
    for function in (lambda folder: list(synset_names(folder)), lambda folder: list(lemmas(folder))):
        with pytest.raises(tc.ArtifactError, match=r"data\.verb: not a data file of WordNet: line 1 is 'what is this"):
            function(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no synset in its 0 lines"),
        (LICENSE, "no synset in its 1 lines"),
        (FILES["data.verb"] + "00001741 29 v 04 breathe 0 take_a_breath", "line 2 is '00001741"),
        (FILES["data.verb"] + "00001741 29 v 00 000 | nothing\n", "line 2 is"),
        ("one two three four five six seven\n", "line 1 is 'one two"),
    ],
)
def test_a_file_cut_short_is_refused(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path, FILES | {"data.verb": content})
    with pytest.raises(tc.ArtifactError, match=rf"data\.verb: not a data file of WordNet: {message}"):
        list(lemmas(tmp_path))


@pytest.mark.parametrize("cut", [1, 2, 9])
def test_a_file_cut_short_within_what_a_synset_means_is_refused(tmp_path: Path, cut: int) -> None:
    write(tmp_path, FILES | {"data.verb": FILES["data.verb"][:-cut]})
    with pytest.raises(tc.ArtifactError, match=r"data\.verb: truncated: the last line \(\d+\) does not end with a line break"):
        list(lemmas(tmp_path))


def test_a_file_that_cannot_be_read_as_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "data.adv").write_bytes(b"00001740 02 r 01 caf\xe9 0 000 | in Latin-1\n")
    with pytest.raises(tc.ArtifactError, match=r"data\.adv: not a data file of WordNet: 'utf-8' codec"):
        list(synset_names(tmp_path))
    (tmp_path / "data.adv").unlink()
    (tmp_path / "data.adv").mkdir()
    with pytest.raises(tc.ArtifactError, match=r"data\.adv: cannot be read: Is a directory"):
        list(synset_names(tmp_path))
