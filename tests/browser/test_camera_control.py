"""Starting and stopping cameras on the dashboard, where the gateway allows it."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import expect

from tests.browser.conftest import a_page
from tests.gateway_parts import MemoryCommands, a_gateway, a_status
from vision_stream.messages import CAMERA_REMOVED

pytestmark = pytest.mark.browser

NORTH = {"id": "north", "source": "sim:quiet", "name": "North"}


async def test_a_camera_is_added_stopped_started_and_removed(browser):
    keeper = MemoryCommands()
    async with a_gateway(keeper=keeper, cameras=[NORTH]) as gateway, a_page(browser, gateway.url) as page:
        await page.get_by_text("Add a camera").click()
        await page.get_by_label("Id").fill("yard")
        await page.get_by_label("Source").fill("rtsp://viewer:hunter22@10.0.0.7/1")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.get_by_role("alert").filter(has_text="user or password")).to_be_visible()
        assert keeper.kept == {}

        await page.get_by_label("Source").fill("rtsp://10.0.0.7/1")
        await page.get_by_role("button", name="Start", exact=True).click()
        yard = page.get_by_role("article", name="yard")
        await yard.get_by_role("button", name="Stop camera yard").click()
        await expect(yard).to_contain_text("Disabled")
        await yard.get_by_role("button", name="Start camera yard").click()
        await expect(yard.get_by_role("button", name="Stop camera yard")).to_be_visible()
        assert keeper.kept["yard"].action == "start"

        now = time.time()
        await gateway.hub.status(a_status("yard", at=now))
        await expect(yard).to_contain_text("Online")
        await yard.get_by_role("button", name="Remove camera yard").click()
        await expect(yard.get_by_role("button", name="Remove camera yard")).to_have_count(0)
        await gateway.hub.status(a_status("yard", at=now + 1, state="disabled", reason=CAMERA_REMOVED))
        await expect(yard).to_have_count(0)
        await expect(page.get_by_role("article", name="North").get_by_role("button", name="Remove")).to_have_count(0)


@pytest.mark.parametrize(("width", "lines"), [(1400, 1), (390, 4)], ids=["desk", "phone"])
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
async def test_the_form_stands_in_line_with_the_cards_and_within_the_page(browser, width: int, lines: int, locale: str):
    async with (
        a_gateway(keeper=MemoryCommands(), cameras=[NORTH]) as gateway,
        a_page(browser, gateway.url, width=width, locale=locale) as page,
    ):
        await page.locator(".add-camera summary").click()
        form, card = page.locator(".add-camera form"), page.get_by_role("article", name="North")

        left_of_form, left_of_card = [await box.evaluate("e => e.getBoundingClientRect().left") for box in (form, card)]
        rows = await form.locator("input, button").evaluate_all("all => all.map(e => e.getBoundingClientRect().bottom)")

        assert left_of_form == left_of_card
        assert len({round(bottom / 10) for bottom in rows}) == lines
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


async def test_without_the_setting_nothing_of_it_is_shown(browser):
    async with a_gateway(cameras=[NORTH]) as gateway, a_page(browser, gateway.url, locale="zh-CN") as page:
        await expect(page.get_by_role("article", name="North")).to_be_visible()

        await expect(page.locator(".switch, .add-camera")).to_have_count(0)
