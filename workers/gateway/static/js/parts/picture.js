// A camera's live picture with boxes, groups and their risk drawn over it.
import { html } from "../html.js";
import { useEffect, useRef, useState } from "../../vendor/hooks.mjs";
import { labelName, t } from "../i18n.js";
import { levelOf, rank } from "../risk.js";
import { follow } from "../pictures.js";
import { now } from "../time.js";
import { Icon } from "./icons.js";
import { ZoneShapes } from "./zones.js";

const KNOWN_LABELS = new Set(["person", "car", "truck", "bus", "bicycle", "motorcycle"]);
const GROUP_MARGIN = 6; // css pixels around a group's box

export function labelClass(label) {
  return KNOWN_LABELS.has(label) ? `label-${label}` : "label-other";
}

export function Picture({ camera, large = false }) {
  const frame = useRef(null);
  const width = useWidth(frame);
  const visible = useVisible(frame);
  useEffect(() => follow(camera, () => visible.current), [camera]);
  const detection = camera.shown.value;
  const ratio = detection ? `${detection.frame_width} / ${detection.frame_height}` : "16 / 9";
  return html`<span class="picture ${camera.state.value === "online" ? "" : "stale"}" ref=${frame} style=${{ aspectRatio: ratio }}>
    ${camera.picture.value && !camera.noPicture.value
      ? html`<img src=${camera.picture.value} alt=${t("camera.picture", { camera: camera.name.value })} decoding="sync" />`
      : html`<span class="no-picture"><${Icon} name="camera" />${t(detection ? "camera.no.picture" : "camera.no.frame")}</span>`}
    ${detection && html`<${Overlay} detection=${detection} camera=${camera} width=${width} large=${large} />`}
  </span>`;
}

function Overlay({ detection, camera, width, large }) {
  const px = detection.frame_width / Math.max(width, 1); // frame pixels of one css pixel
  const assessment = camera.assessment.value;
  const groups = detection.groups
    .map((group) => ({ group, level: levelOf(group, assessment, now()) }))
    .sort((a, b) => rank(a.level) - rank(b.level)); // the worst is drawn last, over the others
  const tags = groups.filter(({ level }) => rank(level) > 0).map(({ group, level }) => ({ ...tagOf(group, level, px), level, group }));
  const names = large ? namesOf(detection.objects, tags, px) : [];
  return html`<svg
    class="overlay"
    viewBox=${`0 0 ${detection.frame_width} ${detection.frame_height}`}
    preserveAspectRatio="none"
    aria-hidden="true"
  >
    <${ZoneShapes} zones=${camera.zones.value} detection=${detection} px=${px} named=${large} />
    ${groups.map(({ group, level }) => html`<${GroupShape} key=${`g${group.index}`} group=${group} level=${level} px=${px} />`)}
    ${detection.objects.map((object) => html`<${ObjectShape} key=${object.object_id} object=${object} px=${px} />`)}
    ${names.map((name) => html`<text key=${`n${name.id}`} class="name" x=${name.x} y=${name.y + name.height} font-size=${11 * px} stroke-width=${3 * px}>${name.text}</text>`)}
    ${tags.map((tag) => html`<${GroupTag} key=${`t${tag.group.index}`} tag=${tag} px=${px} />`)}
  </svg>`;
}

// The objects' names that find room: none over another or over a risk.
function namesOf(objects, tags, px) {
  const taken = [...tags];
  const names = [];
  for (const object of objects) {
    const text = labelName(object.label);
    const [x, y] = object.box;
    const name = { id: object.object_id, text, x, y: y - 15 * px, width: textWidth(text) * px, height: 11 * px };
    if (taken.some((other) => meet(name, other))) continue;
    taken.push(name);
    names.push(name);
  }
  return names;
}

function meet(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

// In css pixels, at the sizes used here; near enough to make room.
function textWidth(text) {
  return [...text].reduce((width, letter) => width + (letter > "\u2e7f" ? 13 : 7.2), 0);
}

function ObjectShape({ object, px }) {
  const [x1, y1, x2, y2] = object.box;
  return html`<g class="object ${labelClass(object.label)}" data-label=${object.label}>
    <rect class="casing" x=${x1} y=${y1} width=${x2 - x1} height=${y2 - y1} rx=${2 * px} />
    <rect x=${x1} y=${y1} width=${x2 - x1} height=${y2 - y1} rx=${2 * px} />
  </g>`;
}

function GroupShape({ group, level, px }) {
  const [x1, y1, x2, y2] = group.box;
  const m = GROUP_MARGIN * px;
  return html`<rect
    class="group risk-${level ?? "unknown"}"
    x=${x1 - m}
    y=${y1 - m}
    width=${x2 - x1 + 2 * m}
    height=${y2 - y1 + 2 * m}
    rx=${6 * px}
  />`;
}

// Where a group's risk is written: above its hull, or below where there is no room.
function tagOf(group, level, px) {
  const word = t(`risk.short.${level}`);
  const height = 18 * px;
  const above = group.box[1] - GROUP_MARGIN * px - height;
  return {
    word,
    x: Math.max(0, group.box[0] - GROUP_MARGIN * px),
    y: above >= 0 ? above : group.box[3] + GROUP_MARGIN * px,
    width: (textWidth(word) + 26) * px,
    height,
  };
}

function GroupTag({ tag, px }) {
  return html`<g class="tag risk-${tag.level}" transform=${`translate(${tag.x} ${tag.y})`}>
    <rect width=${tag.width} height=${tag.height} rx=${4 * px} />
    <svg x=${4 * px} y=${3 * px} width=${12 * px} height=${12 * px} viewBox="0 0 16 16"><${Icon} name=${tag.level} /></svg>
    <text x=${20 * px} y=${13 * px} font-size=${12 * px}>${tag.word}</text>
  </g>`;
}

function useWidth(ref) {
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

function useVisible(ref) {
  const visible = useRef(true);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => (visible.current = entry.isIntersecting), {
      rootMargin: "100px",
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return visible;
}
