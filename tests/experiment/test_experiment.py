"""An experiment from a recipe to its report: repeated, killed, taken up, extended, on one's own data, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError, IncompleteError, InUseError, OptionError, TallyclipError
from tallyclip.experiment.command import Experimented, run, write_world
from tallyclip.experiment.recipe import SHIPPED, read_recipe
from tallyclip.io.locks import held
from tests.experiment.conftest import SMALL, write_recipe
from tests.pictures import members_of
from tests.tools import COMMAND, PATIENCE

GROUPS = ["all", "head", "middle", "tail"]


def numbers(path: Path) -> dict[str, Any]:
    """What results say of models, without what they cost and where they are."""
    results = json.loads(path.read_text())
    for gone in ("cost", "command"):
        results.pop(gone)
    for one in [*results["arms"].values(), *results["measured"]]:
        one.pop("seconds")
    return results


def trained(folder: Path) -> dict[Path, int]:
    """When each arm was measured."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.glob("seed-*/arms/*/measured.json")}


def test_results_have_every_arm_test_and_group(small: Experimented) -> None:
    results = json.loads(small.path.read_text())
    assert list(results["arms"]) == ["raw", "balanced"]
    for arm in results["arms"].values():
        assert list(arm["tests"]) == ["seen", "unseen", "retrieval"]
        assert list(arm["tests"]["seen"]) == list(arm["tests"]["unseen"]) == GROUPS
        for test in arm["tests"].values():
            for group in test.values():
                assert group["low"] <= group["mean"] <= group["high"]
                assert len(group["seeds"]) == 2
                assert all(0 <= value <= 1 for value in group["seeds"])
    assert [(each["lower"], each["higher"]) for each in results["differences"]["seen"]["all"]] == [("raw", "balanced")]
    assert results["recipe"] == SMALL
    assert "<svg" in small.report.read_text()


def test_numbers_are_those_of_the_commands(small: Experimented, tmp_path: Path) -> None:
    """What the experiment says of a model is what ``tallyclip eval`` says of it, and its data what the run has drawn."""
    seed = small.path.parent / "seed-1"
    arm = seed / "arms" / "balanced"
    model = next(small.path.parent.glob("model-*.json"))
    of = ["--model", model, "--pretrained", arm / "training" / "model.pt", "--data", seed / "world" / "unseen", "--json"]
    command = [COMMAND, "eval", *of]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout)
    results = json.loads(small.path.read_text())
    assert results["arms"]["balanced"]["tests"]["unseen"]["all"]["seeds"][1] == pytest.approx(found["metrics"]["mean_per_class_recall"])
    measured = next(one for one in results["measured"] if (one["arm"], one["seed"]) == ("balanced", 1))
    kept = json.loads((seed / "runs" / "t-20" / "balance" / "_manifest.json").read_text())["result"]["kept"]
    assert measured["pairs"] == kept > measured["drawn"] > 0  # some images have two captions


def test_classes_are_counted_in_the_captions(small: Experimented) -> None:
    """The counts are those of a search by other means, through all captions of the pool."""
    results = json.loads(small.path.read_text())
    captions: list[str] = []
    for tar in sorted((small.path.parent / "seed-0" / "world" / "pool").glob("*.tar")):
        for name, content in members_of(tar).items():
            if name.endswith(".json"):
                said = json.loads(content)["caption"]
                captions += [said] if isinstance(said, str) else said
    assert set(results["counts"]["0"]) == set(results["measured"][0]["tests"]["seen"]["per_class"])
    for name, count in results["counts"]["0"].items():
        words = [f" {' '.join(word.strip('.,|-!?()') for word in caption.split())} " for caption in captions]
        assert count == sum(f" {name} " in each for each in words), name


def test_the_same_recipe_gives_the_same_numbers(small: Experimented, tmp_path: Path) -> None:
    """With one arm at a time as with several, and in a run that is killed again and again."""
    recipe = write_recipe(tmp_path)
    command = [COMMAND, "experiment", "run", recipe, "--out", tmp_path / "out", "--seeds", "2", "--workers", "1"]
    kills, seen = 0, set[str]()
    while True:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            killed = killed_where_it_is_new(process, tmp_path / "out", seen)
        if not killed:
            break
        kills += 1
    assert process.returncode == 0
    assert kills >= 3
    assert numbers(tmp_path / "out" / "results.json") == numbers(small.path)
    # A new arm is added to what is there.
    before = trained(tmp_path / "out")
    more = run(write_recipe(tmp_path, SMALL + "matched = { t = inf }\n"), out=tmp_path / "out", seeds=2)
    assert list(more.results.arms) == ["raw", "balanced", "matched"]
    assert more.results.arms["raw"].tests == small.results.arms["raw"].tests
    assert {path: when for path, when in trained(tmp_path / "out").items() if path in before} == before


def killed_where_it_is_new(process: subprocess.Popen[bytes], out: Path, seen: set[str]) -> bool:
    """Kill a process as soon as something is there that was not in ``seen``: a tar, a run, a log, an evaluation."""
    marks = ("seed-0/world/pool/00001.tar", "seed-1/runs/*/balance", "seed-0/arms/raw/training/checkpoints/*.pt", "seed-1/arms/raw/tests/*")
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        new = [mark for mark in marks if mark not in seen and next(out.glob(mark), None)]
        if new:
            seen.update(new)
            process.kill()
            process.wait()
            return True
        time.sleep(0.005)
    assert process.poll() is not None
    return False


def test_own_data_need_no_world(small: Experimented, tmp_path: Path) -> None:
    """A recipe of ten lines, with tars and evaluation sets of the user's own; online, and of a share of the tars."""
    world = small.path.parent / "seed-0" / "world"
    shutil.copytree(world / "pool", tmp_path / "tars")
    shutil.copytree(world / "seen", tmp_path / "drawings")
    shutil.copy(next(small.path.parent.glob("model-*.json")), tmp_path / "own-model.json")
    recipe = write_recipe(
        tmp_path,
        """model = "own-model.json"
data = { images = ["tars"], tests = { drawings = "drawings" } }
train = { seen_pairs = 64, global_batch = 16, learning_rate = 1e-3, warmup_steps = 2 }
compare = [["less", "online"]]
[arms]
less = { t = inf, share = 0.5 }
online = { t = 20, online = true }
""",
        "own.toml",
    )
    done = run(recipe, out=tmp_path / "out", seeds=2)
    assert list(done.results.arms["less"].tests) == ["drawings"]
    assert done.results.differences["drawings"]["all"][0].lower == "less"
    assert done.results.arms["less"].pairs < 400
    matched = [each["matched"] for each in done.results.pool.values()]
    assert matched[0] == matched[1] > done.results.arms["less"].pairs


def test_a_world_alone_is_a_pool_and_its_tests(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    place = write_world(recipe, out=tmp_path / "out", pairs=250)
    tars = sorted((place / "pool").glob("*.tar"))
    assert sum(name.endswith(".jpg") for tar in tars for name in members_of(tar)) == 250
    before = [tar.read_bytes() for tar in tars]
    tars[0].unlink()
    assert write_world(recipe, out=tmp_path / "out", pairs=250) == place
    assert [tar.read_bytes() for tar in tars] == before
    with pytest.raises(OptionError, match="was begun with another world"):
        write_world(recipe, out=tmp_path / "out", pairs=251)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_sound(name: str) -> None:
    read = read_recipe(name)
    assert read.name == name
    assert len(read.recipe.arms) > 1
    assert read.recipe.world
    assert read.recipe.world.things == ("development" if name == "quick" else "report")


# what is refused, before anything is trained


def changed(old: str, new: str) -> Callable[[Path], Path]:
    assert old in SMALL
    return lambda folder: write_recipe(folder, SMALL.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "kind", "what", "hint"),
    [
        ("[arms]", "[arm]", ArtifactError, "a recipe has no key 'arm'", "did you mean arms? the known keys are arms, train, model"),
        ("t = 20", "T = 20", ArtifactError, "[arms.balanced] has no key 'T'", "did you mean t? the known keys are t, online, share"),
        ("classes = 6", "clases = 6", ArtifactError, "[world] has no key 'clases'", "did you mean classes?"),
        ("t = 20", 't = "20"', ArtifactError, "arms.balanced.t cannot be '20'", "give a number"),
        ("seen_pairs = 320\n", "", ArtifactError, "[train] needs seen_pairs", "give a whole number"),
        ("t = 20", "t = 0", ArtifactError, "arms.balanced: t = 0.0 keeps no pair", "give a number above 0"),
        ("t = 20", "online = true", ArtifactError, "arms.balanced: an online arm draws by a threshold", "give its t"),
        ("t = 20", "t = 20, share = 0", ArtifactError, "arms.balanced: share = 0.0", "give a number above 0 and up to 1"),
        ("balanced = { t = 20 }", "", ArtifactError, "[arms] has 1, so there is nothing to compare", "give two or more"),
        ("[arms]", "[data]\nimages = []\ntests = {}\n[arms]", ArtifactError, "it needs [world] or [data], and not both", "[world] makes"),
        ("classes = 6", "classes = 500", OptionError, "classes = 500", "give"),
        ("pairs = 600", "pairs = 3", ArtifactError, "pairs = 3", "give more pairs"),
        ("learning_rate = 1e-3", "learning_rate = -1.0", OptionError, "learning_rate is above 0", "look at"),
        ("warmup_steps = 2", "warmup_steps = 20", OptionError, "the learning rate would still rise", "give"),
        ("heads = 1", "depth = 1", ArtifactError, "not a model's configuration", "model_configs"),
        ("t = 20", "t = 0.001", IncompleteError, "the arm 'balanced' keeps", "larger t"),
        ('things = "development"', 'things = "development"\nunseen = "none.webp"', OptionError, "none.webp: no such atlas", "fluent-3d"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_trained(
    tmp_path: Path, old: str, new: str, kind: type[TallyclipError], what: str, hint: str
) -> None:
    recipe = changed(old, new)(tmp_path)
    with pytest.raises(kind) as refused:
        run(recipe, out=tmp_path / "out", seeds=2, workers=1)
    assert what in refused.value.what
    assert hint in (refused.value.hint or "")
    assert not list(tmp_path.glob("out/seed-*/arms"))


