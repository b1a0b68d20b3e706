// One camera: its picture, how it is, what is in view, and what the language model thinks of it.
import { html } from "../html.js";
import { labelName, riskType, t } from "../i18n.js";
import { enlarged, highlighted, openAlerts } from "../state.js";
import { rank, worstFirst } from "../risk.js";
import { ago, clock } from "../time.js";
import { Switch } from "./control.js";
import { Icon } from "./icons.js";
import { labelClass, Picture } from "./picture.js";
import { RiskBadge } from "./risk.js";

const OLD_S = 30; // a verdict older than this is shown faded

export function Card({ camera }) {
  const name = camera.name.value;
  const level = currentLevel(camera);
  return html`<article
    id=${`camera-${camera.id}`}
    class="card ${rank(level) > 1 ? `at-risk risk-${level}` : ""} ${highlighted.value === camera.id ? "highlighted" : ""}"
    aria-label=${name}
    tabindex="-1"
  >
    <${CardHead} camera=${camera} />
    <button class="enlarge" onClick=${() => (enlarged.value = camera.id)} title=${t("action.enlarge", { camera: name })} aria-label=${t("action.enlarge", { camera: name })}>
      <${Picture} camera=${camera} />
      <span class="enlarge-hint"><${Icon} name="enlarge" /></span>
    </button>
    <${InView} camera=${camera} />
    <${Verdict} camera=${camera} />
    <${Switch} camera=${camera} />
  </article>`;
}

function currentLevel(camera) {
  const assessment = camera.assessment.value;
  if (!assessment || clock.value - assessment.times.captured_at > OLD_S) return null;
  return assessment.max_risk_level;
}

export function CardHead({ camera }) {
  const state = camera.state.value;
  const detection = camera.detection.value;
  const reason = camera.status.value?.reason ?? "";
  const open = openAlerts.value.filter((alert) => alert.camera_id === camera.id).length;
  const alertsText = t("camera.alerts", { n: open });
  return html`<header class="card-head">
    <h3>${camera.name.value}</h3>
    <span class="state state-${state}" title=${reason}><i></i><span>${t(`state.${state}`)}</span></span>
    ${detection && state === "online" && html`<span class="fps">${t("camera.fps", { n: camera.fps.value.toFixed(camera.fps.value < 9.95 ? 1 : 0) })}</span>`}
    ${open > 0 && html`<span class="count hot" title=${alertsText}><${Icon} name="bell" /> ${open}<span class="unseen">${alertsText}</span></span>`}
    ${detection && html`<time class="age">${ago(detection.times.captured_at)}</time>`}
  </header>`;
}

export function InView({ camera }) {
  const detection = camera.detection.value;
  const reason = camera.status.value?.reason;
  if (reason && camera.state.value !== "online") return html`<p class="in-view quiet">${reason}</p>`;
  if (!detection) return html`<p class="in-view quiet">${t("camera.no.frame")}</p>`;
  const counts = new Map();
  for (const { label } of detection.objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (!counts.size) return html`<p class="in-view quiet">${t("camera.nothing")}</p>`;
  const rows = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return html`<ul class="in-view">
    ${rows.map(([label, n]) => html`<li key=${label} class=${labelClass(label)}><i></i><b>${n}</b> ${labelName(label, n)}</li>`)}
  </ul>`;
}

function Verdict({ camera }) {
  const assessment = camera.assessment.value;
  if (!assessment) return html`<div class="verdict"><p class="quiet">${t("assessment.none")}</p></div>`;
  const worst = worstFirst(assessment)[0];
  const faded = clock.value - assessment.times.captured_at > OLD_S;
  return html`<div class="verdict ${faded ? "faded" : ""}">
    <p class="verdict-head">
      <${RiskBadge} level=${assessment.max_risk_level} faded=${faded} />
      ${!assessment.complete && html`<span class="partial">${t("assessment.partial")}</span>`}
      <time>${ago(assessment.times.captured_at)}</time>
    </p>
    <p class="description" title=${describe(worst)}>${describe(worst)}</p>
  </div>`;
}

export function describe(outcome) {
  if (!outcome) return "";
  if (outcome.outcome !== "assessed") return t("assessment.failed", { reason: outcome.reason });
  return outcome.description || outcome.risk_types.map(riskType).join(", ");
}
