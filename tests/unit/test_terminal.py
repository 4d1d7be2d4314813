"""What `manage.py up` prints of the processes' logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.supervision.terminal import LogEcho


def test_it_follows_a_log_that_is_rotated_while_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "web.log"
    log.write_text("before\n")
    echo = LogEcho(tmp_path, ["web"])
    log.write_text("before\nfirst words\n")
    opened = Path.open

    def rotated(path: Path, mode: str) -> object:
        path.unlink()
        return opened(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", rotated)
        echo.print_new()
    log.write_text("new words\n")
    echo.print_new()

    assert "new words" in capsys.readouterr().out
