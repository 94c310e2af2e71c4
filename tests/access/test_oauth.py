"""Tokens of an outside issuer: which are accepted, and when its keys are requested."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from access_doors import PATIENCE
from access_issuer import AUDIENCE, Issuer, encoded, issuing, jwk, private
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

from marketdata.errors import UnauthorizedError
from marketdata_mcp.service.access import oauth
from marketdata_mcp.service.access.accounts import AwayError
from marketdata_mcp.service.access.oauth import TokenVerifier, Verified

PAUSE = 30.5


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running, asyncio.Runner() as loop:
        running.loop = loop
        yield running


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def outcome(issuer: Issuer, *tokens: str, verifier: TokenVerifier | None = None) -> Any:
    """Return whom a token stands for, or the error; of several a list."""
    verifier = verifier or TokenVerifier(issuer.policy)

    async def work() -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            tried = (verifier.verify(token) for token in tokens)
            return await asyncio.gather(*tried, return_exceptions=True)

    outcomes = issuer.loop.run(work())
    return outcomes[0] if len(tokens) == 1 else outcomes


def refused(one: Any) -> bool:
    return type(one) is UnauthorizedError


# ---------------------------------------------------------------------------- tokens


def test_a_good_token(issuer: Issuer) -> None:
    scopes = frozenset({"openid", "md:pro"})
    assert outcome(issuer, issuer.token()) == Verified("oauth:somebody", "an-agent", scopes)
    for more in ({"aud": ["https://other.example", AUDIENCE]}, {"nbf": int(time.time()) - 1}):
        assert outcome(issuer, issuer.token(**more)).account == "oauth:somebody"
    named = outcome(issuer, issuer.token(client_id=None, azp="a-host", scope=None))
    assert (named.client, named.scopes) == ("a-host", frozenset())
    for scp in (["md:pro", "openid"], "md:pro openid"):
        assert outcome(issuer, issuer.token(scope=None, scp=scp)).scopes == scopes


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RS256"), ("RSA", "RS512"), ("RSA", "PS256"), ("EC", "ES256"), ("Ed25519", "EdDSA")],
)
def test_the_algorithms_that_issuers_use(issuer: Issuer, kind: str, algorithm: str) -> None:
    issuer.jwks = {"keys": [jwk("key", kind, alg=algorithm)]}
    assert outcome(issuer, issuer.token("key", kind, algorithm)).account == "oauth:somebody"


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"aud": "https://other.example/mcp"},
    {"aud": f"{AUDIENCE}/"},
    {"aud": [AUDIENCE + "x"]},
    {"aud": []},
    {"aud": None},
    {"iss": "https://other.example"},
    {"iss": None},
    {"exp": 1},
    {"exp": int(time.time()) - 40},
    {"exp": None},
    {"exp": "never"},
    {"nbf": 9_999_999_999},
    {"iat": 9_999_999_999},
    {"sub": None},
    {"sub": ""},
    {"sub": "x" * 256},
    {"sub": "a\nb"},
    {"sub": "a\ud800"},
]


@pytest.mark.parametrize("claims", WRONG_CLAIMS)
def test_a_claim_that_is_wrong(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert refused(outcome(issuer, issuer.token(**claims)))


@pytest.mark.parametrize("sub", [5, ["somebody"], {"a": 1}, True])
def test_a_subject_that_is_no_text(issuer: Issuer, sub: Any) -> None:
    signed = f"{encoded({'alg': 'ES256', 'kid': 'first'})}.{encoded(issuer.claims(sub=sub))}"
    assert refused(outcome(issuer, f"{signed}.{signature_of(signed)}"))
    good = f"{encoded({'alg': 'ES256', 'kid': 'first'})}.{encoded(issuer.claims())}"
    assert outcome(issuer, f"{good}.{signature_of(good)}").account == "oauth:somebody"


def signature_of(signed: str) -> str:
    """Sign as the issuer does, whatever stands in the token."""
    return encoded(get_default_algorithms()["ES256"].sign(signed.encode(), private("first")))


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens of somebody who does not have the issuer's key."""
    header, payload, signature = issuer.token().split(".")
    public = private("first").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def symmetric(secret: bytes) -> str:
        signed = f"{encoded({'alg': 'HS256', 'kid': 'first'})}.{payload}"
        return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    def headed(**more: Any) -> str:
        return f"{encoded({'alg': 'ES256', 'kid': 'first', **more})}.{payload}.{signature}"

    none = [{"alg": one, "kid": "first"} for one in ("none", "None", "nOnE", "NONE", "", "ES256")]
    hostile = {"keys": [jwk("attacker", kid="first")]}
    own = {"kid": "first", "jwk": jwk("attacker"), "jku": f"{issuer.url}/evil", "x5u": issuer.url}
    return {
        **{f"without a signature {n}": f"{encoded(one)}.{payload}." for n, one in enumerate(none)},
        "signed with the public key": symmetric(pem),
        "signed with the public key's other form": symmetric(der),
        "signed with nothing": symmetric(b""),
        "with a key of its own": issuer.token("attacker", header=own),
        "with an unknown key": issuer.token("attacker"),
        "with the name of a good key": issuer.token("attacker", header={"kid": "first"}),
        "with keys in the claims": issuer.token("attacker", header={"kid": "first"}, jwks=hostile),
        "with other claims": f"{header}.{encoded(issuer.claims(sub='admin'))}.{signature}",
        "with another algorithm": headed(alg="ES384"),
        "with an algorithm that is none": headed(alg=["ES256"]),
        "with a critical extension": headed(crit=["exp"], exp=1),
        "with a name that is none": headed(kid=["first"]),
        "with a name of the file system": headed(kid="../../../../dev/null"),
        "with no name": f"{encoded({'alg': 'ES256'})}.{payload}.{signature}",
        "with a detached payload": headed(b64=False, crit=["b64"]),
        "with half of a signature": f"{header}.{payload}.{signature[: len(signature) // 2]}",
        "with another signature": f"{header}.{payload}.{encoded(bytes(64))}",
        "of an encrypted kind": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "empty": "..",
        "of nothing": f"{encoded({})}.{encoded({})}.",
        "a list": f"{encoded(b'[]')}.{payload}.{signature}",
        "deep": f"{encoded(b'[' * 3000)}.{payload}.{signature}",
        "deep inside": f"{header}.{encoded(b'[' * 3000)}.{signature}",
        "of other letters": "\u00e9.\u00e9.\u00e9",
    }


