"""Keys: format, damage, randomness and digests."""

import re
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata_mcp.service.access import keys

SHOWN, PARTS = keys.generate()
_SECRETS = st.text(string.ascii_letters + string.digits, min_size=32, max_size=32)


def test_a_key_has_the_form_that_scanners_are_told() -> None:
    assert re.fullmatch(r"mdk_[a-z0-9]{10}_[A-Za-z0-9]{32}[0-9a-f]{8}", SHOWN)
    assert keys.parse(SHOWN) == PARTS
    assert PARTS.secret not in PARTS.id


def test_no_two_keys_share_anything() -> None:
    made = [keys.generate()[1] for _ in range(500)]
    assert len({one.id for one in made}) == len({one.secret for one in made}) == 500
    used = set("".join(one.secret for one in made))
    assert used == set(string.ascii_letters + string.digits)


@given(st.integers(0, len(SHOWN) - 1), st.characters())
def test_one_changed_character_is_damage(place: int, character: str) -> None:
    changed = SHOWN[:place] + character + SHOWN[place + 1 :]
    assert keys.parse(changed) == (PARTS if changed == SHOWN else None)


@given(st.integers(0, len(SHOWN) - 1))
def test_a_key_that_was_cut_is_damage(end: int) -> None:
    assert keys.parse(SHOWN[:end]) is None
    assert keys.parse(SHOWN[end + 1 :]) is None
    assert keys.parse(SHOWN[:end] + SHOWN[end + 1 :]) is None


@pytest.mark.parametrize("more", [" ", "\n", "\r\n", "\x00", "\u00a0", "a", '"', "="])
def test_nothing_may_stand_around_it(more: str) -> None:
    assert keys.parse(SHOWN + more) is None
    assert keys.parse(more + SHOWN) is None


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert keys.parse(text) is None
    assert keys.parse(f"{keys.PREFIX}{text}") is None


def test_digits_and_letters_of_other_alphabets_are_none() -> None:
    name, secret = "\u0661" * 10, "\uff21" * 32
    check = f"{zlib.crc32(f'{name}{secret}'.encode()):08x}"
    assert keys.parse(f"mdk_{name}_{secret}{check}") is None


def test_the_checksum_alone_opens_nothing() -> None:
    secret = "A" * 32
    forged = f"mdk_{PARTS.id}_{secret}{zlib.crc32(f'{PARTS.id}{secret}'.encode()):08x}"
    parts = keys.parse(forged)
    assert parts is not None
    assert parts.id == PARTS.id
    assert not keys.fits(parts.secret, keys.digest(PARTS.secret))


@given(_SECRETS, _SECRETS)
def test_only_the_secret_fits_its_digest(secret: str, other: str) -> None:
    assert keys.fits(secret, keys.digest(secret))
    assert keys.fits(other, keys.digest(secret)) == (secret == other)
    assert secret not in keys.digest(secret)


def test_long_texts_are_none_either() -> None:
    assert keys.parse(f"mdk_{'a' * 1_000_000}") is None
    assert keys.parse("mdk_" * 250_000) is None
