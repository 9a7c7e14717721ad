"""Where Terraform gets its provider from: TF_PLUGIN_MIRROR, an implied mirror folder, or the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.local_stack import terraform
from scripts.local_stack.terminal import StackError
from scripts.local_stack.terraform import (
    LOCK_FILE,
    NO_PROVIDER,
    REGISTRY,
    Terraform,
    advice,
    copy_configuration,
    link_mirror,
)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    (folder / REGISTRY).mkdir(parents=True)
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(folder))
    return folder


def test_the_named_mirror_is_linked(mirror: Path, tmp_path: Path) -> None:
    link_mirror(tmp_path)
    assert (tmp_path / "terraform.d" / "plugins").resolve() == mirror


def test_linking_again_changes_nothing(mirror: Path, tmp_path: Path) -> None:
    link_mirror(tmp_path)
    link_mirror(tmp_path)
    assert (tmp_path / "terraform.d" / "plugins").resolve() == mirror


@pytest.mark.parametrize("value", [None, ""])
def test_a_mirror_that_is_no_longer_named_is_unlinked(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """Nothing else is searched: Terraform uses its implied mirror folders and the registry."""
    link_mirror(tmp_path)
    if value is None:
        monkeypatch.delenv("TF_PLUGIN_MIRROR")
    else:
        monkeypatch.setenv("TF_PLUGIN_MIRROR", value)
    link_mirror(tmp_path)
    assert not (tmp_path / "terraform.d" / "plugins").is_symlink()


def test_a_folder_that_is_no_mirror_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(tmp_path))
    with pytest.raises(StackError, match=r"TF_PLUGIN_MIRROR is .*, which has no folder registry"):
        link_mirror(tmp_path)
    assert not (tmp_path / "terraform.d").exists()


def test_a_copy_of_the_configuration_has_modules_and_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy's provider is checked against the hashes of the committed file. An old copy is replaced."""
    source, module = tmp_path / "source", Path("modules") / "pipeline" / "main.tf"
    for folder in (source, tmp_path / "copy"):
        (folder / module).parent.mkdir(parents=True)
    (tmp_path / "copy" / module).with_name("old.tf").write_text("# gone")
    (source / module).write_text("# module")
    (source / "main.tf").write_text("# configuration")
    (source / LOCK_FILE).write_text("# hashes")
    monkeypatch.setattr(terraform, "SOURCE", source)
    copy_configuration(tmp_path / "copy")
    assert (tmp_path / "copy" / "main.tf").read_text() == "# configuration"
    assert (tmp_path / "copy" / LOCK_FILE).read_text() == "# hashes"
    assert [file.read_text() for file in (tmp_path / "copy" / "modules").rglob("*.tf")] == ["# module"]


def test_without_a_provider_init_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    config = tmp_path / "terraformrc"
    config.write_text(f'provider_installation {{ filesystem_mirror {{ path = "{tmp_path / "empty"}" }} }}\n')
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(config))
    monkeypatch.delenv("TF_PLUGIN_MIRROR", raising=False)
    working_copy = Terraform(tmp_path / "home", tmp_path / "cache", endpoint="")
    working_copy.copy_sources()
    with pytest.raises(StackError) as failed:
        working_copy.init()
    assert failed.value.reason.endswith(NO_PROVIDER)


def test_another_failure_gets_no_advice_about_providers() -> None:
    assert advice("Error: Unsupported Terraform Core version") == ""