def test_forged_tokens(issuer: Issuer) -> None:
    tokens = forged(issuer)
    verifier = TokenVerifier(issuer.policy)
    outcomes = dict(zip(tokens, outcome(issuer, *tokens.values(), verifier=verifier), strict=True))
    assert {name: one for name, one in outcomes.items() if not refused(one)} == {}
    assert outcome(issuer, issuer.token(), verifier=verifier).account == "oauth:somebody"
    assert set(issuer.fetched) == {"/keys"}
    # The answer tells nothing of what was sent.
    assert all(token not in str(outcomes[name].to_dict()) for name, token in tokens.items())


@given(st.text(max_size=300) | st.binary(max_size=100).map(encoded), st.text(max_size=60))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_refused(issuer: Issuer, first: str, second: str) -> None:
    verifier = TokenVerifier(issuer.policy)
    good = issuer.token().split(".")
    texts = (f"{first}.{second}.{first}", f"{good[0]}.{first}.{good[2]}", f"{good[0]}.{good[1]}.x")
    assert all(refused(one) for one in outcome(issuer, *texts, verifier=verifier))


# ---------------------------------------------------------------------------- the issuer's keys


def test_keys_are_fetched_once_whoever_asks(issuer: Issuer) -> None:
    clock = Clock()
    verifier = TokenVerifier(issuer.policy, clock)
    good = issuer.token()
    assert not any(map(refused, outcome(issuer, *[good] * 50, verifier=verifier)))
    assert len(issuer.fetched) == 1
    strange = [issuer.token("attacker", header={"kid": f"kid-{n}"}) for n in range(100)]
    for _ in range(2):
        clock.now += PAUSE
        begin = len(issuer.fetched)
        outcomes = outcome(issuer, *strange, good, verifier=verifier)
        assert [refused(one) for one in outcomes] == [True] * 100 + [False]
        assert len(issuer.fetched) == begin + 1
    clock.now += 1
    assert all(map(refused, outcome(issuer, *strange, verifier=verifier)))
    assert len(issuer.fetched) == 3


def test_keys_are_rotated(issuer: Issuer) -> None:
    clock = Clock()
    verifier = TokenVerifier(issuer.policy, clock)
    old, new = issuer.token(), issuer.token("second")
    assert not refused(outcome(issuer, old, verifier=verifier))
    issuer.jwks = {"keys": [jwk("first"), jwk("second")]}
    assert refused(outcome(issuer, new, verifier=verifier))
    clock.now += PAUSE
    assert not any(map(refused, outcome(issuer, old, new, verifier=verifier)))
    issuer.jwks = {"keys": [jwk("second")]}
    clock.now += 3601  # what was withdrawn holds for an hour at most
    assert [refused(one) for one in outcome(issuer, old, new, verifier=verifier)] == [True, False]
    assert len(issuer.fetched) == 3


def away(issuer: Issuer) -> None:
    issuer.status = 503


def redirecting(issuer: Issuer) -> None:
    issuer.status, issuer.headers = 302, {"Location": "/elsewhere"}


def huge(issuer: Issuer) -> None:
    issuer.jwks = {"keys": [jwk("first")], "more": "x" * (2 << 20)}


def packed(issuer: Issuer) -> None:
    issuer.jwks = gzip.compress(json.dumps(issuer.jwks).encode())
    issuer.headers = {"Content-Encoding": "gzip"}


