"""Converts options, as the command line and Python give them, to what the stages take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from tallyclip.core.arguments import wrong_type
from tallyclip.core.balance import TextsPolicy
from tallyclip.core.data import Metadata
from tallyclip.errors import OptionError
from tallyclip.flows.crawl import BASE_URL, Crawl
from tallyclip.flows.names import bytes_of, pool_name
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.dialects import CHARACTERS
from tallyclip.readers.run_folders import LIST
from tallyclip.stages.gather import Duplicates, PoolOptions
from tallyclip.stages.plan import Aim
from tallyclip.steps.filters import Filters
from tallyclip.steps.languages import DEFAULT_THRESHOLD, LanguageChoice
from tallyclip.steps.own import OwnStep, own_step


def one_of(name: str, value: Any, known: Sequence[str | None]) -> Any:
    """A value that must be one of some words.

    Raises:
        OptionError: it is another.
    """
    if value not in known:
        raise OptionError(f"unknown {name} {value!r}", f"give one of {', '.join(filter(None, known))}")
    return value


def names_of(given: Any, name: str) -> list[str]:
    """Paths and URLs as strings, from one or several.

    Raises:
        ArgumentTypeError: they are anything else.
        OptionError: one is empty.
    """
    if given is None:
        return []
    many = [given] if isinstance(given, str | PathLike) else given
    if not isinstance(many, Sequence) or not all(isinstance(one, str | PathLike) for one in many):
        hint = "give list(...) of other collections; of a table, give the file: frame.to_parquet('pool.parquet')"
        raise wrong_type(f"{name} is a path or URL, or a list of them", given, hint)
    return [pool_name(os.fspath(one)) for one in many]


def load_metadata(name: Any, *, clean: bool) -> Metadata:
    """The entry list of --metadata: the bundled one, a file, the folder of a build, or one that is there already.

    Raises:
        ArgumentTypeError: it is none of these.
        ArtifactError: see ``Metadata.load``.
    """
    if isinstance(name, Metadata):
        return name
    if not isinstance(name, str | PathLike):
        raise wrong_type("metadata is 'wordnet', a path, or Metadata", name, "tc.Metadata([...]) makes an entry list of strings")
    name = os.fspath(name)
    built = Path(name) / LIST
    return Metadata.wordnet() if name == "wordnet" else Metadata.load(str(built) if built.is_file() else name, clean=clean)


def aim_of(t: float | None, size: float | str | None, tail_share: float | None, *, exactly: bool = False) -> Aim:
    """The aim of --t, --size, --exactly and --tail-share.

    Raises:
        OptionError: more than one is given, or one is out of range; or --exactly without a whole --size.
    """
    try:
        pairs = None if size is None else float(size)
    except ValueError:
        raise OptionError(f"--size {size} is not a number of pairs", "write it as 1000000 or 1_000_000") from None
    aim = Aim(None if t is None else float(t), pairs, None if tail_share is None else float(tail_share), exactly)
    aim.check()
    return aim


def choice_of(
    caption: str | None,
    url: str | None,
    uid: str | None,
    file_format: str | None,
    header: bool | None,
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
) -> ColumnChoice:
    """The columns, the format and the CSV dialect that options choose. Eight arguments: one for each option.

    Raises:
        OptionError: a character is not a single one, or two are the same.
    """
    delimiter = None if delimiter is None else CHARACTERS.get(delimiter, delimiter)
    quote, escape = ("" if character == "none" else character for character in (quote, escape))
    return ColumnChoice(caption, url, uid, header, delimiter, quote, escape, file_format)


def policy_of(texts: Any) -> TextsPolicy:
    """What --texts asks for.

    Raises:
        OptionError: it is unknown.
    """
    return one_of("texts", texts, get_args(TextsPolicy))


def pool_options(given: Mapping[str, Any]) -> PoolOptions:
    """The options for gathering crawl files, and for languages, by the names of the keywords of ``api.curate``.

    Raises:
        OptionError: a filter, a language or a size is invalid.
        ArgumentTypeError: the earlier pools are no paths.
    """
    filters = Filters(
        max_url_length=given["max_url_length"],
        min_text_length=given["min_text_length"],
        max_text_length=given["max_text_length"],
        no_letters=given["drop_no_letters"],
        file_names=given["drop_file_names"],
        blocked_domains=given["blocked_domains"],
        blocked_keywords=given["blocked_keywords"],
    )
    asked = PoolOptions(
        duplicates=one_of("duplicates", given["duplicates"], (None, *get_args(Duplicates))),
        exclude=names_of(given["exclude_pool"], "exclude_pool"),
        languages=_languages(given["languages"], given["language_threshold"]),
        filters=filters,
        steps=_own_steps(given["step"]),
        write_dropped=given["write_dropped"],
        keep_readable=given["keep_readable"],
        max_site_repeats=given["max_site_repeats"],
        max_download=bytes_of(given["max_download"], "--max-download"),
    )
    asked.check()
    return asked


def _own_steps(given: Any) -> list[OwnStep]:
    many = [given] if isinstance(given, str) or not isinstance(given, Sequence) else given
    return [] if given is None else [own_step(one) for one in many]


def source_of(given: Mapping[str, Any]) -> list[str] | Crawl:
    """What to read, by the names of the keywords of ``api.curate``: names of files, or a crawl.

    Raises:
        OptionError: neither is given, or both.
        ArgumentTypeError: the files are no paths.
    """
    files, crawl = names_of(given["pool"], "pool"), given["crawl"]
    share, base_url = given["sample"], given["base_url"]
    kind = one_of("kind", given["kind"], (None, "wat", "warc"))
    if bool(files) == bool(crawl):
        raise OptionError("give either files or --crawl", "such as pool/*.parquet, crawl/*.warc.wat.gz, or --crawl CC-MAIN-2024-22")
    if crawl is not None:
        return Crawl.of(crawl, share or "1", "wat" if kind is None else kind, base_url or BASE_URL)
    if share is not None or base_url is not None or kind is not None:
        raise OptionError("--sample, --kind and --base-url need --crawl", "remove them, or give --crawl instead of files")
    return files


def _languages(languages: str | None, threshold: float | None) -> LanguageChoice | None:
    """The languages to keep, from --languages and --language-threshold; None if no language is detected."""
    if languages is None:
        if threshold is not None:
            raise OptionError("--language-threshold needs --languages", "such as --languages en --language-threshold 0.3")
        return None
    names = [] if languages == "all" else [name.strip() for name in languages.split(",") if name.strip()]
    if not names and languages != "all":
        raise OptionError(f"--languages {languages!r} has no language code", "such as --languages en, --languages en,de or --languages all")
    if not names and threshold is not None:
        raise OptionError("--languages all keeps every caption, whatever its score", "remove --language-threshold")
    choice = LanguageChoice(names, DEFAULT_THRESHOLD if threshold is None else threshold)
    choice.check()
    return choice
