"""The REST interface, health and metrics, on a real server."""

from __future__ import annotations

import msgspec
import pytest

from tests.gateway_parts import (
    NOW,
    a_detection,
    a_gateway,
    a_group,
    a_status,
    an_alert,
    an_assessment,
)
from vision_stream.messages import InlineEvidence, encode
from vision_stream.settings import CameraSettings
from workers.gateway import keys
from workers.gateway.rest import Alerts, Cameras, Latest


async def read(gateway, path, **params):
    async with gateway.client.get(path, params=params) as answer:
        return answer.status, await answer.json()


async def test_cameras_tells_the_newest_of_each():
    async with a_gateway() as gateway:
        await gateway.hub.status(a_status(state="reconnecting", reason="no frame for 5 s"))
        await gateway.hub.detection(a_detection(sequence=3))
        await gateway.hub.assessment(an_assessment(level="medium"))
        await gateway.hub.assessment(an_alert())
        await gateway.hub.assessment(an_alert(alert_id="a-2", state="resolved"))

        status, body = await read(gateway, "/api/v1/cameras")

    camera = msgspec.convert(body, Cameras).cameras[0]
    assert status == 200
    assert (camera.camera_id, camera.state, camera.reason) == ("cam-01", "reconnecting", "no frame for 5 s")
    assert (camera.objects, camera.max_risk_level, camera.open_alerts) == (2, "medium", 1)
    assert camera.last_detection_at == NOW + 3


async def test_configured_cameras_are_listed_before_they_were_heard_of_and_without_their_source():
    async with a_gateway() as gateway:
        cameras = [
            {"id": "gate", "name": "North gate", "source": "rtsp://user:secret@10.0.0.1/1"},
            {"id": "yard", "source": "0", "enabled": False},
        ]
        gateway.app[keys.ROSTER].take(map(CameraSettings.model_validate, cameras))

        _, body = await read(gateway, "/api/v1/cameras")

    assert [(c["camera_id"], c["name"], c["state"]) for c in body["cameras"]] == [
        ("gate", "North gate", "unknown"),
        ("yard", "yard", "disabled"),
    ]
    assert "secret" not in str(body)


async def test_a_cameras_zones_are_told_as_they_are_configured():
    async with a_gateway() as gateway:
        zone = {"name": "lane", "kind": "carriageway", "points": [[0, 0.5], [1, 0.5], [1, 1]]}
        camera = CameraSettings.model_validate({"id": "gate", "source": "0", "zones": [zone]})
        gateway.app[keys.ROSTER].take([camera])

        _, body = await read(gateway, "/api/v1/cameras")

    assert body["cameras"][0]["zones"] == [zone]


async def test_latest_tells_detection_assessment_status_and_alerts():
    async with a_gateway() as gateway:
        picture = InlineEvidence(jpeg=b"\xff\xd8 picture")
        await gateway.hub.detection(a_detection(groups=(a_group(evidence=picture),)))
        await gateway.hub.assessment(an_assessment())
        await gateway.hub.assessment(an_alert())

        status, body = await read(gateway, "/api/v1/cameras/cam-01/latest")

    latest = msgspec.convert(body, Latest)
    assert status == 200
    assert latest.detection is not None
    assert latest.detection.groups[0].evidence.reason == "travelled inline"  # type: ignore[union-attr]
    assert latest.assessment is not None
    assert latest.assessment.max_risk_level == "high"
    assert [alert.alert_id for alert in latest.alerts] == ["a-1"]


@pytest.mark.parametrize(
    ("cached_at", "expected"), [pytest.param(NOW + 9, "cached", id="newer"), pytest.param(NOW - 9, "hub", id="older")]
)
async def test_latest_is_the_newer_of_the_cache_and_what_was_heard(cached_at, expected):
    async with a_gateway() as gateway:
        await gateway.hub.assessment(an_assessment(request_id="hub", at=NOW))
        cached = encode(an_assessment(request_id="cached", at=cached_at))
        await gateway.stores.cache.put_latest("cam-01", cached, ttl_s=300)

        _, body = await read(gateway, "/api/v1/cameras/cam-01/latest")

    assert body["assessment"]["request_id"] == expected


