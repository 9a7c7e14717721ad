"""A local mirror becomes the source of providers; without one nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.local_stack import tf_mirror


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    (folder / tf_mirror.REGISTRY).mkdir(parents=True)
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(folder))
    return folder


def test_the_named_mirror_is_linked(mirror: Path, tmp_path: Path) -> None:
    tf_mirror.link_mirror(tmp_path)
    assert (tmp_path / "terraform.d" / "plugins").resolve() == mirror


def test_linking_again_changes_nothing(mirror: Path, tmp_path: Path) -> None:
    tf_mirror.link_mirror(tmp_path)
    tf_mirror.link_mirror(tmp_path)
    assert (tmp_path / "terraform.d" / "plugins").resolve() == mirror


def test_a_folder_that_is_no_mirror_is_not_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(tmp_path))
    tf_mirror.link_mirror(tmp_path)
    assert not (tmp_path / "terraform.d").exists()
