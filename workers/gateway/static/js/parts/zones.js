// The zones of a camera, drawn under what is seen in it; the viewer's browser keeps whether they are shown.
import { html } from "../html.js";
import { signal } from "../../vendor/signals.mjs";
import { t } from "../i18n.js";
import { hasZones } from "../state.js";
import { Icon } from "./icons.js";

const KEPT = "vision-stream.zones";

export const shown = signal(read());

function read() {
  try {
    return localStorage.getItem(KEPT) !== "off";
  } catch {
    return true; // storage is off
  }
}

function toggle() {
  shown.value = !shown.value;
  try {
    localStorage.setItem(KEPT, shown.value ? "on" : "off");
  } catch {
    // it holds until the page is left
  }
}

export function ZonesButton() {
  if (!hasZones.value) return null;
  return html`<button class="plain" aria-pressed=${shown.value} title=${t("zones.toggle")} onClick=${toggle}><${Icon} name="zones" /> ${t("zones.title")}</button>`;
}

// In the overlay's own units: pixels of the frame, of which `px` are one css pixel.
export function ZoneShapes({ zones, detection, px, named }) {
  if (!shown.value) return null;
  return zones.map((zone) => html`<${ZoneShape} key=${zone.name} zone=${zone} detection=${detection} px=${px} named=${named} />`);
}

function ZoneShape({ zone, detection, px, named }) {
  const corners = zone.points.map(([x, y]) => [x * detection.frame_width, y * detection.frame_height]);
  const [x, y] = corners.reduce((best, corner) => (corner[1] < best[1] ? corner : best)); // the uppermost
  return html`<g class="zone zone-${zone.kind}" data-zone=${zone.name}>
    <polygon points=${corners.map((corner) => corner.join(",")).join(" ")} />
    ${named && html`<text x=${x + 4 * px} y=${y + 14 * px} font-size=${11 * px} stroke-width=${3 * px}>${zone.name} · ${t(`zones.${zone.kind}`)}</text>`}
  </g>`;
}