def test_one_seed_is_too_few_for_an_interval(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="an interval over seeds needs 2"):
        run("quick", out=tmp_path / "out", seeds=1)
    assert not (tmp_path / "out").exists()


def test_an_atlas_of_another_shape_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (2304, 2048)).save(tmp_path / "low.webp")
    with pytest.raises(TallyclipError, match=r"low\.webp"):
        run(write_recipe(tmp_path), out=tmp_path / "out", unseen_style=tmp_path / "low.webp")
    assert not (tmp_path / "out").exists()


def test_a_class_that_no_caption_names_is_refused_or_accepted(small: Experimented, tmp_path: Path) -> None:
    world = small.path.parent / "seed-0" / "world"
    shutil.copytree(world / "seen", tmp_path / "drawings")
    names = (tmp_path / "drawings" / "classnames.txt").read_text().splitlines()
    (tmp_path / "drawings" / "classnames.txt").write_text("\n".join(["quokka", *names[1:]]))
    model = next(small.path.parent.glob("model-*.json"))
    text = f"""model = "{model}"
data = {{ images = ["{world / "pool"}"], tests = {{ drawings = "drawings" }} }}
train = {{ seen_pairs = 64, global_batch = 16, learning_rate = 1e-3, warmup_steps = 2 }}
[arms]
raw = {{}}
matched = {{ t = inf }}
"""
    with pytest.raises(IncompleteError, match="no caption of the pool names 1 of 6 classes of drawings: quokka") as refused:
        run(write_recipe(tmp_path, text), out=tmp_path / "out", seeds=2)
    assert "unnamed = true" in (refused.value.hint or "")
    accepted = write_recipe(tmp_path, text.replace("images =", "unnamed = true, images ="), "accepted.toml")
    assert run(accepted, out=tmp_path / "other", seeds=2).results.counts[0]["quokka"] == 0


