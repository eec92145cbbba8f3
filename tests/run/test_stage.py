"""A declaration that cannot be right is refused where the stages are put together, by the stage's name."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tallyclip.run.items import Report, Work
from tallyclip.run.stage import Finished, Section, Stage, Stages


def stage(name: str, *needs: str, uses: tuple[str, ...] = ()) -> Stage:
    return Stage(name=name, version=1, command="a test", needs=needs, uses=uses, finish=lambda _: Finished({}))


def work(_: None, item: None, folder: None, tick: None) -> Report:
    return Report()


ITEMS = Section(lambda _: Work({}), work)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([stage("match"), stage("count", "mtach")], "stage 'count' needs 'mtach', which is not a stage; there are match, count"),
        ([stage("match"), stage("count", uses=("pool",))], "stage 'count' needs 'pool', which is not a stage; there are match, count"),
        ([stage("a/b")], "stage 'a/b': a name has small letters"),
        ([stage("pool-x")], "stage 'pool-x': a name has small letters"),
        ([stage("match"), stage("match")], "two stages are called 'match'"),
        (
            [stage("a", "c"), stage("b", "a"), stage("c", "b"), stage("d")],
            "stages need each other in a circle, or what is in one: 'a', 'b', 'c'",
        ),
        ([stage("match", "match")], "stages need each other in a circle, or what is in one: 'match'"),
        ([replace(stage("a"), results=("uids",)), replace(stage("b"), results=("uids",))], "stages 'a' and 'b' would both write 'uids'"),
        ([stage("a"), replace(stage("b"), results=("a",))], "stages 'a' and 'b' would both write 'a'"),
        ([replace(stage("a"), sections=(ITEMS, ITEMS))], "stage 'a' has two sections called 'items'"),
        ([replace(stage("a"), reads_files=True)], "stage 'a' reads files, but has no section to read them in"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused(stages: list[Stage], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Stages(*stages)


def test_stages_come_after_what_they_are_made_from_and_else_as_they_were_given() -> None:
    stages = Stages(stage("card", "draw"), stage("draw", "match"), stage("zebra"), stage("match", uses=("pool",)), stage("pool"))
    assert [each.name for each in stages] == ["zebra", "pool", "match", "draw", "card"]
    assert stages.built_on("match") == ["draw", "card"]
    assert stages.before("match") == ("pool",)
