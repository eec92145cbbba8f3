"""Models: any of open_clip's with any checkpoint of it, and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from tallyclip.errors import ArtifactError, OptionError, TallyclipError
from tallyclip.evaluation.model import load_model
from tallyclip.train.weights import import_open_clip
from tests.evaluation import made

Files = tuple[Path, Path]


def weights(file: Path) -> dict[str, torch.Tensor]:
    found = torch.load(file, weights_only=True)["state_dict"]
    return {key.removeprefix("module."): value for key, value in found.items()}


def refused(kind: type[TallyclipError], name: object, pretrained: object, *said: str) -> None:
    with pytest.raises(kind) as caught:
        load_model(str(name), None if pretrained is None else str(pretrained), "cpu", "fp32")
    assert all(words in str(caught.value) for words in said), str(caught.value)


def test_a_checkpoint_of_training_and_weights_alone_are_the_same_model(tiny: Files, tmp_path: Path) -> None:
    torch.save(weights(tiny[1]), tmp_path / "alone.pt")
    texts = import_open_clip().get_tokenizer("tiny")(["a dog", "two cats"])
    with torch.no_grad():
        found = [load_model(str(tiny[0]), str(path), "cpu", "fp32").model.encode_text(texts) for path in (tiny[1], tmp_path / "alone.pt")]
        again = load_model("tiny", str(tiny[1]), None, "fp32")  # known by its name once its file was read
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not again.model.training
    assert again.name == "tiny"


def test_a_folder_may_bring_its_weights(tiny: Files, tmp_path: Path) -> None:
    import json

    config = {"model_cfg": made.TINY, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(weights(tiny[1]), tmp_path / "open_clip_pytorch_model.bin")
    found = load_model(f"local-dir:{tmp_path}", None, "cpu", "fp32")
    assert found.preprocess.transforms[-1].mean == [0.5, 0.5, 0.5]
    torch.testing.assert_close(found.model.text_projection.data, weights(tiny[1])["text_projection"])
    refused(OptionError, f"local-dir:{tmp_path}", tiny[1], "brings its weights")


def test_a_checkpoint_of_another_model_is_refused_with_the_keys_that_do_not_fit(tiny: Files, tmp_path: Path) -> None:
    deeper: Any = made.TINY | {"vision_cfg": made.TINY["vision_cfg"] | {"layers": 3}, "embed_dim": 16}  # pyright: ignore[reportOperatorIssue]
    name, checkpoint = made.write_model(import_open_clip(), tmp_path, deeper, "deeper")
    said = ("its weights are not those of", "not of the model: visual.transformer.resblocks.2", "visual.proj (64, 16) instead of (64, 32)")
    refused(ArtifactError, tiny[0], checkpoint, *said)
    refused(ArtifactError, name, tiny[1], "missing: visual.transformer.resblocks.2", "give --model the name of the model")


def test_positions_of_another_size_are_not_resized(tiny: Files, tmp_path: Path) -> None:
    """open_clip would, and the numbers would be those of a model that nobody trained."""
    larger: Any = made.TINY | {"vision_cfg": made.TINY["vision_cfg"] | {"image_size": 64}}  # pyright: ignore[reportOperatorIssue]
    name, _ = made.write_model(import_open_clip(), tmp_path, larger, "larger")
    refused(ArtifactError, name, tiny[1], "1 of another shape: visual.positional_embedding (17, 64) instead of (65, 64)")


class Runs:
    def __reduce__(self) -> Any:
        return (print, ("this ran",))


def test_a_file_that_is_no_checkpoint_is_refused_and_nothing_in_it_runs(
    tiny: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": weights(tiny[1]), "more": Runs()}, path)
    refused(ArtifactError, tiny[0], path, "holds more than weights", "torch.save(model.state_dict(), FILE)")
    whole = tiny[1].read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2], pickle.dumps([1, 2, 3]), pickle.dumps({})):
        path.write_bytes(content)
        refused(ArtifactError, tiny[0], path, str(path))
    torch.save([1, 2], path)
    refused(ArtifactError, tiny[0], path, str(path))
    assert "this ran" not in capsys.readouterr().out


def test_names_that_open_clip_does_not_know_are_refused_with_those_near(tiny: Files, tmp_path: Path) -> None:
    refused(OptionError, "ViT-B32", tiny[1], "open_clip has no model ViT-B32", "ViT-B-32")
    refused(OptionError, "ViT-B-32", "openia", "openia: no such file", "openai")
    refused(OptionError, "ViT-B-32", None, "has no weights yet", "laion400m_e32")
    refused(OptionError, tmp_path / "nowhere.json", tiny[1], "no such file")
    for text, said in (("{", "not readable"), ("[]", "not a JSON object"), ('{"embed_dim": 3}', "it has no vision_cfg, text_cfg")):
        (tmp_path / "odd.json").write_text(text)
        refused(ArtifactError, tmp_path / "odd.json", tiny[1], said)
    (tmp_path / "ViT-B-32.json").write_text(tiny[0].read_text())
    refused(OptionError, tmp_path / "ViT-B-32.json", tiny[1], "open_clip has another model of this name")
    assert import_open_clip().get_model_config("ViT-B-32")["embed_dim"] == 512
