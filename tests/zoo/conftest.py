"""What tests of the zoo share: the backends that convolve on this machine."""

from __future__ import annotations

import pytest

BACKENDS = ["reference", "spectral", "cpu"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each backend in turn; the compiled one is skipped where no compiler is."""
    if request.param == "cpu":
        from zoo.conv.cpu.build import extension, reason

        if extension() is None:
            pytest.skip(f"no compiler: {reason()}")
    return request.param
