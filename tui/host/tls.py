"""Whom a secure connection trusts."""

import ssl


def client_context() -> ssl.SSLContext:
    """Trusts the system's certificate authorities (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` count),
    and certifi's, for containers that have none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