async def test_a_cached_assessment_that_cannot_be_read_is_left_out():
    async with a_gateway() as gateway:
        await gateway.hub.detection(a_detection())
        await gateway.stores.cache.put_latest("cam-01", b'{"from": "the future"}', ttl_s=300)

        status, body = await read(gateway, "/api/v1/cameras/cam-01/latest")

    assert (status, body["assessment"]) == (200, None)


async def test_an_unknown_camera_is_not_found():
    async with a_gateway() as gateway:
        status, body = await read(gateway, "/api/v1/cameras/nobody/latest")

    assert (status, body["code"]) == (404, "unknown_camera")


async def test_a_snapshot_is_the_newest_picture_and_is_kept_by_no_cache():
    async with a_gateway() as gateway:
        await gateway.stores.frames.put("cam-01", b"\xff\xd8 old", ttl_s=30)
        await gateway.stores.frames.put("cam-01", b"\xff\xd8 new", ttl_s=30)

        async with gateway.client.get("/api/v1/cameras/cam-01/snapshot") as answer:
            assert (answer.status, answer.content_type) == (200, "image/jpeg")
            assert answer.headers["Cache-Control"] == "no-store"
            assert await answer.read() == b"\xff\xd8 new"


async def test_without_a_recent_picture_the_snapshot_is_not_found():
    async with a_gateway() as gateway:
        status, body = await read(gateway, "/api/v1/cameras/cam-01/snapshot")

    assert (status, body["code"]) == (404, "no_picture")


async def test_alerts_are_newest_first_over_all_cameras_and_the_cache():
    async with a_gateway() as gateway:
        await gateway.hub.assessment(an_alert("cam-01", alert_id="first", opened_at=NOW))
        await gateway.hub.assessment(an_alert("cam-02", alert_id="third", opened_at=NOW + 2))
        await gateway.stores.cache.record_alert(an_alert("cam-01", alert_id="second", opened_at=NOW + 1))
        resolved = an_alert("cam-01", alert_id="first", state="resolved", updated_at=NOW + 9)
        await gateway.stores.cache.record_alert(resolved)

        _, everything = await read(gateway, "/api/v1/alerts")
        _, newest = await read(gateway, "/api/v1/alerts", limit="1")
        _, of_one = await read(gateway, "/api/v1/alerts", camera="cam-01")

    assert [a.alert_id for a in msgspec.convert(everything, Alerts).alerts] == ["third", "second", "first"]
    assert everything["alerts"][2]["state"] == "resolved"
    assert [a["alert_id"] for a in newest["alerts"]] == ["third"]
    assert [a["alert_id"] for a in of_one["alerts"]] == ["second", "first"]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", ""])
async def test_a_limit_out_of_bounds_is_refused(limit):
    async with a_gateway() as gateway:
        status, body = await read(gateway, "/api/v1/alerts", limit=limit)

    assert (status, body["code"]) == (400, "bad_limit")


async def test_the_openapi_document_describes_the_paths_and_resolves_its_references():
    async with a_gateway() as gateway:
        _, document = await read(gateway, "/api/v1/openapi.json")

    schemas = document["components"]["schemas"]
    references = set(_references(document))
    assert document["openapi"].startswith("3.1")
    assert {"/api/v1/cameras", "/api/v1/alerts", "/readyz"} <= set(document["paths"])
    assert {"Detection", "CameraAssessment", "Alert", "Subscribe"} <= set(schemas)
    assert references <= {f"#/components/schemas/{name}" for name in schemas}


def _references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from _references(child)


async def test_health_answers_and_readiness_says_what_is_missing():
    async with a_gateway() as gateway:
        why: dict[str, str | None] = {"kafka": "Kafka is away", "redis": "Redis is away"}
        gateway.readiness.require("kafka", lambda: why["kafka"])
        gateway.readiness.watch("redis", lambda: why["redis"])

        assert await read(gateway, "/healthz") == (200, {"status": "ok"})
        assert await read(gateway, "/readyz") == (
            503,
            {"ready": False, "reasons": {"kafka": "Kafka is away"}, "degraded": {"redis": "Redis is away"}},
        )
        why["kafka"] = None
        status, body = await read(gateway, "/readyz")

    assert (status, body["ready"], body["degraded"]) == (200, True, {"redis": "Redis is away"})


async def test_metrics_are_prometheus_text():
    async with a_gateway() as gateway, gateway.client.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        assert "vision_stream_websocket_clients" in await answer.text()
