import pytest
from peer_fakes import Bench


@pytest.fixture
def bench() -> Bench:
    """A context made of fakes."""
    return Bench()
