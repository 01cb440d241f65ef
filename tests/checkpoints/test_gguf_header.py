"""What the header of a GGUF file tells, whole and split."""

from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType

from tests.support.small_gguf import write_gguf
from tui.checkpoints import gguf_parts
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.gguf_use import require_usable

WHOLE = 114_752


@pytest.mark.parametrize("head", ["own", "none", "repeated"])
def test_a_tied_head_is_counted_once(tmp_path: Path, head: str) -> None:
    header = read_header(write_gguf(tmp_path / "a.gguf", head=head))
    (embeddings,) = (one for one in header.tensors if one.name == "token_embd.weight")
    assert header.is_tied is (head != "own")
    assert header.parameters == WHOLE - (embeddings.elements if head != "own" else 0)
    read_at_each_step = sum(one.size for one in header.tensors)
    if head != "none":
        read_at_each_step -= embeddings.size
    assert header.bytes_per_token == read_at_each_step


@pytest.mark.parametrize("parts", [3, 21])
def test_a_tied_head_is_counted_once_in_any_part(tmp_path: Path, parts: int) -> None:
    whole = read_header(write_gguf(tmp_path / "whole.gguf", head="repeated"))
    first = write_gguf(tmp_path / "tiny.gguf", head="repeated", parts=parts)
    header = read_header(first)
    assert (header.is_tied, header.parameters) == (True, whole.parameters)
    own = read_header(write_gguf(tmp_path / "own.gguf", parts=parts))
    assert (own.is_tied, own.parameters) == (False, WHOLE)


def test_a_split_model_is_known_by_any_of_its_parts(tmp_path: Path) -> None:
    whole = read_header(write_gguf(tmp_path / "whole.gguf"))
    first = write_gguf(tmp_path / "tiny.gguf", parts=3)
    parts = gguf_parts.all_parts(first)
    assert [part.name for part in parts] == [f"tiny-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    for part in parts:
        header = read_header(part)
        assert header.files == parts
        assert (header.parameters, header.mixture) == (whole.parameters, whole.mixture)
        assert (header.context, header.architecture) == (256, "llama")
        assert {one.part for one in header.tensors} == {0, 1, 2}
    assert gguf_parts.display_stem(parts[1]) == "tiny"
    assert gguf_parts.size_of(parts[1]) == sum(part.stat().st_size for part in parts)


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "tiny.gguf", parts=3)
    gguf_parts.all_parts(first)[1].unlink()
    with pytest.raises(CheckpointError, match="1 of 3 parts are missing: tiny-00002") as caught:
        read_header(first)
    assert caught.value.cause == "not_found"


