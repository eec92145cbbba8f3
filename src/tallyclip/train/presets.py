"""How a model is trained: presets, which are data (``presets.toml``), and what is set otherwise."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from tallyclip.errors import ArtifactError, OptionError

Precision = Literal["fp32", "bf16", "fp16"]
PRESETS = Path(__file__).with_name("presets.toml")


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a preset says of one model."""

    learning_rate: float | None = None
    checkpoint_activations: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What decides, with the model, its data and the seed, which weights come out. ``presets.toml`` says where the paper has each from.

    Attributes:
        seen_pairs: pairs that are trained on, of all epochs.
        global_batch: pairs in a step, of all ranks.
        learning_rate: the highest.
        warmup_steps: in which it rises to that, in equal steps.
        beta1, beta2, eps, weight_decay: of AdamW.
        max_logit_scale: by which similarities are multiplied at most.
        crop_scale: share of a picture's area that a random crop has, from and to.
        precision: "fp32", or of most operations "bf16" or "fp16".
        clip_norm: gradients are scaled down to this norm, if theirs is larger; None for no clipping.
    """

    seen_pairs: int
    global_batch: int
    learning_rate: float
    warmup_steps: int
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    max_logit_scale: float
    crop_scale: tuple[float, float]
    precision: Precision
    clip_norm: float | None = None

    @property
    def steps(self) -> int:
        """How many steps there are; pairs that fill none are left out."""
        return self.seen_pairs // self.global_batch


class Preset(msgspec.Struct, frozen=True):
    """A preset, for one model.

    Attributes:
        settings: to train by.
        checkpoint_activations: save memory by computing activations twice.
    """

    settings: Settings
    checkpoint_activations: bool


def load_preset(name: str, model: str, **instead: Any) -> Preset:
    """The preset for a model.

    Args:
        name: of a preset of tallyclip's, such as "paper", or a TOML file with the keys of ``Settings``. If it has a table ``models``, it
            fits these models only, and what that says of the model comes first.
        model: its name.
        instead: keys of ``Settings``: what to take in place of what the preset says, where it is not None.

    Raises:
        OptionError: there is no such preset, it does not fit the model, or what is set makes no sense.
        ArtifactError: the file is broken.
    """
    known = tomllib.loads(PRESETS.read_text(encoding="utf-8"))
    given = dict(known[name] if name in known else _read(name, known))
    models: dict[str, Any] | None = given.pop("models", None)
    if models is not None and model not in models:
        raise OptionError(
            f"the preset {name} has no settings for the model {model}",
            f"give --model {', '.join(models)}; or, for another model, a TOML file as --preset",
        )
    try:
        of_model = msgspec.convert((models or {}).get(model, {}), ModelSettings)
        given |= {"learning_rate": of_model.learning_rate} if of_model.learning_rate is not None else {}
        settings = msgspec.convert(given | {key: value for key, value in instead.items() if value is not None}, Settings)
    except msgspec.ValidationError as error:
        keys = ", ".join(field.name for field in msgspec.structs.fields(Settings))
        raise ArtifactError(f"the preset {name}: {error}", f"a preset has the keys {keys}") from error
    _check(settings)
    return Preset(settings, of_model.checkpoint_activations)


def _read(name: str, known: dict[str, Any]) -> dict[str, Any]:
    hint = f"give one of {', '.join(known)}, or a TOML file"
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"no preset {name}: {error.strerror}", hint) from error
    except ValueError as error:
        raise ArtifactError(f"{name}: no TOML: {error}", hint) from error


def _check(settings: Settings) -> None:
    """Refuse numbers with which nothing could be learnt."""
    low, high = settings.crop_scale
    rules = {
        "global_batch is at least 2": settings.global_batch >= 2,
        "seen_pairs is at least global_batch": settings.seen_pairs >= settings.global_batch,
        "learning_rate is above 0": settings.learning_rate > 0,
        "warmup_steps is not negative": settings.warmup_steps >= 0,
        "beta1 and beta2 are from 0 to below 1": 0 <= settings.beta1 < 1 and 0 <= settings.beta2 < 1,
        "eps is above 0": settings.eps > 0,
        "weight_decay is not negative": settings.weight_decay >= 0,
        "max_logit_scale is at least 1": settings.max_logit_scale >= 1,
        "crop_scale is two shares of an area, the smaller first": 0 < low <= high <= 1,
        "clip_norm is above 0": settings.clip_norm is None or settings.clip_norm > 0,
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise OptionError("; ".join(broken), "look at the preset, and at the flags that are set in its place")
    if settings.warmup_steps >= settings.steps:
        raise OptionError(
            f"the learning rate would still rise at the end: {settings.warmup_steps:,} warm-up steps of {settings.steps:,} in all",
            "give fewer --warmup-steps, more --seen-pairs, or a smaller --global-batch",
        )
