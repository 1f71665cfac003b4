"""The certificates of the tests of connections."""

from collections.abc import Iterator

import pytest

from reve_cli.api.network import tls_context


@pytest.fixture(autouse=True)
def certificates_are_loaded_afresh() -> Iterator[None]:
    """Clear the cache of certificates: each test starts like a new process."""
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()
