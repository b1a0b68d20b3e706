"""Who may come in, and what every answer carries."""

from __future__ import annotations

import logging

import pytest
import structlog
from aiohttp import ClientSession, CookieJar
from structlog.testing import capture_logs
from yarl import URL

from tests.gateway_parts import a_gateway, hear
from vision_stream.errors import ConfigError
from vision_stream.settings import GatewaySettings
from workers.gateway.access import COOKIE, Access, check_exposure, is_loopback

TOKEN = "correct-horse-battery"
PRIVATE = [
    "/api/v1/cameras",
    "/api/v1/cameras/cam-01/latest",
    "/api/v1/cameras/cam-01/snapshot",
    "/api/v1/alerts",
    "/api/v1/openapi.json",
    "/metrics",
    "/ws",
]


@pytest.mark.parametrize("path", PRIVATE)
async def test_without_the_token_nothing_is_told(path):
    async with a_gateway(token=TOKEN) as gateway, gateway.client.get(path) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/static/js/main.js"])
async def test_the_page_and_the_probes_need_no_token(path):
    async with a_gateway(token=TOKEN) as gateway, gateway.client.get(path) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        pytest.param({"Authorization": f"Bearer {TOKEN}"}, {}, 200, id="bearer"),
        pytest.param({"Authorization": f"bearer {TOKEN}"}, {}, 200, id="lower case"),
        pytest.param({}, {"token": TOKEN}, 200, id="query"),
        pytest.param({"Authorization": "Bearer wrong"}, {}, 401, id="wrong bearer"),
        pytest.param({"Authorization": f"Basic {TOKEN}"}, {}, 401, id="another scheme"),
        pytest.param({}, {"token": ""}, 401, id="empty"),
        pytest.param({}, {"token": "é" * 1200}, 401, id="long, and not ASCII"),
        pytest.param({"Cookie": f"{COOKIE}={TOKEN}"}, {}, 401, id="the token itself as cookie"),
    ],
)
async def test_the_token_is_taken_as_bearer_or_in_the_query(headers, query, status):
    async with (
        a_gateway(token=TOKEN) as gateway,
        gateway.client.get("/api/v1/cameras", headers=headers, params=query) as answer,
    ):
        assert answer.status == status


async def test_the_login_box_trades_the_token_for_a_cookie_that_opens_the_socket_too():
    async with (
        a_gateway(token=TOKEN) as gateway,
        ClientSession(gateway.url, cookie_jar=CookieJar(unsafe=True)) as browser,
    ):
        async with browser.post("/login", json={"token": TOKEN}) as answer:
            assert answer.status == 204
            cookie = answer.cookies[COOKIE]
        async with browser.ws_connect("/ws") as ws:
            assert (await hear(ws))["type"] == "connection_ack"
        async with browser.post("/logout"), browser.get("/api/v1/cameras") as answer:
            assert answer.status == 401

    assert TOKEN not in cookie.value
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b'{"token": "wrong"}', {}, 401, id="wrong"),
        pytest.param(b"token=x", {}, 400, id="no JSON"),
        pytest.param(
            b'{"token": "' + TOKEN.encode() + b'"}', {"Origin": "https://evil.example"}, 403, id="foreign page"
        ),
    ],
)
async def test_a_login_that_fails_sets_no_cookie(body, headers, status):
    async with a_gateway(token=TOKEN) as gateway, gateway.client.post("/login", data=body, headers=headers) as answer:
        assert answer.status == status
        assert not answer.cookies


async def test_an_address_with_the_token_becomes_one_without():
    async with (
        a_gateway(token=TOKEN) as gateway,
        gateway.client.get("/", params={"token": TOKEN}, allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert COOKIE in answer.cookies


async def test_the_token_is_in_no_log_line(caplog):
    structlog.reset_defaults()
    with capture_logs() as lines, caplog.at_level(logging.DEBUG):
        async with a_gateway(token=TOKEN) as gateway:
            for path in ("/api/v1/cameras", "/ws", "/nothing", "/"):
                async with gateway.client.get(path, params={"token": TOKEN}):
                    pass
            async with gateway.client.post("/login", json={"token": TOKEN}):
                pass
            async with gateway.client.get("/", params={"token": TOKEN * 500}) as answer:
                assert answer.status == 400  # longer than a request line may be

    said = " ".join([str(lines), *map(logging.Formatter().format, caplog.records)])
    assert "/api/v1/cameras" in said
    assert TOKEN not in said


async def test_a_foreign_name_for_this_machine_gets_nothing():
    async with (
        a_gateway() as gateway,
        gateway.client.get("/api/v1/cameras", headers={"Host": "rebound.example:8000"}) as answer,
    ):
        assert answer.status == 403


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "panel.example"])
async def test_loopback_names_and_listed_ones_are_answered(host):
    async with (
        a_gateway(allowed_origins=["https://panel.example"]) as gateway,
        gateway.client.get("/api/v1/cameras", headers={"Host": host}) as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/api/v1/cameras", "/nothing"])
async def test_every_answer_carries_the_security_headers(path):
    async with a_gateway() as gateway, gateway.client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py"])
async def test_nothing_but_the_pages_own_files_is_served(path):
    async with a_gateway() as gateway, gateway.client.get(URL(gateway.url + path, encoded=True)) as answer:
        assert answer.status in (403, 404)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example"])
def test_others_are_let_in_only_with_a_token(host):
    with pytest.raises(ConfigError, match=r"gateway\.token is not set"):
        check_exposure(GatewaySettings(host=host))
    check_exposure(GatewaySettings.model_validate({"host": host, "token": TOKEN}))


def test_an_empty_token_is_no_token():
    with pytest.raises(ConfigError, match="empty"):
        check_exposure(GatewaySettings.model_validate({"token": ""}))


async def test_a_taken_port_is_said_with_its_remedy():
    async with a_gateway() as gateway:
        port = int(gateway.url.rsplit(":", 1)[1])
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with a_gateway(port=port):
                pass


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_is_recognised(host, expected):
    assert is_loopback(host) is expected


def test_without_a_token_no_offer_is_the_token():
    assert not Access(GatewaySettings()).is_token("")
