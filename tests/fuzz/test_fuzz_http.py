"""Whatever comes over HTTP is answered as HTTP, and the next request as if nothing had been."""

import json
from typing import Any

import pytest
from fuzz_strategies import Raw, anything, encoded, mixed, texts
from fuzz_world import World, cases
from hypothesis import given
from hypothesis import strategies as st
from mcp_doors import ENVELOPE
from mcp_loopback import HANDSHAKE, MODERN

# Which only a case that fails makes.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

both = pytest.mark.parametrize("world", [False, True], indirect=True, ids=["open", "guarded"])

_printable = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
_tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
_methods = mixed(
    st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"]),
    st.sampled_from(["POST", "TRACE", "PROPFIND", "BREW", "get"]),
)
_paths = mixed(
    st.sampled_from(["/mcp", "/mcp", "/mcp", "/messages/", "/sse", "/metrics", "/healthz"]),
    st.sampled_from(
        [
            *("/readyz", "/mcp/", "/messages", "/mcp?x=1", "/messages/?session_id=" + 32 * "a"),
            *("/messages/?session_id=x&session_id=", "/messages/../mcp", "//mcp", "/%6dcp", "/"),
            *("/.well-known/oauth-protected-resource", "/.well-known/", "/mcp%00", "/sse/", "*"),
            *("/.well-known/oauth-protected-resource/mcp", "http://other.example/mcp"),
        ]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map("/".__add__),
)
_VALUES: dict[str, list[str]] = {
    "Host": ["localhost:1", "[::1]", "evil.example", "127.0.0.1.evil.example", "127.0.0.1:x", ""],
    "Origin": ["null", "http://localhost:5", "http://evil.example", "http://localhost:x@evil"],
    "Content-Type": ["application/json; charset=utf-16", "text/plain", "application/json-seq", ""],
    "Accept": ["*/*", "application/json", "text/event-stream;q=0", "application/*", "", ";,;"],
    "MCP-Protocol-Version": [MODERN, HANDSHAKE, "2024-11-05", "2099-01-01", "1", ""],
    "Mcp-Method": ["tools/list", "tools/call", "=?base64?eA==?=", "=?base64?!?="],
    "Mcp-Name": ["get_ticker", "get_usage", "=?base64?gIA=?="],
    "Mcp-Param-Pair": ["BTC/USDT"],
    "Mcp-Session-Id": [32 * "a", "x"],
    "Last-Event-Id": ["1"],
    "Authorization": [
        "Bearer",
        "Bearer a.b.c",
        "Bearer mdk_x",
        "Basic eDp5",
        "Bearer " + "a" * 9000,
    ],
    "X-Request-Id": ["mine", "a" * 65, "a b"],
    "Connection": ["close", "keep-alive", "upgrade", "Upgrade, HTTP2-Settings"],
    "Upgrade": ["websocket", "h2c"],
    "Expect": ["100-continue", "200-ok"],
    "traceparent": ["00-" + 32 * "0" + "-" + 16 * "0" + "-01"],
    "Content-Encoding": ["gzip"],
    "Cookie": ["a=b"],
}


def _header(name: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(name), mixed(st.sampled_from(_VALUES[name]), _printable))


_headers = st.lists(
    mixed(*[_header(name) for name in _VALUES], st.tuples(_tokens, _printable)), max_size=4
)

_meta = mixed(
    st.just(ENVELOPE),
    st.fixed_dictionaries(
        {}, optional={name: mixed(st.just(value), anything) for name, value in ENVELOPE.items()}
    ),
    anything,
)
_message = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": mixed(st.just("2.0"), st.just("2.0"), anything),
        "id": mixed(st.integers(), texts, anything),
        "method": mixed(
            st.sampled_from(["tools/list", "tools/call", "ping", "notifications/cancelled"]), texts
        ),
        "params": mixed(
            st.fixed_dictionaries(
                {"_meta": _meta}, optional={"name": texts, "arguments": anything}
            ),
            anything,
        ),
        "result": anything,
        "error": anything,
        "more": anything,
    },
)
_bodies = mixed(
    _message.map(encoded),
    _message.map(encoded),
    st.lists(_message, max_size=3).map(encoded),
    anything.map(encoded),
    st.binary(max_size=60),
    st.just(encoded({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
    st.builds(
        lambda body, encoding: json.dumps(body, default=repr).encode(encoding, "replace"),
        _message.filter(lambda one: not _is_raw(one)),
        st.sampled_from(["utf-16", "utf-32-le", "utf-8-sig", "latin-1"]),
    ),
)


def _is_raw(value: Any) -> bool:
    try:
        return isinstance(value, Raw) or "Raw(" in repr(value)
    except (ValueError, RecursionError):
        return True


def _written(
    method: str, path: str, headers: list[tuple[str, str]], body: bytes, chunks: int
) -> bytes:
    usual = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    given = {name.lower() for name, _ in headers}
    sent = [(name, value) for name, value in usual.items() if name.lower() not in given]
    sent += headers
    if chunks:
        size = len(body) // chunks + 1
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
        sent.append(("Transfer-Encoding", "chunked"))
    else:
        sent.append(("Content-Length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@both
@cases(0.09)
@given(
    method=_methods,
    path=_paths,
    headers=_headers,
    body=_bodies,
    chunks=st.sampled_from([0, 0, 1, 3]),
    known=st.booleans(),
)
def test_any_request(
    world: World,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
    chunks: int,
    known: bool,
) -> None:
    async def work() -> None:
        sent = _written(method, path, headers, body, chunks)
        told = await world.sends(sent, known=known)
        assert told is not None
        world.judge(sent, told)
        assert await world.goes_on()

    world.run("requests", work())


_VALID = _written(
    "POST",
    "/mcp",
    [("MCP-Protocol-Version", HANDSHAKE), ("X-Request-Id", "mine")],
    encoded({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    0,
)
_changes = st.lists(
    st.tuples(
        st.integers(0, len(_VALID)),
        st.integers(0, 9),
        mixed(
            st.binary(max_size=5),
            st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n", b"\0", b" ", b":", b"9", b"-1", b"\xff"]),
            st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"]),
        ),
    ),
    max_size=4,
)


@both
@cases(0.025)
@given(
    changes=_changes,
    other=st.one_of(st.none(), st.binary(max_size=200)),
    times=st.integers(1, 3),
    and_leaves=st.sampled_from([True, True, True, False]),
)
def test_any_bytes(
    world: World,
    changes: list[tuple[int, int, bytes]],
    other: bytes | None,
    times: int,
    and_leaves: bool,
) -> None:
    data = _VALID if other is None else other
    for at, left_out, put_in in changes:
        data = data[:at] + put_in + data[at + left_out :]

    async def work() -> None:
        world.judge(data, await world.throws(data * times, and_leaves=and_leaves))
        assert await world.goes_on()

    world.run("bytes", work())


@cases(0.05)
@given(body=_bodies)
def test_any_message_to_a_session(world: World, body: bytes) -> None:
    async def work() -> None:
        session = await world.session()
        sent = session.post(body)
        told = await world.sends(sent)
        assert told is not None
        assert told.status in (202, 400)
        world.judge(sent, told)
        for event in await session.until_it_answers(world):
            world.judge(body, event)

    world.run("messages", work())