def test_parts_that_do_not_belong_together_are_told_of(tmp_path: Path) -> None:
    def model(name: str, **changes: Any) -> list[Path]:
        (tmp_path / name).mkdir()
        first = write_gguf(tmp_path / name / "tiny.gguf", parts=3, **changes)
        return list(gguf_parts.all_parts(first))

    def refusal(part: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            read_header(part)
        assert caught.value.cause == "damaged" and "of one model" in caught.value.next_step
        return caught.value.message

    swapped = model("swapped")
    swapped[1].rename(tmp_path / "aside")
    swapped[2].rename(swapped[1])
    (tmp_path / "aside").rename(swapped[2])
    told = "tiny-00002-of-00003.gguf is part 3 of 3 by its header, and 2 of 3 by its name"
    assert {refusal(part) for part in swapped} == {told}
    larger = model("larger", biases=True)
    mixed = model("mixed")
    larger[1].rename(mixed[1])
    told = "tiny-00002-of-00003.gguf is a part of another model: of 27 tensors, and tiny-00001-of-"
    assert refusal(mixed[0]).startswith(told)
    fewer = model("fewer")
    other = model("other", seed=1)
    other[2].rename(fewer[1])
    raw = fewer[1].read_bytes()
    fewer[1].write_bytes(raw.replace(b"split.no\2\0\0\0\2", b"split.no\2\0\0\0\1"))
    assert "has blk.1.attn_v.weight in two of its parts" in refusal(fewer[0])
    whole = model("whole")
    write_gguf(whole[2])
    assert refusal(whole[1]) == "tiny-00003-of-00003.gguf is a whole file and not part 3 of 3"


def test_a_whole_model_by_the_name_of_a_later_part_is_read_as_itself(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny-00001-of-00002.gguf", context=64)
    second = write_gguf(tmp_path / "tiny-00002-of-00002.gguf", context=128)
    header = read_header(second)
    assert (header.files, header.context) == ((second,), 128)


def test_a_whole_file_by_the_name_of_a_part_is_said_to_be_whole(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "tiny-00001-of-00002.gguf"))
    assert header.name_remark == (
        "the name of the file says one of 2 parts, but it is a whole model"
    )
    assert not read_header(write_gguf(tmp_path / "whole.gguf")).name_remark


def test_a_file_that_is_cut_says_so_in_plain_words(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    for length in (6, 40, 300, 2000):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as caught:
            read_header(tmp_path / "cut.gguf")
        assert "unpack" not in caught.value.message and "buffer" not in caught.value.message


def test_a_part_under_another_name_says_how_it_should_be_called(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "tiny.gguf", parts=2)
    with pytest.raises(CheckpointError, match="one of 2 parts") as caught:
        read_header(first.rename(tmp_path / "mine.gguf"))
    assert "NAME-00001-of-00002.gguf" in caught.value.next_step


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"general.type": "adapter"}, "an adapter"),
        ({"general.type": "mmproj"}, "sees or hears"),
        ({"general.type": "model"}, ""),
        ({"tokenizer.ggml.model": "none"}, "without a vocabulary"),
        ({"general.architecture": 7}, "names no architecture"),
    ],
)
def test_what_is_no_language_model_is_said(
    tmp_path: Path, metadata: dict[str, object], says: str
) -> None:
    told = ""
    try:
        require_usable("a", read_header(write_gguf(tmp_path / "a.gguf", metadata=metadata)))
    except CheckpointError as error:
        told = error.message
    assert says in told and bool(says) == bool(told)


def test_a_vocabulary_of_numbers_is_none(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "a.gguf", metadata={"tokenizer.ggml.tokens": [*range(300)]})
    with pytest.raises(CheckpointError, match="a vocabulary of numbers"):
        read_header(file)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf")
    assert read_header(path) is read_header(path)
    write_gguf(path, context=128)
    assert read_header(path).context == 128


def test_a_name_that_promises_other_bits_than_the_header_is_remarked_upon(tmp_path: Path) -> None:
    kinds = (GGMLQuantizationType.Q8_0,)
    names = ("tiny-q4_k_m.gguf", "tiny-Q8_0.gguf", "tiny.gguf", "sha256-f4ab93")
    told = {
        name: read_header(write_gguf(tmp_path / name, kinds=kinds)).name_remark for name in names
    }
    assert told.pop("tiny-q4_k_m.gguf") == "the name of the file says q4_k_m, its header Q8_0"
    assert not any(told.values())


@pytest.mark.parametrize("name", ["quant-q05.gguf", "think-q3.gguf", "tiny-v2_q8.gguf"])
def test_a_name_that_promises_nothing_is_not_remarked_upon(tmp_path: Path, name: str) -> None:
    assert not read_header(write_gguf(tmp_path / name)).name_remark


def test_a_name_of_other_formats_with_as_many_bits_is_remarked_upon(tmp_path: Path) -> None:
    kinds = (GGMLQuantizationType.Q4_0,)
    assert read_header(write_gguf(tmp_path / "a-Q4_K_M.gguf", kinds=kinds)).name_remark
    assert not read_header(write_gguf(tmp_path / "a-Q4_0.gguf", kinds=kinds)).name_remark


@pytest.mark.parametrize("length", [1 << 20, 1 << 63, (1 << 64) - 1])
def test_a_word_that_leads_out_of_the_file_is_told(tmp_path: Path, length: int) -> None:
    file = write_gguf(tmp_path / "a.gguf")
    words = read_header(file, words=True).metadata["tokenizer.ggml.tokens"]
    raw = file.read_bytes()
    at = raw.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 4 + 12
    assert int.from_bytes(raw[at : at + 8], "little") == len(words[0].encode())
    file.write_bytes(raw[:at] + length.to_bytes(8, "little") + raw[at + 8 :])
    with pytest.raises(CheckpointError, match="a string of") as caught:
        read_header(file, words=True)
    assert caught.value.cause == "damaged"
