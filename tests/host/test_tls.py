"""Whom a secure connection trusts: certificates of real authorities stand for those of a system."""

import ssl
from pathlib import Path

import certifi
import pytest

from tui.host import tls


def test_the_systems_authorities_and_certifis_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    of_certifi, of_system = tmp_path / "certifi.pem", tmp_path / "system.pem"
    for path, certificate in zip((of_certifi, of_system), known, strict=False):
        path.write_text(ssl.DER_cert_to_PEM_cert(certificate))
    monkeypatch.setattr(certifi, "where", lambda: str(of_certifi))
    monkeypatch.setenv("SSL_CERT_FILE", str(of_system))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    context = tls.client_context()
    assert set(context.get_ca_certs(binary_form=True)) == set(known[:2])
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
