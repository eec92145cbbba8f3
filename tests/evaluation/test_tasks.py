"""What is asked about a set: names, prompts and metrics from the right place, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallyclip.errors import ArtifactError, OptionError, TallyclipError
from tallyclip.evaluation.sets import open_set
from tallyclip.evaluation.tasks import EvalTask, task_of
from tallyclip.train.weights import import_open_clip
from tests.evaluation import made

PICTURE = made.picture(2)


def shards(folder: Path, **texts: str) -> Path:
    files = {f"{name}.txt": text for name, text in texts.items()}
    return made.write_shards(folder, [{"png": PICTURE, "cls": b"0"}], 2, files)


def folders(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(PICTURE)
    return folder


def asked(data: Path, given: object = None) -> EvalTask:
    return task_of(str(data), open_set(str(data)), None if given is None else str(given), import_open_clip())


def refused(data: Path, given: object, *said: str, kind: type[TallyclipError] = ArtifactError) -> None:
    with pytest.raises(kind) as caught:
        asked(data, given)
    assert all(words in str(caught.value) for words in said), str(caught.value)


def toml(folder: Path, text: str) -> Path:
    path = folder / "task.toml"
    path.write_text(text)
    return path


def test_shards_bring_their_names_and_prompts(tmp_path: Path) -> None:
    data = shards(tmp_path / "my_set", classnames="red_fox\ndog", zeroshot_classification_templates="a {c}.\nthe {c} {d}, a {c}.")
    task = asked(data)
    assert task.name == "my_set"
    assert task.classes == ["red_fox", "dog"]  # as they are written
    assert task.prompts == [["a red_fox.", "the red_fox {d}, a red_fox."], ["a dog.", "the dog {d}, a dog."]]
    assert (task.metric, task.notes) == ("acc1", [])


def test_folders_have_one_prompt_of_their_names_and_that_is_said(tmp_path: Path) -> None:
    task = asked(folders(tmp_path / "set", "red_fox", "dog"))
    assert task.prompts == [["a photo of a dog."], ["a photo of a red fox."]]
    assert task.notes == ["no prompts were given, so it is one: a photo of a {c}."]


@pytest.mark.parametrize(
    ("folder", "given", "name", "metric"),
    [
        ("wds_vtab-flowers", None, "flowers", "mean_per_class_recall"),
        ("wds_fairness-geode_test", None, "geode", "acc_wg"),
        ("somewhere", "wds/vtab/pets", "pets", "mean_per_class_recall"),
        ("somewhere", "hateful_memes", "hateful_memes", "roc_auc"),
        ("somewhere", None, "somewhere", "acc1"),
    ],
)
def test_a_task_is_known_by_its_name_or_that_of_the_folder(tmp_path: Path, folder: str, given: str | None, name: str, metric: str) -> None:
    task = asked(shards(tmp_path / folder, classnames="cat\ndog"), given)
    assert (task.name, task.metric) == (name, metric)


def test_imagenet_has_the_names_and_prompts_of_open_clip(tmp_path: Path) -> None:
    data = folders(tmp_path / "val", *(f"n{number:08d}" for number in range(1000)))
    task = asked(data, "imagenet1k")
    assert list(task.classes) == list(import_open_clip().IMAGENET_CLASSNAMES)
    templates = import_open_clip().OPENAI_IMAGENET_TEMPLATES
    assert list(task.prompts[1]) == [template("goldfish") for template in templates]
    assert len(task.prompts[999]) == 80
    own = asked(shards(tmp_path / "wds_imagenet-a", classnames="cat\ndog"))
    assert list(own.prompts[1]) == [template("dog") for template in templates]


def test_a_file_may_name_everything(tmp_path: Path) -> None:
    data = folders(tmp_path / "set", "n1", "n2")
    task = asked(data, toml(tmp_path, 'name = "pets"\nclasses = {n2 = "dog", n1 = "cat"}\ntemplates = ["a {}"]\nmetric = "acc5"'))
    assert (task.name, task.classes, task.prompts, task.metric) == ("pets", ["cat", "dog"], [["a cat"], ["a dog"]], "acc5")
    task = asked(data, toml(tmp_path, 'classes = ["cat", "dog"]\n[prompts]\ndog = ["barks"]\ncat = ["purrs", "has {c}"]'))
    assert (task.name, task.prompts) == ("task", [["purrs", "has {c}"], ["barks"]])


def test_what_does_not_fit_is_refused_and_named(tmp_path: Path) -> None:
    data = folders(tmp_path / "set", "n1", "n2")
    for text, said in (
        ('templates = ["a photo"]', "a template has no place for the class: 'a photo'"),
        ('[prompts]\n"n1" = ["a"]', "no prompts for 1 class: n2"),
        ('[prompts]\n"n1" = ["a"]\nn2 = []', "no prompts for 1 class: n2"),
        ('templates = ["a {c}"]\n[prompts]\n"n1" = ["a"]', "both templates and prompts"),
        ('classes = ["a"]', "the set has 2 classes, and the task file 1"),
        ('classes = ["a", " "]', "a class has an empty name"),
        ('classes = {n1 = "a"}', "no name for n2"),
        ('metric = "acc"', "acc is not computed here"),
        ('metric = "acc_wg"', "of groups, and none is named"),
        ('metric = "roc_auc"\nclasses = ["a", "b"]', ""),
        ("metrics = 1", "unknown field `metrics`"),
        ("classes = 1", "Expected"),
        ("classes = [", "not TOML"),
    ):
        if said:
            refused(data, toml(tmp_path, text), said)
        else:
            assert asked(data, toml(tmp_path, text)).metric == "roc_auc"
    refused(data, tmp_path / "nowhere.toml", "cannot read a task")
    refused(data, "imagenet1k", "the set has 2 classes, and ImageNet 1,000")
    refused(data, "winogavil", "jaccard_score_10-12 is not computed here")
    refused(data, "flower", "did you mean flowers?", kind=OptionError)
    refused(shards(tmp_path / "unnamed"), None, "the names of its classes are not known")
    refused(shards(tmp_path / "three", classnames="a\nb\nc"), "hateful_memes", "roc_auc is of two classes, and there are 3")
    refused(shards(tmp_path / "bad", classnames="a", zeroshot_classification_templates="a photo"), None, "no place for the class")
    empty = shards(tmp_path / "blank", classnames="a", zeroshot_classification_templates="{c}\n\n{c}")
    refused(empty, None, "zeroshot_classification_templates.txt: line 2 is empty")
