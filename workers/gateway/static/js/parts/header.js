// The bar on top: whether the page is live, how much there is to see, and how late it is.
import { html } from "../html.js";
import { signal } from "../../vendor/signals.mjs";
import { language, switchLanguage, t } from "../i18n.js";
import { logout } from "../connection.js";
import { cameraList, connection, delay, needsToken, openAlerts, system, view } from "../state.js";
import { delayText } from "../time.js";
import { Icon } from "./icons.js";
import { ZonesButton } from "./zones.js";

export function Header() {
  const online = cameraList.value.filter((camera) => camera.state.value === "online").length;
  return html`<header class="top">
    <a class="skip" href="#alerts">${t("skip.to.alerts")}</a>
    <h1><img src="/static/icon.svg" alt="" width="24" height="24" />Vision Stream</h1>
    <${Connection} />
    ${cameraList.value.length > 0 && html`<span class="summary">${t("summary.cameras", { online, all: cameraList.value.length })}</span>`}
    <${Delays} />
    <div class="top-right">
      <${ZonesButton} />
      <button class="plain" lang=${language.value === "en" ? "zh-CN" : "en"} title=${t("language.switch.title")} onClick=${switchLanguage}>${t("language.switch")}</button>
      ${needsToken.value && connection.value.state !== "login" && html`<button class="plain" onClick=${logout}>${t("action.logout")}</button>`}
    </div>
  </header>`;
}

function Connection() {
  const { state } = connection.value;
  if (state === "login") return null;
  const word = { live: "connection.live", lost: "connection.lost.short", retrying: "connection.lost.short" }[state];
  return html`<span class="connection connection-${state}"><i></i>${t(word ?? "connection.connecting")}</span>`;
}

function Delays() {
  const { detection, verdict, verdicts } = delay.value;
  if (detection === null && verdict === null) return null;
  return html`<dl class="delays" title=${t("delay.hint")}>
    ${detection !== null && html`<div><dt>${t("delay.detection")}</dt><dd>${delayText(detection)}</dd></div>`}
    ${verdict !== null && html`<div><dt>${t("delay.verdict")}</dt><dd>${delayText(verdict)}</dd><${Spark} values=${verdicts} /></div>`}
  </dl>`;
}

function Spark({ values }) {
  if (values.length < 3) return null;
  const top = Math.max(...values, 0.001);
  const points = values.map((value, i) => `${(i / (values.length - 1)) * 60},${19 - (value / top) * 17}`).join(" ");
  return html`<svg class="spark" viewBox="0 0 60 20" width="60" height="20" aria-hidden="true"><polyline points=${points} /></svg>`;
}

// A narrow screen shows either the cameras or the alerts.
export function Tabs() {
  return html`<nav class="tabs">
    <button aria-pressed=${view.value === "cameras"} onClick=${() => (view.value = "cameras")}><${Icon} name="camera" />${t("view.cameras")}</button>
    <button aria-pressed=${view.value === "alerts"} onClick=${() => (view.value = "alerts")}>
      <${Icon} name="bell" />${t("view.alerts")} ${openAlerts.value.length > 0 && html`<span class="count hot">${openAlerts.value.length}</span>`}
    </button>
  </nav>`;
}

const second = signal(0);
setInterval(() => (second.value += 1), 1000);

export function Banner() {
  const { state, retryAt } = connection.value;
  if (state === "lost" || state === "retrying") {
    second.value; // counts down
    const n = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    const text = state === "lost" && n > 0 ? t("connection.lost", { n }) : t("connection.retrying");
    return html`<p class="banner bad" role="status">${text}</p>`;
  }
  const { reasons, degraded } = system.value;
  if (reasons.kafka) return html`<p class="banner" role="status">${t("system.kafka")}</p>`;
  const [other] = Object.values(reasons);
  if (other) return html`<p class="banner" role="status">${t("system.other", { reason: other })}</p>`;
  if (degraded.redis) return html`<p class="banner" role="status">${t("system.degraded.redis")}</p>`;
  return null;
}
