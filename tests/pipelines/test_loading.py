"""Loading libraries: what is left out while they load is there again afterwards."""

from __future__ import annotations

import gc
import importlib
import sys

import pytest

from pipelines.loading import loading

ABSENT = "xml.dom.pulldom"


def test_what_is_left_out_is_not_found_inside_and_is_afterwards() -> None:
    sys.modules.pop(ABSENT, None)
    with loading(without=[ABSENT]), pytest.raises(ModuleNotFoundError):
        importlib.import_module(ABSENT)
    assert importlib.import_module(ABSENT).__name__ == ABSENT


def test_what_was_loaded_before_stays() -> None:
    with loading(without=["json"]):
        assert importlib.import_module("json").loads("1") == 1
    assert "json" in sys.modules


@pytest.mark.parametrize("collecting", [True, False])
def test_collecting_garbage_goes_on_as_before_also_after_a_failure(collecting: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with pytest.raises(ValueError, match="stop"), loading():
            assert not gc.isenabled()
            raise ValueError("stop")
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()
