"""open_clip's own training command, with one model more that is small enough for tests: ``--model tiny``."""

from __future__ import annotations

import sys
from pathlib import Path

from tallyclip.train import import_torchvision


def main() -> None:
    import_torchvision()  # before open_clip does
    from open_clip import add_model_config
    from open_clip_train.main import main as train

    add_model_config(Path(__file__).with_name("tiny.json"))
    train(sys.argv[1:])


if __name__ == "__main__":
    main()
