from __future__ import annotations

import bz2
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icu4py.breakers import WordBreaker

import tallyclip as tc
from tallyclip.core.strings import Strings, from_python
from tallyclip.extras import install_line
from tallyclip.lists.languages import LANGUAGES, language
from tallyclip.lists.segment import BATCH_BYTES, Segmenter, parted_by

JOINT, TSHEG_JOINT = "\x1f", "\x1e"
# Classes of characters, written out; the module has tables.
BLANK = " \n\t\r\u3000"
SPACED = "abZPythonco_3½é한①25,.-('😀℃־"
WIDE = "東京使用编程我们はラーメン々、。「（Ａ３𠮷野家年都に住んで北京大学"
BRAHMIC_WORDS = ["ประเทศไทย", "ภูเขา", "កម្ពុជា", "ປະເທດ", "မြန်မာ"]
BRAHMIC = "".join(character for word in BRAHMIC_WORDS for character in word if character.isalpha())
ATTACHED = "\u0301\ufe0f\u200d\u00ad" + "".join(character for word in BRAHMIC_WORDS for character in word if not character.isalpha())
CLASSES = {
    c: kind for kind, characters in zip(" swbaz", (BLANK, SPACED, WIDE, BRAHMIC, ATTACHED, "\u200b"), strict=True) for c in characters
}

PIECES = [*BRAHMIC_WORDS, "東京都", "に住んで", "北京大学", "编程", "Python", "3.5", "co-25", "年", *CLASSES]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)

chinese, japanese, thai, khmer, tibetan = (Segmenter(language(code)) for code in ("zh", "ja", "th", "km", "bo"))


def split(segmenter: Segmenter, *texts: str | None) -> list[str]:
    found = segmenter.split(from_python(texts))
    return [found.data[start:end].tobytes().decode() for start, end in zip(found.offsets, found.offsets[1:], strict=False)]


def shown(segmenter: Segmenter, text: str) -> str:
    return split(segmenter, text)[0].replace(JOINT, "|").replace(TSHEG_JOINT, "¦")


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("zh", "我们在北京大学学习", "我们|在|北京|大学|学习"),
        ("wuu", "使用Python编程", "使用|Python|编|程"),
        ("ja", "東京都に住んでいる人々", "東京|都|に|住|んで|いる|人々"),
        ("th", "ประเทศไทยมีภูเขาสูง", "ประเทศไทย|มี|ภูเขา|สูง"),
        ("lo", "ປະເທດລາວເປັນປະເທດ", "ປະເທດ|ລາວ|ເປັນ|ປະເທດ"),
        ("km", "ប្រទេសកម្ពុជា", "ប្រទេស|កម្ពុជា"),
        ("my", "မြန်မာနိုင်ငံသည်", "မြန်မာနိုင်ငံ|သည်"),
        ("bo", "བོད་ཡིག་ནི། བོད་", "བོད¦ཡིག¦ནི|། བོད་"),
    ],
)
def test_words_of_each_script_are_separated(code: str, text: str, expected: str) -> None:
    assert shown(Segmenter(language(code)), text) == expected


def test_marks_and_signs_beside_such_a_script_are_separated_from_it() -> None:
    assert shown(chinese, "北京，上海。《红楼梦》(Beijing)大学😀") == "北京|，|上海|。|《|红楼梦|》|(Beijing)|大学|😀"
    assert shown(khmer, "មួយ។មួយ") == "មួយ|។|មួយ"


def test_text_of_other_scripts_is_not_changed() -> None:
    for text in ("x-ray, don't (stop) 3.5% x²", "한국어ABC", "Привет, мир", "नमस्ते दुनिया"):
        assert split(chinese, text) == split(thai, text) == split(tibetan, text) == [text]


def test_letters_that_icu_does_not_separate_from_others_are_separated() -> None:
    assert shown(thai, "ปี2563 ABCไทย") == "ปี|2563 ABC|ไทย"
    assert shown(chinese, "泰国ไทยABC") == "泰国|ไทย|ABC"


def test_a_zero_width_space_is_a_joint_but_kept_at_the_edges() -> None:
    assert shown(khmer, "ក\u200bខ") == "ក|ខ"
    assert shown(khmer, "ប្រទេស\u200bកម្ពុជា") == shown(khmer, "ប្រទេសកម្ពុជា")
    assert shown(khmer, "\u200bក\u200b ខ\u200b") == "\u200bក\u200b ខ\u200b"
    assert shown(khmer, "ក\u200b\u200bខ") == "ក\u200b|ខ"


def test_a_tsheg_between_two_syllables_differs_from_other_joints() -> None:
    assert shown(tibetan, "ཀ༌ཁ་ག་།") == "ཀ¦ཁ¦ག་|།"
    assert shown(tibetan, "ཀ་ཁ Tibet་ཀ") == "ཀ¦ཁ Tibet་|ཀ"


def reference(text: str) -> str:
    """The rule, a character at a time, each text by itself."""
    cuts, position = set[int](), 0
    for piece in WordBreaker(text, "en"):
        cuts.add(position)
        position += len(piece)
    kinds = [CLASSES[character] for character in text]
    out, before, cut = "", " ", False
    for place, (character, kind) in enumerate(zip(text, kinds, strict=True)):
        cut = cut or place in cuts
        if kind == "z" and before == "b" and kinds[place + 1 : place + 2] == ["b"]:
            out, before = out + JOINT, " "
            continue
        if kind not in "az":
            pair = before + kind
            if " " not in pair and ((pair.count("b") == 1) or (cut and pair != "ss")):
                out += JOINT
            before, cut = kind, False
        out += character
    return out


