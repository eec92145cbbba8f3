"""Zero-shot numbers: those of clip-benchmark on the same model and sets, however the sets are stored; what cannot be used is named."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from tallyclip.errors import ArtifactError, IncompleteError, OptionError
from tallyclip.evaluation.classifier import build_classifier
from tallyclip.evaluation.model import load_model
from tallyclip.evaluation.results import read_evaluation
from tallyclip.train.weights import import_open_clip
from tests.evaluation import made

Evaluate = Callable[..., Any]
RECORDED = json.loads((Path(__file__).parent / "clip_benchmark.json").read_text())["metrics"]  # by scripts/peers/clip_benchmark


def set_of(name: str, folder: Path) -> Path:
    writers = {
        "classification": made.write_classification,
        "two classes": lambda path: made.write_classification(path, 120, 2),
        "retrieval": made.write_retrieval,
    }
    return writers[name](folder / "set")


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("batch_size", [1, 64])
def test_the_numbers_are_those_that_clip_benchmark_finds(name: str, batch_size: int, evaluate: Evaluate, tmp_path: Path) -> None:
    found = evaluate(set_of(name, tmp_path), batch_size=batch_size)
    for key, value in RECORDED[name].items():
        assert found.metrics[key] == (None if value is None else pytest.approx(value, rel=1e-6)), key
    assert sum(value not in (0, 1, None) for value in RECORDED[name].values()) >= 2  # they say something


def test_the_classifier_is_open_clips(tiny: tuple[Path, Path]) -> None:
    model = load_model(str(tiny[0]), str(tiny[1]), "cpu", "fp32")
    templates = [template.replace("{c}", "{}") for template in made.TEMPLATES[:2]]
    theirs = import_open_clip().build_zero_shot_classifier(model.model, model.tokenizer, made.NAMES, templates)
    prompts = [[template.format(name) for template in templates] for name in made.NAMES]
    told: list[int] = []
    for batch_size in (1, 5, 1000):
        ours = build_classifier(model.model, model.tokenizer, prompts, model.device, batch_size, told.append)
        torch.testing.assert_close(ours, theirs.T, rtol=1e-5, atol=1e-6)
    assert sum(told) == 3 * len(made.NAMES) * len(templates)


def write_folders(folder: Path, names: list[str]) -> Path:
    for number, (content, label) in enumerate(made.labelled(300, len(names))):
        path = folder / "below" / names[label] / f"{number}.{made.suffix_of(content)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_tar(folder: Path, names: list[str], mode: str, suffix: str) -> Path:
    folder.mkdir()
    path = folder / f"set{suffix}"
    with tarfile.open(path, mode) as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for number, (content, label) in enumerate(made.labelled(300, len(names))):
            member = tarfile.TarInfo(f"test/{names[label]}/{number}.{made.suffix_of(content)}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_parquet(folder: Path, names: list[str] | None, rows: list[tuple[bytes, Any]], column: str) -> Path:
    """As ``datasets`` pushes it to the Hub."""
    (folder / "data").mkdir(parents=True)
    kind: Any = datasets.ClassLabel(names=names) if names else datasets.Sequence(datasets.Value("string"))
    features = datasets.Features({"image": datasets.Image(), "number": datasets.Value("int64"), column: kind})
    values = {
        "image": [{"bytes": content, "path": None} for content, _ in rows],
        "number": list(range(len(rows))),
        column: [v for _, v in rows],
    }
    whole = datasets.Dataset.from_dict(values, features=features)
    half = len(rows) // 2
    whole.select(range(half)).to_parquet(folder / "data" / "test-00000-of-00002.parquet")
    whole.select(range(half, len(rows))).to_parquet(folder / "data" / "test-00001-of-00002.parquet")
    whole.select(range(1)).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("form", ["folders", "tar", "tar.gz", "Parquet", "one of its shards' folders"])
def test_the_form_of_a_set_does_not_change_its_numbers(form: str, evaluate: Evaluate, tmp_path: Path) -> None:
    names = [f"{number:02d}" for number in range(len(made.NAMES))]  # in the order of the labels when sorted
    data = {
        "folders": lambda: write_folders(tmp_path / "set", names),
        "tar": lambda: write_tar(tmp_path / "set", names, "w", ".tar"),
        "tar.gz": lambda: write_tar(tmp_path / "set", names, "w:gz", ".tar.gz"),
        "Parquet": lambda: write_parquet(tmp_path / "set", names, made.labelled(300, len(names)), "label"),
        "one of its shards' folders": lambda: made.write_classification(tmp_path / "set") / "test",
    }[form]()
    task = tmp_path / "my task.toml"
    task.write_text(f"classes = {json.dumps(made.NAMES)}\ntemplates = {json.dumps(made.TEMPLATES)}\nmetric = 'F1-macro_all'\n")
    found = evaluate(data, task=task, out=tmp_path / "out.json")
    recorded = RECORDED["classification"]
    assert {key: found.metrics[key] for key in recorded} == pytest.approx(recorded)
    assert (found.dataset, found.tallyclip.metric, found.tallyclip.images) == ("my task", "F1-macro_all", 300)
    assert 0 < found.metrics["F1-macro_all"] < 1
    assert read_evaluation(tmp_path / "out.json") == found


def test_retrieval_from_parquet_is_that_of_shards(evaluate: Evaluate, tmp_path: Path) -> None:
    data = write_parquet(tmp_path / "set", None, made.captioned(90), "caption")
    found = evaluate(data)
    assert {key: found.metrics[key] for key in RECORDED["retrieval"]} == pytest.approx(RECORDED["retrieval"], rel=1e-6)
    assert found.task == "zeroshot_retrieval"
    both = [found.metrics[f"{what}_retrieval_recall@1"] for what in ("image", "text")]
    assert found.metrics["mean_recall@1"] == pytest.approx(sum(both) / 2)
    assert found.tallyclip.captions == sum(len(captions) for _, captions in made.captioned(90))


def test_results_are_in_clip_benchmarks_schema_with_classes_beside_them(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(made.write_classification(tmp_path / "wds_vtab-flowers"), out=tmp_path / "sub" / "out.json")
    found = json.loads((tmp_path / "sub" / "out.json").read_text())
    assert {key: found[key] for key in ("dataset", "model", "task", "language")} == {
        "dataset": "flowers",
        "model": "tiny",
        "task": "zeroshot_classification",
        "language": "en",
    }
    assert found["pretrained"].endswith("tiny.pt")
    assert found["metrics"].keys() == {"acc1", "acc5", "mean_per_class_recall"}
    assert found["tallyclip"]["metric"] == "mean_per_class_recall"  # as the suite has it
    classes = found["tallyclip"]["per_class"]
    assert [one["class"] for one in classes] == made.NAMES
    counts = [one["images"] for one in classes]
    assert sum(counts) == 300
    assert np.average([one["acc1"] for one in classes], weights=counts) == pytest.approx(found["metrics"]["acc1"], rel=1e-5)
    assert np.mean([one["acc1"] for one in classes]) == pytest.approx(found["metrics"]["mean_per_class_recall"], rel=1e-5)


def test_half_precision_gives_nearly_the_same(evaluate: Evaluate, tmp_path: Path) -> None:
    data = made.write_classification(tmp_path / "set")
    assert evaluate(data, precision="amp").metrics["acc5"] == pytest.approx(RECORDED["classification"]["acc5"], abs=0.05)


def test_of_two_classes_auc_may_count(evaluate: Evaluate, tmp_path: Path) -> None:
    data = made.write_classification(tmp_path / "set", 120, 2)
    (tmp_path / "task.toml").write_text('metric = "roc_auc"\ntemplates = ["{}"]')
    assert 0 < evaluate(data, task=tmp_path / "task.toml").metrics["roc_auc"] < 1


def npy(*values: int) -> bytes:
    with io.BytesIO() as file:
        np.save(file, np.array(values))
        return file.getvalue()


def test_the_worst_group_is_by_the_numbers_beside_the_images(evaluate: Evaluate, tmp_path: Path) -> None:
    samples = [
        {made.suffix_of(content): content, "cls": str(label).encode(), "npy": npy(7, number % 3)}
        for number, (content, label) in enumerate(made.labelled(90, 12))
    ]
    data = made.write_shards(tmp_path / "set", samples, 40, {"classnames.txt": "\n".join(made.NAMES)})
    task = tmp_path / "task.toml"
    values = {}
    for group in (0, 1):
        task.write_text(f'metric = "acc_top5_wg"\ngroup = {group}')
        found = evaluate(data, task=task)
        values[group] = found.metrics["acc_top5_wg"]
        if group == 0:
            assert values[0] == found.metrics["acc5"]  # all are in one group
    assert 0 < values[1] < values[0]
    task.write_text('metric = "acc_wg"\ngroup = 2')
    with pytest.raises(ArtifactError, match="no group 2 in its npy"):
        evaluate(data, task=task)


def test_images_that_cannot_be_used_are_counted_and_named(evaluate: Evaluate, tmp_path: Path) -> None:
    samples = [{made.suffix_of(content): content, "cls": str(label).encode()} for content, label in made.labelled(60, 12)]
    good = dict(samples[5])
    samples[3] = {"png": b"<html>404</html>", "cls": b"1"}
    samples[4] = {"png": samples[4].get("png", b"\x89PNG")[:40], "cls": b"2"}
    samples[5] = {name: content for name, content in good.items() if name != "cls"}
    samples[6] = {"cls": b"2"}
    samples[7] |= {"cls": b"two"}
    data = made.write_shards(tmp_path / "set", samples, 25, {"classnames.txt": "\n".join(made.NAMES)})
    found = evaluate(data, out=tmp_path / "out.json").tallyclip
    assert found.images == 55
    assert sum(found.dropped.values()) == 5
    assert {"not an image", "no label", "no image", "the label is not a number"} <= found.dropped.keys()
    assert "0.tar: s0000006" in found.dropped_names["no image"][0]


def test_a_label_that_is_no_class_is_refused(evaluate: Evaluate, tmp_path: Path) -> None:
    samples = [{"png": made.picture(2), "cls": b"0"}, {"png": made.picture(2), "cls": b"12"}]
    data = made.write_shards(tmp_path / "set", samples, 2, {"classnames.txt": "\n".join(made.NAMES)})
    with pytest.raises(ArtifactError, match=r"s0000001: its label is 12, and there are 12 classes"):
        evaluate(data)
    hidden = write_parquet(tmp_path / "hidden", made.NAMES, [(made.picture(1), -1), (made.picture(2), -1)], "label")
    with pytest.raises(ArtifactError, match="may be hidden"):
        evaluate(hidden)


def test_a_set_without_anything_to_use_is_refused(evaluate: Evaluate, tmp_path: Path) -> None:
    samples = [{"png": made.picture(2)}, {"png": made.picture(7), "txt": b"\n \n"}]
    data = made.write_shards(tmp_path / "no captions", samples, 2, {"dataset_type.txt": "retrieval"})
    with pytest.raises(IncompleteError, match=r"no image can be used: no caption \(2\)"):
        evaluate(data)


def test_a_class_without_images_is_named_and_not_averaged(evaluate: Evaluate, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "1.png").write_bytes(made.picture(2, ord(name[0])))
    (tmp_path / "set" / "bird").mkdir()
    found = evaluate(tmp_path / "set")
    assert [one["class"] for one in found.tallyclip.per_class] == ["bird", "cat", "dog"]
    assert found.tallyclip.per_class[0]["acc1"] is None
    assert any("1 of 3 classes have no image, such as bird" in note for note in found.tallyclip.notes)
    of_others = [one["acc1"] for one in found.tallyclip.per_class[1:]]
    assert found.metrics["mean_per_class_recall"] == np.mean(of_others)


def test_pictures_are_seen_as_clip_benchmark_sees_them(evaluate: Evaluate, tmp_path: Path) -> None:
    """Not turned, and not laid on white, as for training."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8), "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    every: list[dict[str, Any]] = [{}, {"exif": exif.tobytes()}]
    for number, options in enumerate(every):
        for name in ("a", "b"):
            folder = tmp_path / str(number) / name
            folder.mkdir(parents=True)
            (image if name == "a" else image.convert("RGB")).save(folder / "1.png", **options)
    same = [evaluate(tmp_path / str(number)).tallyclip.per_class for number in range(2)]
    assert same[0] == same[1]
    assert sorted(one["acc1"] for one in same[0]) == [0, 1]  # one picture, whichever class it is of


def test_what_cannot_be_is_refused_before_the_model_is_loaded(evaluate: Evaluate, tmp_path: Path) -> None:
    data = made.write_classification(tmp_path / "set", 5)
    for options, said in (
        ({"batch_size": 0}, "1 or more"),
        ({"out": tmp_path}, "a folder"),
        ({"precision": "fp8"}, "one of fp32, amp"),
        ({"device": "abacus"}, "no such device"),
        ({"task": "cifra10"}, "did you mean cifar10"),
    ):
        with pytest.raises(OptionError, match=said):
            evaluate(data, **options)