def test_a_list_that_names_nothing_in_the_pool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps(Metadata(["quokka"]).entries))
    recipe = write_recipe(tmp_path, f'metadata = "list.json"\n{SMALL}')
    with pytest.raises(IncompleteError, match="the arm 'balanced' keeps nothing"):
        run(recipe, out=tmp_path / "out", seeds=2)


def test_a_folder_goes_on_only_as_it_began(small: Experimented, tmp_path: Path) -> None:
    out = small.path.parent
    for old, new, said in (("pairs = 600", "pairs = 601", "world"), ("t = 20", "t = 21", "arms.balanced"), ("1e-3", "2e-3", "train")):
        with pytest.raises(OptionError, match=f"was begun with another {said}"):
            run(changed(old, new)(tmp_path), out=out, seeds=2)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "notes.txt").touch()
    with pytest.raises(OptionError, match=r"holds files but no experiment \(notes\.txt\)"):
        run("quick", out=tmp_path / "strange", seeds=2)
    with held(out, "experiment"), pytest.raises(InUseError, match="another process is working on this experiment"):
        run(write_recipe(tmp_path), out=out, seeds=2)


def test_the_command_shows_arms_and_what_they_show(small: Experimented) -> None:
    command = [COMMAND, "experiment", "run", small.path.parent.parent / "small.toml", "--out", small.path.parent, "--seeds", "2"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert "raw" in said.stdout
    assert str(small.report) in said.stdout
    assert "Traceback" not in said.stderr
    assert "curate" in said.stderr
    as_json = subprocess.run([*command, "--quiet", "--json"], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert as_json.stderr == ""
    assert json.loads(as_json.stdout)["arms"].keys() == {"raw", "balanced"}
    recipe = subprocess.run([COMMAND, "experiment", "recipe", "ladder"], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert "[arms]" in recipe.stdout
