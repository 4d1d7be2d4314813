"""Looking for newer model versions goes on for each shop, whatever happens to another."""

from __future__ import annotations

from typing import Any

import pytest

from ranking import towers
from ranking.towers import Serving


def test_one_shop_whose_model_cannot_be_loaded_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed: list[int] = []

    class Half(Serving):
        def refresh(self, shop_id: int) -> Any:
            refreshed.append(shop_id)
            if shop_id == 1:
                raise LookupError("its artefact is gone")

    monkeypatch.setattr(towers, "close_old_connections", lambda: None)
    serving = Half()
    serving._models = dict.fromkeys((1, 2, 3))  # type: ignore[assignment]
    serving.refresh_each()
    assert refreshed == [1, 2, 3]
