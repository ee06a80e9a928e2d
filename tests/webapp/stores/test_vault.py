"""Sealing: what goes in comes out with the right key, and with no other."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.errors import ServiceError, SettingsError
from webapp.settings import Settings
from webapp.stores.vault import KEY_FILE, PREFIX, Vault

VAULT = Vault("correct horse")


def settings(folder: Path, key: str | None = None) -> Settings:
    return Settings(staging_path=folder, database_url="sqlite:///x", secret_key=key)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_sealed_text_opens_again_and_does_not_show(text: str) -> None:
    sealed = VAULT.seal(text)
    assert VAULT.open(sealed) == text
    assert sealed.startswith(PREFIX)
    assert len(text) < 4 or text not in sealed


def test_the_same_text_looks_different_each_time() -> None:
    assert VAULT.seal("x") != VAULT.seal("x")


def test_a_text_that_was_never_sealed_comes_back_as_it_is() -> None:
    assert VAULT.open("postgres://h/d?table=t") == "postgres://h/d?table=t"


def test_a_text_that_only_looks_sealed_is_sealed_like_any_other() -> None:
    assert VAULT.open(VAULT.seal(PREFIX + "abc")) == PREFIX + "abc"


@pytest.mark.parametrize("damage", ["", "A", "=", "\n", "é"])
def test_what_cannot_be_opened_says_what_to_do(damage: str) -> None:
    for vault, sealed in ((Vault("another"), VAULT.seal("swordfish")), (VAULT, PREFIX + damage)):
        with pytest.raises(ServiceError, match="KALLA_SECRET_KEY") as caught:
            vault.open(sealed)
        assert (caught.value.code, caught.value.status) == ("internal.secret_key", 500)
        assert "swordfish" not in str(caught.value)


def test_keys_rotate() -> None:
    old, both, new = Vault("old"), Vault("new, old"), Vault("new")
    assert both.open(old.seal("x")) == "x"
    assert new.open(both.seal("x")) == "x"
    with pytest.raises(ServiceError):
        old.open(both.seal("x"))


def test_without_any_key_there_is_no_vault() -> None:
    for key in (None, "", " , "):
        with pytest.raises(SettingsError, match="KALLA_SECRET_KEY"):
            Vault(key)


def test_an_installation_without_key_makes_one_for_itself(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "staging"
    sealed = Vault.for_settings(settings(folder)).seal("x")
    assert Vault.for_settings(settings(folder)).open(sealed) == "x"
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]
    with pytest.raises(ServiceError):
        Vault.for_settings(settings(tmp_path / "other")).open(sealed)


def test_nothing_is_written_before_the_first_use(tmp_path: Path) -> None:
    Vault.for_settings(settings(tmp_path)).open("plain")
    Vault.for_settings(settings(tmp_path, "key")).seal("x")
    assert not list(tmp_path.iterdir())


def test_entries_from_before_the_key_was_set_stay_readable(tmp_path: Path) -> None:
    sealed = Vault.for_settings(settings(tmp_path)).seal("x")
    with_key = Vault.for_settings(settings(tmp_path, "key"))
    assert with_key.open(sealed) == "x"
    with pytest.raises(ServiceError):
        Vault.for_settings(settings(tmp_path)).open(with_key.seal("y"))


def test_a_damaged_key_file_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("gone\n")
    with pytest.raises(ServiceError, match="it holds no key"):
        Vault.for_settings(settings(tmp_path)).seal("x")
    assert (tmp_path / KEY_FILE).read_text() == "gone\n"


def test_a_folder_that_takes_no_key_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match=r"internal\.secret_key"):
        Vault(None, tmp_path / "file" / KEY_FILE).seal("x")


def test_processes_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from webapp.stores.vault import Vault;"
        "v = Vault(None, pathlib.Path(sys.argv[1])); sys.stdin.read(1); print(v.seal('x'))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / KEY_FILE)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    sealed = [process.communicate(b"!", timeout=60)[0].decode().strip() for process in started]
    assert [Vault(None, tmp_path / KEY_FILE).open(text) for text in sealed] == ["x"] * 3
