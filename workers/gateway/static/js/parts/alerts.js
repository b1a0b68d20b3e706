// The alerts, newest first; each leads to its camera.
import { html } from "../html.js";
import { signal } from "../../vendor/signals.mjs";
import { riskType, t } from "../i18n.js";
import { alerts, cameraName, highlighted, openAlerts, view } from "../state.js";
import { clock, clockTime, duration } from "../time.js";
import { RiskBadge } from "./risk.js";

const SHOWN = 100;
const HIGHLIGHT_MS = 2500;
const onlyOpen = signal(false);

export function Alerts() {
  const rows = onlyOpen.value ? openAlerts.value : alerts.value;
  return html`<section class="alerts" id="alerts" aria-labelledby="alerts-title" tabindex="-1">
    <div class="alerts-head">
      <h2 id="alerts-title">${t("alerts.title")}</h2>
      <div class="filter">
        <${Choice} chosen=${!onlyOpen.value} pick=${() => (onlyOpen.value = false)} text=${t("alerts.filter.all")} n=${alerts.value.length} />
        <${Choice} chosen=${onlyOpen.value} pick=${() => (onlyOpen.value = true)} text=${t("alerts.filter.open")} n=${openAlerts.value.length} />
      </div>
    </div>
    ${rows.length === 0
      ? html`<div class="empty small"><p>${t(onlyOpen.value ? "alerts.none.open" : "alerts.empty")}</p>${!onlyOpen.value && html`<p class="quiet">${t("alerts.empty.hint")}</p>`}</div>`
      : html`<ol class="alert-list">${rows.slice(0, SHOWN).map((alert) => html`<${AlertRow} key=${alert.alert_id} alert=${alert} />`)}</ol>`}
    ${rows.length > SHOWN && html`<p class="quiet more">${t("alerts.more", { n: SHOWN })}</p>`}
  </section>`;
}

function Choice({ chosen, pick, text, n }) {
  return html`<button aria-pressed=${chosen} onClick=${pick}>${text} <span class="count">${n}</span></button>`;
}

export function AlertRow({ alert, plain = false }) {
  const over = alert.state === "resolved";
  const what = alert.description || alert.risk_types.map(riskType).join(", ") || t(`risk.${alert.risk_level}`);
  const lasted = (over ? (alert.resolved_at ?? alert.updated_at) : clock.value) - alert.opened_at;
  const time = duration(lasted);
  return html`<li class="alert ${over ? "resolved" : `open risk-${alert.risk_level}`}" data-alert=${alert.alert_id}>
    <div class="alert-line">
      <${RiskBadge} level=${alert.risk_level} faded=${over} />
      ${!plain && html`<button class="jump" onClick=${() => jumpTo(alert.camera_id)} title=${t("action.jump", { camera: cameraName(alert.camera_id) })}>${cameraName(alert.camera_id)}</button>`}
      <time datetime=${new Date(alert.opened_at * 1000).toISOString()}>${clockTime(alert.opened_at)}</time>
    </div>
    <p class="what">${what}</p>
    <p class="facts">
      <span class="alert-state">${t(`state.alert.${alert.state}`)}</span>
      <span>${t(over ? "alerts.duration" : "alerts.ongoing", { time })}</span>
      <span>${t("alerts.confirmations", { n: alert.confirmations })}</span>
    </p>
  </li>`;
}

function jumpTo(cameraId) {
  view.value = "cameras";
  highlighted.value = cameraId;
  requestAnimationFrame(() => {
    const card = document.getElementById(`camera-${cameraId}`);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card?.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "center" });
    card?.focus({ preventScroll: true });
  });
  setTimeout(() => {
    if (highlighted.value === cameraId) highlighted.value = null;
  }, HIGHLIGHT_MS);
}
