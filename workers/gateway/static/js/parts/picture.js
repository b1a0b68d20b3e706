// A camera's live picture with boxes, groups and their risk drawn over it.
import { html } from "../html.js";
import { useEffect, useRef, useState } from "../../vendor/hooks.mjs";
import { labelName, t } from "../i18n.js";
import { levelOf, rank } from "../risk.js";
import { follow } from "../pictures.js";
import { now } from "../time.js";
import { Icon } from "./icons.js";

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
  return html`<span class="picture" ref=${frame} style=${{ aspectRatio: ratio }}>
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
  return html`<svg
    class="overlay"
    viewBox=${`0 0 ${detection.frame_width} ${detection.frame_height}`}
    preserveAspectRatio="none"
    aria-hidden="true"
  >
    ${groups.map(({ group, level }) => html`<${GroupShape} key=${`g${group.index}`} group=${group} level=${level} detection=${detection} px=${px} />`)}
    ${detection.objects.map((object) => html`<${ObjectShape} key=${object.object_id} object=${object} px=${px} named=${large} />`)}
    ${groups.map(({ group, level }) => level && rank(level) > 0 && html`<${GroupTag} key=${`t${group.index}`} group=${group} level=${level} px=${px} />`)}
  </svg>`;
}

function ObjectShape({ object, px, named }) {
  const [x1, y1, x2, y2] = object.box;
  return html`<g class="object ${labelClass(object.label)}" data-label=${object.label}>
    <rect class="casing" x=${x1} y=${y1} width=${x2 - x1} height=${y2 - y1} rx=${2 * px} />
    <rect x=${x1} y=${y1} width=${x2 - x1} height=${y2 - y1} rx=${2 * px} />
    ${named && html`<text x=${x1} y=${y1 - 4 * px} font-size=${11 * px} stroke-width=${3 * px}>${labelName(object.label)} ${Math.round(object.confidence * 100)}%</text>`}
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

function GroupTag({ group, level, px }) {
  const word = t(`risk.short.${level}`);
  const height = 18 * px;
  const width = (word.length * (/[^\x00-\x7f]/.test(word) ? 13 : 7.2) + 26) * px;
  const x = Math.max(0, group.box[0] - GROUP_MARGIN * px);
  const above = group.box[1] - GROUP_MARGIN * px - height;
  const y = above >= 0 ? above : group.box[3] + GROUP_MARGIN * px;
  return html`<g class="tag risk-${level}" transform=${`translate(${x} ${y})`}>
    <rect width=${width} height=${height} rx=${4 * px} />
    <svg x=${4 * px} y=${3 * px} width=${12 * px} height=${12 * px} viewBox="0 0 16 16"><${Icon} name=${level} /></svg>
    <text x=${20 * px} y=${13 * px} font-size=${12 * px}>${word}</text>
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
