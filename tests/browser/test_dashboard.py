"""What an operator sees."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import cv2
import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import a_page
from tests.gateway_parts import Gateway, a_detection, a_gateway, a_status, an_alert, an_assessment
from vision_stream.settings import CameraSettings
from workers.gateway.keys import ROSTER

pytestmark = pytest.mark.browser


def a_picture() -> bytes:
    return cv2.imencode(".jpg", np.full((360, 640, 3), (90, 120, 60), np.uint8))[1].tobytes()


async def feed(gateway: Gateway, camera_id: str = "cam-01", *, sequence: int = 1, risk: str | None = None) -> None:
    """One detection of now, its picture, and its verdict."""
    now = time.time()
    await gateway.stores.frames.put(camera_id, a_picture(), ttl_s=30)
    await gateway.hub.status(a_status(camera_id, at=now))
    await gateway.hub.detection(a_detection(camera_id, sequence=sequence, at=now))
    if risk is not None:
        request_id = f"{camera_id}:s:{sequence}"
        await gateway.hub.assessment(an_assessment(camera_id, request_id=request_id, level=risk, at=now))  # type: ignore[arg-type]


async def has_no_horizontal_scroll(page: Page) -> bool:
    return await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


async def test_boxes_a_picture_and_a_risk_appear_when_the_hub_is_fed(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        await expect(page.get_by_text("No camera yet")).to_be_visible()

        await feed(gateway, risk="high")

        card = page.get_by_role("article", name="cam-01")
        await expect(card.locator(".object")).to_have_count(2)
        await expect(card.locator(".group.risk-high")).to_have_count(1)
        await expect(card.locator(".picture img")).to_be_visible()
        await expect(card.locator(".verdict")).to_contain_text("High risk")
        await expect(card.locator(".verdict")).to_contain_text("A person steps in front of a moving car.")
        await expect(card).to_contain_text("Online")


async def test_zones_are_drawn_on_the_picture_follow_their_file_and_can_be_hidden_for_good(browser):
    zones = [
        {"name": "lane", "kind": "carriageway", "points": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]},
        {"name": "<i>park</i>", "kind": "exclude", "points": [[0, 0], [0.2, 0], [0.2, 0.2]]},
    ]
    async with a_gateway() as gateway, a_page(browser, "about:blank") as page:
        camera = CameraSettings.model_validate({"id": "cam-01", "source": "0", "zones": zones})
        gateway.app[ROSTER].take([camera])
        await feed(gateway)
        await page.goto(gateway.url)

        await expect(page.locator(".zone")).to_have_count(2)
        lane = page.locator('.card .zone[data-zone="lane"] polygon')
        detection = a_detection()
        width, height = detection.frame_width, detection.frame_height
        corners = f"0,{height / 2:g} {width},{height / 2:g} {width},{height} 0,{height}"
        await expect(lane).to_have_attribute("points", corners)

        await page.get_by_role("button", name="Enlarge cam-01").click()
        await expect(page.locator("dialog .zone text").nth(1)).to_have_text("<i>park</i> · left out")
        await page.keyboard.press("Escape")

        gateway.app[ROSTER].take([camera.model_copy(update={"zones": camera.zones[:1], "name": "Gate"})])
        await expect(page.locator(".zone")).to_have_count(1)
        await expect(page.get_by_role("article", name="Gate")).to_be_visible()

        await page.get_by_role("button", name="Zones").click()
        await expect(page.locator(".zone")).to_have_count(0)
        await page.reload()
        await expect(page.locator(".object")).to_have_count(2)
        await expect(page.locator(".zone")).to_have_count(0)


async def test_boxes_do_not_wait_for_a_picture_that_is_not_there(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        await gateway.hub.detection(a_detection(at=time.time()))

        await expect(page.locator(".object")).to_have_count(2)
        await expect(page.get_by_text("No live picture")).to_be_visible()


async def test_a_request_without_a_verdict_is_never_shown_as_no_risk(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        await gateway.hub.detection(a_detection(at=time.time()))

        await expect(page.locator(".verdict")).to_have_text("Not assessed yet")


async def test_an_alert_is_one_row_and_leads_to_its_camera(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        for n in range(1, 13):
            await feed(gateway, f"cam-{n:02d}")
        now = time.time()
        opened = {"camera_id": "cam-12", "opened_at": now}
        await gateway.hub.assessment(an_alert(**opened, updated_at=now))
        await gateway.hub.assessment(an_alert(**opened, updated_at=now + 1, state="continued", confirmations=2))

        row = page.locator(".alert")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("confirmed 2×")
        await expect(page.get_by_role("article", name="cam-12")).to_contain_text("Open alerts: 1")
        await row.get_by_role("button", name="cam-12").click()

        card = page.get_by_role("article", name="cam-12")
        await expect(card).to_be_in_viewport()
        await expect(card).to_be_focused()


async def test_a_resolved_alert_leaves_the_open_ones(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        now = time.time()
        await gateway.hub.assessment(an_alert(opened_at=now, updated_at=now))
        await page.get_by_role("button", name="Open 1").click()
        await expect(page.locator(".alert")).to_have_count(1)

        await gateway.hub.assessment(an_alert(opened_at=now, updated_at=now + 3, resolved_at=now + 3, state="resolved"))

        await expect(page.get_by_text("No open alerts")).to_be_visible()


async def test_what_a_model_wrote_is_text_and_never_markup(browser):
    written = '<img src=x onerror="document.title=1"><b>bold</b>'
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        now = time.time()
        await gateway.hub.assessment(an_alert(description=written, opened_at=now, updated_at=now))

        await expect(page.locator(".alert .what")).to_have_text(written)
        await expect(page.locator(".alert .what b")).to_have_count(0)


@pytest.mark.parametrize("cameras", [0, 1, 12])
async def test_a_narrow_screen_has_no_horizontal_scroll(browser, cameras):
    async with a_gateway() as gateway, a_page(browser, gateway.url, width=390) as page:
        for n in range(cameras):
            await feed(gateway, f"a-camera-with-quite-a-long-name-{n:02d}", risk="medium")
        await gateway.hub.assessment(an_alert(description="word" * 60, opened_at=time.time()))
        await expect(page.get_by_role("article")).to_have_count(cameras)

        assert await has_no_horizontal_scroll(page)
        await page.get_by_role("button", name="Alerts").click()
        await expect(page.locator(".alert")).to_be_visible()
        assert await has_no_horizontal_scroll(page)


async def test_the_language_is_the_browsers_until_it_is_switched(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url, locale="zh-CN") as page:
        await expect(page.get_by_text("还没有摄像头")).to_be_visible()

        await page.get_by_role("button", name="English").click()
        await expect(page.get_by_text("No camera yet")).to_be_visible()
        await page.reload()

        await expect(page.get_by_text("No camera yet")).to_be_visible()
        assert await page.evaluate("document.documentElement.lang") == "en"


async def test_a_gateway_with_a_token_asks_for_it(browser):
    async with a_gateway(token="correct-horse") as gateway, a_page(browser, gateway.url) as page:
        await feed(gateway)
        await page.get_by_label("Access token").fill("wrong")
        await page.get_by_role("button", name="Open dashboard").click()
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")

        await page.get_by_label("Access token").fill("correct-horse")
        await page.get_by_role("button", name="Open dashboard").click()
        await expect(page.locator(".object")).to_have_count(2)
        await page.reload()
        await expect(page.locator(".object")).to_have_count(2)

        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Access token")).to_be_visible()


async def test_a_camera_is_enlarged_and_closed_by_the_keyboard(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        await feed(gateway, risk="none")
        await page.get_by_role("button", name="Enlarge cam-01").press("Enter")
        dialog = page.get_by_role("dialog", name="cam-01")

        await expect(dialog.locator(".name")).to_have_count(2)
        await expect(dialog).to_contain_text("1 car · 1 person")
        await page.keyboard.press("Escape")

        await expect(dialog).to_have_count(0)


async def test_a_camera_that_reconnects_says_why(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        await feed(gateway)
        reason = "no frame for 8 s"
        await gateway.hub.status(a_status(at=time.time() + 1, state="reconnecting", reason=reason))

        card = page.get_by_role("article", name="cam-01")
        await expect(card).to_contain_text("Reconnecting")
        await expect(card).to_contain_text(reason)


async def test_the_page_says_that_the_gateway_is_gone_and_goes_on_when_it_is_back(browser):
    async with AsyncExitStack() as running:
        gateway = await running.enter_async_context(a_gateway())
        async with a_page(browser, gateway.url) as page:
            await feed(gateway)
            await expect(page.locator(".connection")).to_have_text("Live")
            await running.aclose()
            await expect(page.get_by_text("Connection lost")).to_be_visible()

            async with a_gateway(port=int(gateway.url.rsplit(":", 1)[1])) as back:
                await expect(page.locator(".connection")).to_have_text("Live")
                await feed(back, sequence=2, risk="low")
                await expect(page.locator(".verdict")).to_contain_text("Low risk")


async def test_the_page_says_what_the_gateway_waits_for(browser):
    async with a_gateway() as gateway:
        gateway.readiness.require("kafka", lambda: "connection refused")
        async with a_page(browser, gateway.url) as page:
            await expect(page.get_by_text("Kafka is not reachable yet")).to_be_visible()


async def test_fifty_cameras_are_shown(browser):
    async with a_gateway() as gateway, a_page(browser, gateway.url) as page:
        for n in range(50):
            await feed(gateway, f"cam-{n:02d}", risk="none")

        await expect(page.get_by_role("article")).to_have_count(50)
        await expect(page.locator(".summary")).to_have_text("50 of 50 cameras live")
