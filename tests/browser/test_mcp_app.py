"""The chart as an MCP App: a host of our own shows it in a sandbox, over the real server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from built import NEEDS_CHART
from mcp import Client
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange
from marketdata_mcp.app import Service
from marketdata_mcp.charts import views
from tests.browser import markets, pictures

HOST = Path(__file__).with_name("host.html").read_text("utf-8")
BTC = {"pair": "BTC/USDT", "exchange": "binance"}


class Server:
    """The server over the simulator, for code that does not await."""

    def __init__(self, portal: Any, client: Client) -> None:
        self._portal = portal
        self._client = client
        self.called: list[str] = []

    def _ask(self, name: str, *arguments: Any) -> dict[str, Any]:
        answered = self._portal.call(getattr(self._client, name), *arguments)
        return answered.model_dump(mode="json", by_alias=True, exclude_none=True)

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.called.append(name)
        return self._ask("call_tool", name, arguments)

    def tools(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self._ask("list_tools")["tools"]}

    def view(self) -> dict[str, Any]:
        [content] = self._ask("read_resource", views.URI)["contents"]
        return content

    @property
    def extensions(self) -> Any:
        return self._client.server_capabilities.extensions


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with SimulatedExchange(seed=3) as sim, start_blocking_portal() as portal:
        asked = AsyncClient(endpoints=sim.endpoints, home=home, retries=0)
        client = Client(Service(asked).server())
        with portal.wrap_async_context_manager(client):
            yield Server(portal, client)


@pytest.fixture
def hosted(opened: Any, server: Server) -> Callable[..., Any]:
    """Return what shows a tool's result in a host, and gives the host and the view."""

    def show(result: dict[str, Any], theme: str = "light", **arguments: Any) -> tuple[Any, Any]:
        tab = opened(HOST, theme, "body")
        tab.expose_function("callTool", server.call)
        given = {"arguments": arguments, "result": result}
        shown = [server.view()["text"], theme, given]
        tab.evaluate("([html, theme, given]) => showView(html, theme, given)", shown)
        view = tab.frame_locator("iframe")
        view.locator("html[data-drawn]").wait_for(state="attached")
        return tab, view

    return show


def result(record: Any) -> dict[str, Any]:
    return {"content": [], "structuredContent": record.to_dict()}


@NEEDS_CHART
def test_tools_name_one_view_that_may_connect_to_nothing(server: Server) -> None:
    assert server.extensions == {EXTENSION_ID: {}}
    tools = server.tools()
    named = {name for name, one in tools.items() if "_meta" in one}
    assert named == {
        "get_candles",
        "get_orderbook",
        "get_consolidated_orderbook",
        "compare_exchanges",
        "watch_read",
    }
    assert {tools[name]["_meta"]["ui"]["resourceUri"] for name in named} == {views.URI}
    view = server.view()
    assert view["mimeType"] == APP_MIME_TYPE
    assert view["_meta"]["ui"]["csp"] == {}
    assert len(view["text"].encode()) <= 250_000


@pytest.mark.parametrize(
    ("tool", "arguments", "drawn"),
    [
        ("get_candles", {**BTC, "limit": 500}, 500),
        ("get_candles", {**BTC, "columns": ["close", "time"]}, 100),
        ("get_orderbook", {**BTC, "depth": 50}, 100),
        ("get_consolidated_orderbook", {"pair": "BTC/USDT", "depth": 30}, 60),
        ("compare_exchanges", {"pair": "BTC/USDT"}, 4),
    ],
)
def test_a_host_shows_what_a_tool_answers(
    server: Server, hosted: Any, tool: str, arguments: dict[str, Any], drawn: int
) -> None:
    answered = server.call(tool, arguments)
    host, view = hosted(answered, **arguments)
    view.locator(f'html[data-drawn="{drawn}"]').wait_for(state="attached")
    assert view.locator("#simulated").is_visible()
    sizes = host.evaluate("said.filter(one => one.method === 'ui/notifications/size-changed')")
    assert all(one["params"]["height"] >= 420 for one in sizes)
    assert sizes


def test_a_watch_is_shown_as_it_is_read(server: Server, hosted: Any) -> None:
    started = server.call("watch_start", {"kind": "orderbook", **BTC, "depth": 10})
    watch = started["structuredContent"]["watch"]
    news = server.call("watch_read", {"watch": watch, "wait": True})
    _, view = hosted(news, watch=watch)
    view.locator('html[data-drawn="20"]').wait_for(state="attached")
    server.call("watch_stop", {"watch": watch})


@pytest.mark.parametrize(
    ("tool", "more"), [("get_orderbook", {"depth": 10}), ("get_candles", {"timeframe": "1m"})]
)
def test_live_data_come_through_the_host(
    server: Server, hosted: Any, tool: str, more: dict[str, Any]
) -> None:
    answered = server.call(tool, {**BTC, **more})
    host, view = hosted(answered, **BTC)
    server.called.clear()
    view.locator("#live").click()
    host.wait_for_function("said.filter(one => one.params?.name === 'watch_read').length > 2")
    assert view.locator("#live").get_attribute("aria-pressed") == "true"
    assert host.evaluate("endView()") == {}
    host.wait_for_function("said.some(one => one.params?.name === 'watch_stop')")
    assert server.called[0] == "watch_start"
    stopped = server.call("watch_list", {})["structuredContent"]["watches"]
    assert stopped == []


def test_an_error_is_said_in_the_view(hosted: Any) -> None:
    failed = {"isError": True, "content": [{"type": "text", "text": "No such pair."}]}
    host, view = hosted(result(markets.candles()))
    host.evaluate("(failed) => tell('ui/notifications/tool-result', failed)", failed)
    view.get_by_text("No such pair.").wait_for()


def test_a_link_is_opened_by_the_host(hosted: Any) -> None:
    host, view = hosted(result(markets.book()))
    view.locator("footer a").click()
    host.wait_for_function("said.some(one => one.method === 'ui/open-link')")


def test_the_view_follows_the_theme_of_its_host(hosted: Any, tmp_path: Path) -> None:
    host, view = hosted(result(markets.candles(gaps=markets.GAPS)), "light")
    for theme in ("light", "dark"):
        host.evaluate("(theme) => useTheme(theme)", theme)
        view.locator(f'html[data-theme="{theme}"]').wait_for(state="attached")
        view.locator("#table table").wait_for(state="attached")
        host.wait_for_timeout(100)  # the library draws in the next frame
        pictures.check(host.screenshot(), f"app-{theme}", tmp_path)