@settings(max_examples=400)
@given(st.lists(TEXTS, max_size=5))
@example(["3.5年", "", "𠮷野家", "a\u200bb", "ท\u200b", "\u200bย"])
@example(["ไทย\r", "\nไทย", "\u0301ท", "\ufe0f東京"])
def test_joints_are_where_the_rule_says(texts: list[str]) -> None:
    assert split(chinese, *texts) == [reference(text) for text in texts]


@settings(max_examples=300)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\x1e\x1f\u200b"), max_size=30)
        | TEXTS.map(lambda t: t.replace("\u200b", "")),
        max_size=4,
    )
)
def test_without_its_joints_a_text_is_the_text(texts: list[str]) -> None:
    assert [text.replace(JOINT, "") for text in split(japanese, *texts)] == texts
    back = [text.replace(JOINT, "").replace(TSHEG_JOINT, "་") for text in split(tibetan, *texts)]
    assert back == texts


@settings(max_examples=100)
@given(st.lists(st.sampled_from("ཀཁགabc་། ིྱ༡"), max_size=12).map("".join))
def test_a_tsheg_joint_is_between_syllables(text: str) -> None:
    for before, after in re.findall("(?s)(.)\x1e(?=(.))", split(tibetan, text)[0]):
        assert before in "ཀཁགིྱ་"  # of two tshegs the first is kept
        assert after in "ཀཁག"


@settings(max_examples=200)
@given(st.sampled_from(["😀", "𠮷", "👨‍👩‍👧", "𪚥", "a😀"]), TEXTS)
def test_text_before_a_blank_does_not_change_the_joints_after_it(before: str, text: str) -> None:
    for segmenter in (chinese, thai):
        assert split(segmenter, f"{before} x{text}") == [split(segmenter, f"{before} x")[0] + split(segmenter, f"x{text}")[0][1:]]
    assert shown(chinese, f"{before}\n东京塔")[len(before) :].endswith("\n" + shown(chinese, "东京塔"))


def test_texts_do_not_depend_on_their_neighbors() -> None:
    texts = ["東京都に住んでいる", "", "x" * BATCH_BYTES, "ประเทศไทย" * 5000, "北京\r", "\n大学", "人々"] * 2
    assert split(japanese, *texts) == [split(japanese, text)[0] for text in texts]


def test_nulls_are_kept_and_slices_are_their_texts() -> None:
    texts = from_python(["不要", "我们学习", None, "", "北京大学"])
    assert texts.valid is not None
    found = chinese.split(Strings(texts.data, texts.offsets[1:], texts.valid[1:]))
    assert found.data.tobytes().decode() == "我们|学习北京|大学".replace("|", JOINT)
    assert found.valid is not None
    assert found.valid.tolist() == [True, False, True, True]
    assert found.offsets.tolist() == [0, 13, 13, 13, 26]
    assert split(chinese) == []


def test_joints_of_a_text_become_spaces() -> None:
    assert split(chinese, "学\x1f习\x1e") == ["学 习 "]
    assert split(tibetan, "ཀ\x1eཁ") == ["ཀ ཁ"]


def test_invalid_utf8_is_replaced() -> None:
    raw = [b"\xe5\x8c", "北京大学".encode(), b"\xed\xa0\x80a"]
    data = np.frombuffer(b"".join(raw), np.uint8)
    found = chinese.split(Strings(data, np.cumsum([0, *map(len, raw)]), None))
    assert found.data.tobytes().decode() == "�北京\x1f大学���a"
    assert found.offsets.tolist() == [0, 3, 16, 26]


def test_a_language_with_spaces_has_no_segmenter() -> None:
    with pytest.raises(tc.OptionError, match=r"Korean \(ko\) has spaces between words"):
        Segmenter(language("ko"))


def test_what_separates_the_words_of_a_language_has_a_version() -> None:
    separators = {code: parted_by(known) for code, known in LANGUAGES.items()}
    assert (separators["en"], separators["bo"]) == ("spaces", "syllables")
    assert re.fullmatch(r"ICU \d+\.\d+", separators["zh"])
    assert {used for code, used in separators.items() if LANGUAGES[code].words == "dictionary"} == {separators["zh"]}


def test_without_icu_the_error_has_the_command_that_installs_it() -> None:
    script = (
        "import sys; sys.modules['icu4py'] = sys.modules['icu4py.breakers'] = None\n"
        "from tallyclip.lists.segment import Segmenter\n"
        "from tallyclip.lists.languages import language\n"
        "Segmenter(language('bo')); Segmenter(language('ja'))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in result.stderr
    assert install_line("metadata") in result.stderr


@pytest.mark.parametrize(
    ("code", "words"), [("zh", ["柏林", "德国"]), ("ja", ["ベルリン", "ドイツ"]), ("th", ["เบอร์ลิน", "เยอรมนี"]), ("my", ["မြို့တော်", "နိုင်ငံ"])]
)
def test_real_pages_are_split_into_words(shared_data: Path, code: str, words: list[str]) -> None:
    page = bz2.decompress((shared_data / "wikipedia" / "dbpedia-minidumps" / f"{code}.wiki.xml.bz2").read_bytes()).decode()
    [parted] = split(Segmenter(language(code)), page)
    pieces = re.split(r"[\s\x1f]", parted)
    assert parted.replace(JOINT, "").replace("\u200b", "") == page.replace("\u200b", "")
    assert all(pieces.count(word) >= 3 for word in words), [pieces.count(word) for word in words]
