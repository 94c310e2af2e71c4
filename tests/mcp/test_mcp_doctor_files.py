"""The doctor's checks of files that others can write."""

from pathlib import Path

import pytest

from marketdata.doctor import machine


def test_a_home_that_only_its_owner_can_write_is_ok(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "access.sqlite").touch(mode=0o600)
    [found] = machine.permissions(home)
    assert found.state == "ok"


@pytest.mark.parametrize("what", ["home", "access.sqlite", "access.sqlite-wal", "policy.toml"])
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_files_that_others_can_write_fail(tmp_path: Path, what: str, mode: int) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name in ("access.sqlite", "access.sqlite-wal", "policy.toml"):
        (home / name).touch(mode=0o600)
    wrong = home if what == "home" else home / what
    wrong.chmod(mode)
    [found] = machine.permissions(home)
    assert found.state == "fail"
    assert str(wrong) in found.said
    assert found.advice is not None


def test_a_key_and_a_policy_in_other_places_are_checked_too(tmp_path: Path) -> None:
    home, key = tmp_path / "home", tmp_path / "tls.key"
    home.mkdir(mode=0o700)
    key.touch()
    key.chmod(0o666)
    [found] = machine.permissions(home, None, key)
    assert found.state == "fail"
    assert str(key) in found.said
