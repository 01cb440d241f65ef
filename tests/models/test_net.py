"""What the environment says of certificates and proxies, where it cannot be used."""

from pathlib import Path

import pytest

from tui.host.errors import EXIT_NETWORK, UserError
from tui.models import net


@pytest.mark.parametrize("proxy", ["foo://x", "http://h\x01"])
def test_a_proxy_that_cannot_be_used_is_told(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UserError, match="proxy") as caught:
        net.http_client()
    assert caught.value.exit_code == EXIT_NETWORK and "HTTPS_PROXY" in caught.value.next_step


def test_a_proxy_of_an_impossible_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:65536")
    with pytest.raises(UserError, match="the proxy set in the environment cannot be used"):
        net.is_reachable("https://example.com/")
    monkeypatch.delenv("HTTPS_PROXY")
    assert not net.is_reachable("https://example.com:65536/")
    assert not net.is_reachable("http://[::1")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_read_is_told(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "mine.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(UserError, match=r"mine\.pem") as caught:
        net.http_client(str(bundle))
    assert "PIP_CERT" in caught.value.next_step
    monkeypatch.setenv("PIP_CERT", str(bundle))
    with pytest.raises(UserError, match=r"mine\.pem"):
        net.http_client()
