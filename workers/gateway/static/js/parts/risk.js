// A risk is always said three times: by colour, by shape and by word.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Icon } from "./icons.js";

export function RiskBadge({ level, short = false, faded = false }) {
  const name = level ?? "unknown";
  const word = level ? t(short ? `risk.short.${level}` : `risk.${level}`) : t("risk.unknown");
  return html`<span class="risk risk-${name} ${faded ? "faded" : ""}"><${Icon} name=${name} />${word}</span>`;
}
