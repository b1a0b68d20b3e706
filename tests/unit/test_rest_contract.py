"""Schemathesis asks the gateway whatever its OpenAPI document allows, and what it does not: it keeps its word."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from tests.gateway_parts import MemoryCommands, a_detection, a_gateway, a_status, an_alert, an_assessment
from workers.gateway.openapi import document

TOKEN = "a-token-of-the-contract"
schema = schemathesis.openapi.from_dict(document())
operations = {result.ok().label: result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)}
CAN_BE_WRONG = ("GET /api/v1/alerts", "POST /login", "POST /api/v1/cameras")  # the others take nothing, or any text
CASES = [
    *((label, GenerationMode.POSITIVE) for label in operations),
    *((label, GenerationMode.NEGATIVE) for label in CAN_BE_WRONG),
]


@pytest.fixture(
    scope="module",
    params=[{}, {"token": TOKEN, "keeper": MemoryCommands()}],
    ids=["open", "with a token, and control of cameras"],
)
def gateway(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """Its URL and what opens it; in a thread, as schemathesis blocks. It knows one camera."""
    loop, up, url = asyncio.new_event_loop(), threading.Event(), ""
    done = asyncio.Event()

    async def serve() -> None:
        nonlocal url
        cameras = [{"id": "cam-01", "source": "sim:quiet"}]
        async with a_gateway(cameras=cameras, **request.param) as gateway:
            await gateway.hub.detection(a_detection())
            await gateway.hub.status(a_status())
            await gateway.hub.assessment(an_assessment())
            await gateway.hub.assessment(an_alert())
            await gateway.stores.frames.put("cam-01", b"\xff\xd8\xff", ttl_s=600)
            url = gateway.url
            up.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert up.wait(20)
        yield url, {"Authorization": f"Bearer {TOKEN}"} if request.param else {}
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
        loop.close()


@pytest.mark.parametrize(("label", "mode"), CASES, ids=[f"{label} {mode.value}" for label, mode in CASES])
def test_every_answer_is_one_that_the_document_has(gateway, label: str, mode: GenerationMode):
    url, headers = gateway

    @given(case=operations[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, headers=headers, timeout=20)

    ask()


def test_all_paths_that_the_gateway_serves_are_in_the_document():
    from workers.gateway import control, dashboard, health, rest
    from workers.gateway.health import Readiness

    routes = (*rest.routes(), *control.routes(), *health.routes(Readiness()), *dashboard.routes())
    served = {(route.path, route.method.lower()) for route in routes}
    told = {(path, method) for path, methods in document()["paths"].items() for method in methods}

    assert served - told == {("/", "get"), ("/favicon.ico", "get")}  # the page, for people
    assert told <= served
