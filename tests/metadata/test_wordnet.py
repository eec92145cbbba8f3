from __future__ import annotations

from pathlib import Path

import pytest

import tallyclip as tc
from tallyclip.metadata.wordnet import main, wordnet_entries

INSTALLED = Path("/usr/share/wordnet")

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"
FILES = {
    "data.noun": LICENCE
    + "00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is\n"
    + "00001930 03 n 02 physical_entity 0 body 0 007 @ 00001740 n 0000 | an entity\n"
    + "00002137 03 n 01 St._Louis 0 001 @ 00001740 n 0000 | a city\n",
    "data.verb": "00001740 29 v 04 breathe 0 take_a_breath 0 respire 0 suspire 3 020 * | draw air\n",
    "data.adj": "00001740 00 a 01 able 0 005 = 05200169 n 0000 | having\n00002312 00 a 02 elect(ip) 0 chosen(a) 0 000 | elected\n",
    "data.adv": "00001837 02 r 01 .22 0 002 \\ 02 r 0000 | of a calibre\n00001980 02 r 01 Entity 0 002 | again\n",
}


def test_the_installed_database_gives_the_bundled_list(tmp_path: Path) -> None:
    if not (INSTALLED / "data.noun").exists():
        pytest.skip("WordNet's database files are not installed (Debian: wordnet-base)")
    built, bundled = wordnet_entries(INSTALLED), tc.Metadata.wordnet()
    assert len(built) == 86_654
    assert built.fingerprint == bundled.fingerprint
    main(str(INSTALLED), str(tmp_path / "list.txt.zst"))
    assert tc.Metadata.load(str(tmp_path / "list.txt.zst")).fingerprint == bundled.fingerprint


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_the_rule_names_each_synset_by_its_first_lemma(tmp_path: Path) -> None:
    entries = wordnet_entries(write(tmp_path, FILES)).entries
    assert entries[:100] == tuple(str(number) for number in range(100))
    assert entries[100:] == ("entity", "physical entity", "st", "breathe", "able", "elect")


def test_a_missing_or_other_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(tc.ArtefactError, match=r"data\.noun: no such file"):
        wordnet_entries(tmp_path)
    write(tmp_path, FILES | {"data.verb": "what is this\n"})
    with pytest.raises(tc.ArtefactError, match=r"data\.verb: not a data file of WordNet"):
        wordnet_entries(tmp_path)
