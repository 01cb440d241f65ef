import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.host.errors import UserError
from tui.models.reference import DTYPES, Reference, model_id, parse_reference
from tui.services import built_in_names


@pytest.mark.parametrize(
    ("text", "kind", "target", "dtype"),
    [
        ("demo", "demo", "", ""),
        ("demo@fp32", "demo", "", "fp32"),
        ("demo@BF16", "demo", "", "bf16"),
        ("./Qwen-7B-Chat", "folder", "./Qwen-7B-Chat", ""),
        ("./Qwen-7B-Chat@int4", "folder", "./Qwen-7B-Chat", "int4"),
        ("/mnt/workspace/chatglm3-6b@fp16", "folder", "/mnt/workspace/chatglm3-6b", "fp16"),
        ("~/models/x", "folder", "~/models/x", ""),
        ("..", "folder", "..", ""),
        ("Qwen-7B-Chat/", "folder", "Qwen-7B-Chat/", ""),
        ("./home@work/x", "folder", "./home@work/x", ""),
        ("./me@home", "folder", "./me@home", ""),
        ("./a@bf16/", "folder", "./a@bf16/", ""),
        ("tiny.gguf", "gguf", "tiny.gguf", ""),
        ("./a@int8.gguf", "gguf", "./a@int8.gguf", ""),
        ("./-dash b#c+d,e.gguf@int8", "gguf", "./-dash b#c+d,e.gguf", "int8"),
        ("./q?x=1.gguf", "gguf", "./q?x=1.gguf", ""),
        ("/models/Tiny.GGUF@fp32", "gguf", "/models/Tiny.GGUF", "fp32"),
        ("ms:qwen/Qwen-7B-Chat", "modelscope", "qwen/Qwen-7B-Chat", ""),
        ("ms:qwen/Qwen-7B-Chat@int8", "modelscope", "qwen/Qwen-7B-Chat", "int8"),
        ("openai:gpt-4o", "service", "openai:gpt-4o", ""),
        ("ollama:qwen2.5:0.5b", "service", "ollama:qwen2.5:0.5b", ""),
        ("modelscope:Qwen/Qwen3-8B", "service", "modelscope:Qwen/Qwen3-8B", ""),
        ("http://localhost:8000/v1#x@y", "url", "http://localhost:8000/v1#x@y", ""),
        ("https://[::1]:8000/v1#n", "url", "https://[::1]:8000/v1#n", ""),
        ("session:a b#c.duibi#demo@bf16", "session", "a b#c.duibi#demo@bf16", ""),
        ("pasted:文心一言", "pasted", "文心一言", ""),
    ],
)
def test_every_form_is_read(text: str, kind: str, target: str, dtype: str) -> None:
    assert parse_reference(text) == Reference(text, kind, target, dtype)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("deno", "did you mean demo?"),
        ("Qwen-7B-Chat", "./Qwen-7B-Chat"),
        ("demo@bf61", "demo@bf16"),
        ("./x@float16", "./x@fp16"),
        ("./x@int5", "one of bf16"),
        ("demo@work", "one of bf16"),
        ("ms:Qwen-7B-Chat", "OWNER/NAME"),
        ("ms:../../etc/passwd", "OWNER/NAME"),
        ("ms:a/b/c", "OWNER/NAME"),
        ("opnai:gpt-4o", "openai:gpt-4o"),
        ("openai:", "openai:MODEL"),
        ("openai:gpt-4o@int4", "openai:gpt-4o"),
        ("http://localhost:8000/v1", "#NAME"),
        ("http:///v1#x", "names no host"),
        ("http://h:99999999/v1#x", "not a URL"),
        ("https://me:secret@host/v1#x", "DUIBI_API_KEY"),
        ("session:file", "session:FILE#NAME"),
        ("pasted:", "1 to 96"),
        ("demo\x1b[31m", "control characters"),
        ("./" + "a" * 5000, "too long"),
    ],
)
def test_what_is_no_reference_says_what_was_meant(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_reference(text)
    assert says in f"{caught.value.message} {caught.value.next_step}"
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message and "\x1b" not in caught.value.message


def test_a_secret_in_a_url_is_not_repeated() -> None:
    with pytest.raises(UserError) as caught:
        parse_reference("https://me:hunter2@host/v1#x")
    assert "hunter2" not in caught.value.message + caught.value.next_step


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_user_error(text: str) -> None:
    try:
        ref = parse_reference(text)
    except UserError as error:
        assert error.message and "\n" not in error.message
    else:
        assert ref.text == text.strip()
        assert ref.dtype in ("", *DTYPES)


@given(
    st.from_regex(r"[A-Za-z0-9][\w.-]{0,20}/[A-Za-z0-9][\w.-]{0,20}", fullmatch=True),
    st.sampled_from(["", *DTYPES]),
)
def test_an_id_and_dtype_come_back(text: str, dtype: str) -> None:
    try:
        wanted = model_id(text)
    except UserError:
        assert not text.isascii() or text.endswith("\n")
        return
    ref = parse_reference(f"ms:{wanted}@{dtype}" if dtype else f"ms:{wanted}")
    assert (ref.kind, ref.target, ref.dtype) == ("modelscope", wanted, dtype)


@given(
    st.sampled_from(built_in_names()), st.from_regex(r"[a-z0-9][a-z0-9.:-]{0,30}", fullmatch=True)
)
def test_a_service_keeps_its_model_name(service: str, model: str) -> None:
    if model.endswith("\n"):
        return
    assert parse_reference(f"{service}:{model}").target == f"{service}:{model}"


def test_services_of_the_settings_are_known_by_their_own_names() -> None:
    one = parse_reference("gpu-box:meta/Llama-3@8b", ["gpu-box"])
    assert (one.kind, one.target) == ("service", "gpu-box:meta/Llama-3@8b")
    with pytest.raises(UserError) as caught:
        parse_reference("gpubox:x", ["gpu-box"])
    assert "did you mean gpu-box:x?" in caught.value.next_step
