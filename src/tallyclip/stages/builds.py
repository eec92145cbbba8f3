"""The stages of an entry list, and the folder they are made in.

    DIR/
    ├── build.json           what was asked for, and with which versions
    ├── metadata.parquet     the list: entry, source, score and rank
    ├── manifest.json        what it was made of, and by which recipe
    ├── counts/              words and pairs of words of all texts, with their counts
    ├── views/               titles and their views
    ├── list/                the manifest of the two files above
    └── inputs.json          checksums of files, so that each is read for that once

``counts/`` and ``views/`` are kept, so that a list with other limits takes moments; with the list made, they may be deleted.
"""

from __future__ import annotations

from tallyclip.lists.inputs import CHECKSUMS
from tallyclip.run.stage import Stages
from tallyclip.run.workspace import Kind
from tallyclip.stages.entry_list import ENTRY_LIST
from tallyclip.stages.ngrams import COMMAND, TITLE_VIEWS, WORD_COUNTS

BUILD = Kind(
    noun="list",
    record="build.json",
    stages=Stages(WORD_COUNTS, TITLE_VIEWS, ENTRY_LIST),
    start=COMMAND,
    others=(CHECKSUMS,),
)
