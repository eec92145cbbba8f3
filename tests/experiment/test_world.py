"""The world: its classes and how frequent they are, its pool, and its evaluation sets."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

import tallyclip as tc
from tallyclip.errors import ArtifactError, OptionError
from tallyclip.evaluation.sets import open_set
from tallyclip.experiment.world.atlas import open_atlas
from tallyclip.experiment.world.captions import plural
from tallyclip.experiment.world.pool import shards_of, write_shard
from tallyclip.experiment.world.sets import TEMPLATES, write_tests
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.experiment.world.things import (
    ENGLISH,
    Thing,
    all_things,
    classes_of,
    classes_of_images,
    counts_of,
    halves,
    others_of,
)
from tests.pictures import members_of

SMALL = WorldSettings(classes=8, pairs=130, pairs_per_shard=50, tests_per_class=3, retrieval=60, decades=1.0)
SEED = 4


def changed(settings: WorldSettings = SMALL, **values: Any) -> WorldSettings:
    return msgspec.structs.replace(settings, **values)


def written(folder: Path, settings: WorldSettings = SMALL, seed: int = SEED) -> Path:
    for number in range(shards_of(settings)):
        write_shard(settings, seed, number, folder / f"{number:05d}.tar")
    return folder


def shard_bytes(folder: Path, settings: WorldSettings = SMALL, seed: int = SEED, number: int = 0) -> bytes:
    write_shard(settings, seed, number, folder / "some.tar")
    return (folder / "some.tar").read_bytes()


def fields_of(folder: Path) -> list[dict[str, Any]]:
    """What the json of each sample says, in order."""
    return [
        json.loads(content) for tar in sorted(folder.glob("*.tar")) for name, content in members_of(tar).items() if name.endswith(".json")
    ]


def pictures_in(folder: Path) -> list[bytes]:
    return [content for tar in sorted(folder.glob("*.tar")) for name, content in members_of(tar).items() if name.endswith(".jpg")]


def captions_of(fields: dict[str, Any]) -> list[str]:
    return [fields["caption"]] if isinstance(fields["caption"], str) else fields["caption"]


def names_in(caption: str, thing: Thing) -> bool:
    """Does a caption name a thing in English?"""
    words = {form.lower() for word in (thing.name, *thing.synonyms) for form in (word, plural(word))}
    return re.search(rf"\b({'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})\b", caption.lower()) is not None


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("world") / "pool")


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "tests"
    write_tests(SMALL, SEED, folder)
    return folder


def test_every_setting_is_documented() -> None:
    documented = re.findall(r"^        (\w+): ", WorldSettings.__doc__ or "", re.MULTILINE)
    assert tuple(name for name in documented if name != "OptionError") == WorldSettings.__struct_fields__


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"classes": 1}, "classes = 1"),
        ({"pairs": 7}, "fewer than the 8 classes"),
        ({"decades": -0.5}, "decades = -0.5"),
        ({"decades": math.nan}, "decades = nan"),
        ({"size": 8}, "size = 8"),
        ({"junk": 0.7, "wrong": 0.4}, "junk = 0.7, wrong = 0.4"),
        ({"foreign": -0.1}, "foreign = -0.1"),
        ({"junk": math.nan}, "junk = nan"),
        ({"styles": []}, "styles is empty"),
        ({"unseen": "noto"}, "unseen = 'noto'"),
        ({"tests_per_class": 0}, "tests_per_class = 0"),
        ({"retrieval": 0}, "retrieval = 0"),
        ({"pairs_per_shard": 0}, "pairs_per_shard = 0"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_and_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match="world") as caught:
        WorldSettings(**(msgspec.structs.asdict(SMALL) | values))
    assert said in caught.value.what
    assert caught.value.hint


def test_the_halves_are_disjoint_and_are_all_things_that_are_entries() -> None:
    found = {name: {thing.code for thing in things} for name, things in halves().items()}
    entries = set(tc.Metadata.wordnet().entries)
    assert not found["development"] & found["report"]
    assert found["development"] | found["report"] == {thing.code for thing in all_things() if thing.name in entries}
    assert found["all"] == {thing.code for thing in all_things()}
    assert [len(found[name]) for name in ("development", "report", "all")] == [245, 246, 1161]


def test_the_halves_stay_as_they_are() -> None:
    """Results on one half stay apart from settings chosen on the other."""
    assert [thing.name for thing in halves()["development"][:3]] == ["telescope", "tamale", "coral"]
    assert [thing.name for thing in halves()["report"][:3]] == ["elevator", "basket", "ice cream"]


@pytest.mark.parametrize("things", ["development", "report", "all"])
def test_classes_are_of_their_half_and_follow_from_the_seed(things: str) -> None:
    settings = changed(classes=100, pairs=1000, things=things)
    names = [thing.name for thing in classes_of(settings, 0)]
    assert names == [thing.name for thing in classes_of(settings, 0)]
    assert names != [thing.name for thing in classes_of(settings, 1)]
    assert len(set(names)) == 100
    assert set(names) <= {thing.name for thing in halves()[things]}
    assert names[:10] == [thing.name for thing in classes_of(changed(settings, classes=10), 0)]
    assert not set(names) & {thing.name for thing in others_of(settings, 0)}


def test_more_classes_than_things_are_refused_with_the_number_there_is() -> None:
    with pytest.raises(OptionError, match="there are 246 things in 'report'") as caught:
        classes_of(changed(classes=300, pairs=1000), 0)
    assert caught.value.hint == 'give at most 246, or things = "all"'
    with pytest.raises(OptionError, match="there are 1,161 things in 'all'"):
        classes_of(changed(classes=1162, pairs=2000, things="all"), 0)


@pytest.mark.parametrize(
    ("classes", "pairs", "decades"), [(240, 40_000, 3.0), (2, 2, 3.0), (100, 150, 4.0), (7, 1000, 0.0), (30, 999, 1.5)]
)
def test_counts_are_a_power_law_that_adds_up_and_every_class_has_an_image(classes: int, pairs: int, decades: float) -> None:
    settings = changed(classes=classes, pairs=pairs, decades=decades)
    counts = counts_of(settings)
    assert counts.sum() == pairs
    assert counts.min() >= 1
    assert (np.diff(counts) <= 0).all()
    law = np.arange(1, classes + 1) ** -(decades / math.log10(classes))
    free = counts > 1
    expected = law[free] * (pairs - (~free).sum()) / law[free].sum()
    assert (np.abs(counts[free] - expected) <= 1).all()
    assert np.bincount(classes_of_images(settings, 3)).tolist() == counts.tolist()
    if pairs == 40_000:
        assert 900 < counts[0] / counts[-1] < 1100


def test_a_pool_has_the_same_bytes_each_time_and_others_with_another_seed(tmp_path: Path) -> None:
    assert shard_bytes(tmp_path) == shard_bytes(tmp_path)
    assert shard_bytes(tmp_path) != shard_bytes(tmp_path, seed=SEED + 1)


def test_a_shard_does_not_depend_on_others(pool: Path, tmp_path: Path) -> None:
    assert shards_of(SMALL) == len(list(pool.iterdir())) == 3
    assert shard_bytes(tmp_path, number=2) == (pool / "00002.tar").read_bytes()
    assert len(fields_of(pool)) == SMALL.pairs


def test_an_image_is_the_same_in_shards_of_another_size(pool: Path, tmp_path: Path) -> None:
    other = written(tmp_path, changed(pairs_per_shard=70))
    assert pictures_in(pool) == pictures_in(other)
    assert [fields["url"] for fields in fields_of(pool)] == [fields["url"] for fields in fields_of(other)]


def test_samples_are_as_img2dataset_writes_them(pool: Path) -> None:
    members = members_of(pool / "00001.tar")
    for number in range(50):
        key = f"00001{number:04d}"
        said = json.loads(members.pop(f"{key}.json"))
        picture = Image.open(BytesIO(members.pop(f"{key}.jpg")))
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (36, 36), "RGB")
        assert list(said) == ["url", "caption", "key", "status", "width", "height"]
        assert said["url"] == f"http://world.example/{SEED}/{50 + number}.jpg"
        assert (said["key"], said["status"], said["width"], said["height"]) == (key, "success", 36, 36)
        if isinstance(said["caption"], str):
            assert members.pop(f"{key}.txt").decode() == said["caption"]
        else:
            assert len(set(said["caption"])) == 2
    assert members == {}


def test_pictures_have_the_size_that_is_asked_for(tmp_path: Path) -> None:
    assert {Image.open(BytesIO(content)).size for content in pictures_in(written(tmp_path, changed(size=50)))} == {(50, 50)}


@pytest.mark.parametrize(
    ("values", "share"),
    [({"junk": 0.3}, 0.3), ({"wrong": 0.25}, 0.25), ({"foreign": 0.2}, 0.2), ({"junk": 0.2, "wrong": 0.1, "foreign": 0.2}, 0.5), ({}, 0.0)],
)
def test_the_captions_of_a_share_of_images_do_not_name_what_is_on_them(values: dict[str, float], share: float, tmp_path: Path) -> None:
    settings = changed(pairs=1500, pairs_per_shard=1500, size=16, **({"junk": 0.0, "wrong": 0.0, "foreign": 0.0} | values))
    classes, labels = classes_of(settings, SEED), classes_of_images(settings, SEED)
    captions = [captions_of(fields) for fields in fields_of(written(tmp_path, settings))]
    named = [any(names_in(caption, classes[label]) for caption in some) for some, label in zip(captions, labels, strict=True)]
    wanted = 1 - share
    assert abs(np.mean(named) - wanted) <= 5 * math.sqrt(share * wanted / 1500) + 0.02 * (share > 0)
    two = np.mean([len(some) == 2 for some in captions])
    assert abs(two - 0.1) < 5 * math.sqrt(0.1 * 0.9 / 1500)


def test_a_wrong_caption_is_of_a_thing_on_another_image(tmp_path: Path) -> None:
    settings = changed(pairs=300, pairs_per_shard=300, size=16, junk=0.0, wrong=1.0, foreign=0.0)
    classes, labels = classes_of(settings, SEED), classes_of_images(settings, SEED)
    for fields, label in zip(fields_of(written(tmp_path, settings)), labels, strict=True):
        others = [thing for thing in classes if thing is not classes[label]]
        assert all(any(names_in(caption, thing) for thing in others) for caption in captions_of(fields))


def test_foreign_captions_have_names_in_many_languages(tmp_path: Path) -> None:
    settings = changed(pairs=1000, pairs_per_shard=1000, size=16, junk=0.0, wrong=0.0, foreign=1.0)
    classes, labels = classes_of(settings, SEED), classes_of_images(settings, SEED)
    met = Counter[str]()
    for fields, label in zip(fields_of(written(tmp_path, settings)), labels, strict=True):
        names = classes[label].names
        for caption in captions_of(fields):
            languages = [language for language, name in names.items() if language != ENGLISH and name in caption]
            assert languages, caption
            met.update(languages)
    assert len(met) >= 40


def test_junk_is_heavy_tailed(tmp_path: Path) -> None:
    settings = changed(pairs=1500, pairs_per_shard=1500, size=16, junk=1.0, wrong=0.0, foreign=0.0)
    counted = Counter(caption for fields in fields_of(written(tmp_path, settings)) for caption in captions_of(fields))
    assert counted.most_common(1)[0][0] == "image"
    assert counted["image"] > 100
    assert sum(count == 1 for count in counted.values()) > 300


def test_the_pool_is_curated_and_every_sample_has_an_image(pool: Path, tmp_path: Path) -> None:
    run = tc.curate(str(pool), out=tmp_path / "run", t=5, workers=1)
    captions = sum(len(captions_of(fields)) for fields in fields_of(pool))
    of_all = tc.export_index(None, str(pool), out=tmp_path / "all", workers=1).result
    assert (of_all["samples"], of_all["pairs"], of_all["drops"]) == (SMALL.pairs, captions, {})
    assert captions > SMALL.pairs
    curated = tc.export_webdataset(run, str(pool), out=tmp_path / "out", workers=1).result
    assert curated["not_met"] == {}
    assert 0 < curated["pairs"] == curated["curated"] < captions


def test_nothing_in_the_pool_says_the_class_but_captions(pool: Path) -> None:
    assert {name.partition(".")[2] for tar in pool.iterdir() for name in members_of(tar)} == {"jpg", "json", "txt"}


def test_evaluation_sets_open_with_their_classes_and_as_many_pictures_of_each(tests: Path) -> None:
    names = [thing.name for thing in classes_of(SMALL, SEED)]
    for test in ("seen", "unseen"):
        found = open_set(str(tests / test))
        images = list(found.read())
        assert (found.is_retrieval, found.classes, found.images) == (False, names, 24)
        assert found.texts["zeroshot_classification_templates.txt"].splitlines() == list(TEMPLATES)
        assert Counter(image.label for image in images) == dict.fromkeys(range(8), 3)
        assert {image.problem for image in images} == {None}
        assert len({image.content for image in images}) == 24


def test_the_captions_of_the_retrieval_set_name_the_thing_and_tell_its_pictures_apart(tests: Path) -> None:
    classes = classes_of(SMALL, SEED)
    found = open_set(str(tests / "retrieval"))
    images = list(found.read())
    assert (found.is_retrieval, len(images)) == (True, 60)
    captions = [image.captions[0] for image in images]
    assert all(classes[number % 8].name in caption for number, caption in enumerate(captions))
    assert len(set(captions)) == 60


def test_a_small_set_of_pictures_that_differ_ends(tmp_path: Path) -> None:
    """With two classes and more pictures than there are things to say of them, captions come again."""
    settings = changed(classes=2, tests_per_class=1, retrieval=900, size=16)
    write_tests(settings, SEED, tmp_path)
    captions = [image.captions[0] for image in open_set(str(tmp_path / "retrieval")).read()]
    assert len(captions) == 900
    assert len(set(captions)) > 600


def test_no_picture_of_a_test_is_in_the_pool(pool: Path, tests: Path) -> None:
    pictures = set(pictures_in(pool))
    assert len(pictures) == SMALL.pairs
    sets = [[image.content for image in open_set(str(tests / name)).read()] for name in ("seen", "unseen", "retrieval")]
    assert not pictures & {content for some in sets for content in some}
    assert len({content for some in sets for content in some}) == 24 + 24 + 60


def test_tests_have_the_same_bytes_each_time(tests: Path, tmp_path: Path) -> None:
    write_tests(SMALL, SEED, tmp_path)
    files = sorted(path.relative_to(tests) for path in tests.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert all((tests / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_the_unseen_style_is_in_no_picture_of_the_pool(pool: Path, tmp_path: Path) -> None:
    """The pool is the same without it: it is not even opened."""
    assert shard_bytes(tmp_path, changed(unseen=str(tmp_path / "none.png"))) == (pool / "00000.tar").read_bytes()
    with pytest.raises(OptionError, match="no such atlas"):
        write_tests(changed(unseen=str(tmp_path / "none.png")), SEED, tmp_path)


def test_only_the_style_differs_between_seen_and_unseen(tmp_path: Path) -> None:
    """In the same style they are the same pictures."""
    with resources.as_file(resources.files("tallyclip") / "experiment" / "world" / "data" / "noto.webp") as bundled:
        copy = shutil.copy(bundled, tmp_path / "copy.webp")
    write_tests(changed(styles=["noto"], unseen=str(copy)), SEED, tmp_path)
    seen, unseen = ([image.content for image in open_set(str(tmp_path / name)).read()] for name in ("seen", "unseen"))
    assert seen == unseen


def test_the_styles_of_the_pool_are_all_in_it(tmp_path: Path) -> None:
    styles = {"both": ["noto", "fluent-3d"], "noto": ["noto"], "fluent": ["fluent-3d"]}
    found = {name: set(pictures_in(written(tmp_path / name, changed(styles=some)))) for name, some in styles.items()}
    assert min(len(found["both"] & found["noto"]), len(found["both"] & found["fluent"])) > 30
    assert found["both"] <= found["noto"] | found["fluent"]


def test_an_atlas_that_is_broken_is_refused_before_a_tar_is_written(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ArtifactError, match=r"broken\.png"):
        write_shard(changed(styles=[str(tmp_path / "broken.png")]), SEED, 0, tmp_path / "out" / "00000.tar")
    assert not (tmp_path / "out").exists()
    assert open_atlas("noto").name == "noto"
