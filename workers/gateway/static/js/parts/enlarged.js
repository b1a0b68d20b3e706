// One camera, large, with every group's verdict: a modal dialog, closed by Escape, the cross or a click beside it.
import { html } from "../html.js";
import { useEffect, useRef } from "../../vendor/hooks.mjs";
import { labelName, riskType, t } from "../i18n.js";
import { alerts, cameras, enlarged } from "../state.js";
import { worstFirst } from "../risk.js";
import { ago } from "../time.js";
import { AlertRow } from "./alerts.js";
import { CardHead, describe, InView } from "./card.js";
import { Icon } from "./icons.js";
import { Picture } from "./picture.js";
import { RiskBadge } from "./risk.js";

export function Enlarged() {
  const camera = cameras.value.get(enlarged.value);
  return camera ? html`<${Dialog} key=${camera.id} camera=${camera} />` : null;
}

function Dialog({ camera }) {
  const dialog = useRef(null);
  const close = () => (enlarged.value = null);
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  return html`<dialog
    class="enlarged"
    ref=${dialog}
    aria-label=${camera.name.value}
    onClose=${close}
    onClick=${(event) => event.target === dialog.current && close()}
  >
    <div class="enlarged-body">
      <div class="enlarged-head">
        <${CardHead} camera=${camera} />
        <button class="plain" onClick=${close} aria-label=${t("action.close")} title=${t("action.close")}><${Icon} name="close" /></button>
      </div>
      <${Picture} camera=${camera} large=${true} />
      <${InView} camera=${camera} />
      <div class="enlarged-side">
        <${Verdicts} camera=${camera} />
        <${OwnAlerts} camera=${camera} />
      </div>
    </div>
  </dialog>`;
}

function Verdicts({ camera }) {
  const assessment = camera.assessment.value;
  return html`<section class="verdicts">
    <h3>${t("assessment.title")} ${assessment && html`<time>${ago(assessment.times.captured_at)}</time>`}</h3>
    ${!assessment && html`<p class="quiet">${t("assessment.none")}</p>`}
    ${worstFirst(assessment).map((outcome) => html`<${GroupVerdict} key=${outcome.task_id} outcome=${outcome} />`)}
  </section>`;
}

function GroupVerdict({ outcome }) {
  const members = Object.entries(outcome.group.label_counts).map(([label, n]) => `${n} ${labelName(label, n)}`);
  const types = outcome.outcome === "assessed" ? outcome.risk_types.map(riskType) : [];
  return html`<div class="group-verdict">
    <p class="verdict-head">
      <${RiskBadge} level=${outcome.outcome === "assessed" ? outcome.risk_level : null} />
      <span>${members.join(" · ")}</span>
      ${types.length > 0 && html`<span class="quiet">${types.join(", ")}</span>`}
    </p>
    <p>${describe(outcome)}</p>
  </div>`;
}

function OwnAlerts({ camera }) {
  const own = alerts.value.filter((alert) => alert.camera_id === camera.id).slice(0, 10);
  if (!own.length) return null;
  return html`<section>
    <h3>${t("alerts.title")}</h3>
    <ol class="alert-list">${own.map((alert) => html`<${AlertRow} key=${alert.alert_id} alert=${alert} plain=${true} />`)}</ol>
  </section>`;
}