def slow(issuer: Issuer) -> None:
    issuer.drip = 0.02


def saying(body: bytes) -> Callable[[Issuer], None]:
    def say(issuer: Issuer) -> None:
        issuer.jwks = body

    return say


TROUBLES = [away, redirecting, huge, packed, slow, saying(b'{"keys": []}')]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_issuer_in_trouble(
    issuer: Issuer, trouble: Callable[[Issuer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, well = Clock(), issuer.jwks
    fresh, known = TokenVerifier(issuer.policy, clock), TokenVerifier(issuer.policy, clock)
    good = issuer.token()
    assert outcome(issuer, good, verifier=known).account == "oauth:somebody"
    trouble(issuer)
    if trouble is slow:
        monkeypatch.setattr(oauth, "_TIMEOUT", 1.0)
    # Who does not know the keys lets nobody in, and says that this may change.
    error = outcome(issuer, good, verifier=fresh)
    assert type(error) is AwayError
    assert (error.retryable, error.retry_after) == (True, 1.0)
    # Who knows them goes on.
    clock.now += 4000
    assert outcome(issuer, good, verifier=known).account == "oauth:somebody"
    assert issuer.fetched == ["/keys"] * 3
    # And it is tried again, by itself.
    monkeypatch.undo()
    issuer.jwks, issuer.status, issuer.headers, issuer.drip = well, 200, {}, None
    clock.now += PAUSE
    for verifier in (fresh, known):
        assert outcome(issuer, good, verifier=verifier).account == "oauth:somebody"


NONSENSE = [
    b"",
    b"{",
    b"[]",
    b"5",
    b'{"keys": 5}',
    b'{"keys": [{"kty": "EC"}]}',
    b'{"keys": [{"kty": "EC", "kid": ["first"]}]}',
    b"\xff\xfe",
    b"[" * 200_000,
    b'{"keys": ' + b"[" * 200_000,
]


def test_nonsense_in_the_place_of_keys(issuer: Issuer) -> None:
    clock = Clock()
    verifier = TokenVerifier(issuer.policy, clock)
    good, strange = issuer.token(), issuer.token("second")
    assert outcome(issuer, good, verifier=verifier).account == "oauth:somebody"
    for n, issuer.jwks in enumerate(NONSENSE):
        clock.now += PAUSE
        outcomes = outcome(issuer, good, strange, verifier=verifier)
        assert [refused(one) for one in outcomes] == [False, True]
        assert len(issuer.fetched) == n + 2


def test_an_issuer_that_is_not_there(issuer: Issuer) -> None:
    nowhere = issuer.policy.model_copy(update={"jwks_url": "http://127.0.0.1:9/keys"})
    assert type(outcome(issuer, issuer.token(), verifier=TokenVerifier(nowhere))) is AwayError


@pytest.mark.parametrize("more", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": []}])
def test_a_key_that_is_not_for_signatures_verifies_none(
    issuer: Issuer, more: dict[str, Any]
) -> None:
    issuer.jwks = {"keys": [jwk("other"), {**jwk("first"), **more}]}
    assert refused(outcome(issuer, issuer.token()))
    issuer.jwks = {"keys": [{**jwk("first"), "key_ops": ["verify"]}]}
    assert not refused(outcome(issuer, issuer.token()))


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "id_token+jwt", "xjwt"])
def test_a_token_of_another_kind_opens_nothing(issuer: Issuer, kind: str) -> None:
    def token(kind: str) -> str:
        return jwt.encode(
            issuer.claims(), private("first"), "ES256", headers={"kid": "first", "typ": kind}
        )

    for good in ("JWT", "at+jwt", "application/at+jwt", "AT+JWT"):
        assert not refused(outcome(issuer, token(good)))
    assert refused(outcome(issuer, token(kind)))


def test_keys_that_are_of_no_use_are_passed_over(issuer: Issuer) -> None:
    issuer.jwks["keys"] += [
        5,
        {},
        {"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"},
        {"kty": "EC", "crv": "P-1", "x": "a", "y": "b"},
        {"kty": "oct", "kid": "shared", "k": encoded(b"k" * 32)},
        {"kty": "other", "kid": "c"},
    ]
    signed = f"{encoded({'alg': 'HS256', 'kid': 'shared'})}.{encoded(issuer.claims())}"
    shared = f"{signed}.{encoded(hmac.digest(b'k' * 32, signed.encode(), hashlib.sha256))}"
    outcomes = outcome(issuer, issuer.token(), shared)
    assert [refused(one) for one in outcomes] == [False, True]


def test_thousands_of_keys_are_not_read_on_the_loop(issuer: Issuer) -> None:
    known = jwk("first")
    issuer.jwks = {"keys": [known, *({**known, "kid": f"k{number}"} for number in range(6000))]}
    before = time.thread_time()
    assert not refused(outcome(issuer, issuer.token()))
    assert time.thread_time() - before < 0.1
