// All that the page shows, in signals: what changes on one camera renders that camera's card alone.
import { batch, computed, signal } from "../vendor/signals.mjs";
import { clock, now } from "./time.js";

const MAX_ALERTS = 200;
const DELAY_OVER_S = 60;
const SILENT_S = 15; // an online camera without a detection for this long is said to be silent

export const connection = signal({ state: "connecting", retryAt: 0 }); // connecting | live | lost | login
export const needsToken = signal(false);
export const system = signal({ reasons: {}, degraded: {} }); // of /readyz
export const control = signal(false); // whether cameras are started and stopped here
export const loaded = signal(false); // whether the list of cameras has been read once
export const cameras = signal(new Map());
export const alerts = signal([]); // newest opened first
export const enlarged = signal(null); // a camera id
export const view = signal("cameras"); // what a narrow screen shows
export const highlighted = signal(null); // the camera that an alert led to
export const announced = signal(""); // for screen readers

export const openAlerts = computed(() => alerts.value.filter((alert) => alert.state !== "resolved"));
export const cameraList = computed(() => [...cameras.value.values()].sort((a, b) => (a.id < b.id ? -1 : 1)));
export const hasZones = computed(() => cameraList.value.some((camera) => camera.zones.value.length > 0));

function newCamera(id) {
  const camera = {
    id,
    name: signal(id),
    status: signal(null),
    detection: signal(null), // the newest
    shown: signal(null), // the one whose picture is shown
    assessment: signal(null),
    picture: signal(null), // an object URL
    noPicture: signal(false),
    fps: signal(0),
    zones: signal([]),
    knownBy: signal("messages"), // or configuration, api
    watched: signal(false), // whether it should be
    captured: [],
  };
  camera.state = computed(() => stateOf(camera));
  return camera;
}

function stateOf(camera) {
  const said = camera.status.value?.state ?? "unknown";
  const seen = camera.detection.value?.times.captured_at;
  const fresh = seen !== undefined && clock.value - seen < SILENT_S;
  if (said === "unknown" || said === "online") return fresh ? "online" : seen === undefined ? said : "silent";
  return said;
}

export function camera(id) {
  let found = cameras.value.get(id);
  if (!found) {
    found = newCamera(id);
    cameras.value = new Map(cameras.value).set(id, found);
  }
  return found;
}

export function cameraName(id) {
  return cameras.value.get(id)?.name.value ?? id;
}

export function takeSummaries(summaries) {
  batch(() => {
    for (const summary of summaries) {
      const known = camera(summary.camera_id);
      known.name.value = summary.name;
      known.zones.value = summary.zones;
      known.knownBy.value = summary.known_by;
      known.watched.value = summary.watched;
      if (!known.status.value?.at) {
        known.status.value = summary.state === "unknown" ? null : { state: summary.state, reason: summary.reason, at: 0 };
      }
    }
    forgetUnheard(new Set(summaries.map((summary) => summary.camera_id)));
    loaded.value = true;
  });
}

// Of a camera that is listed no more nothing is left, unless it was heard of and is still watched.
function forgetUnheard(listed) {
  const heard = (known) => (known.detection.value || known.status.value?.at) && known.status.value?.state !== "disabled";
  const kept = [...cameras.value].filter(([id, known]) => listed.has(id) || heard(known));
  if (kept.length < cameras.value.size) cameras.value = new Map(kept);
}

const delays = { detection: [], verdict: [] };
export const delay = signal({ detection: null, verdict: null, verdicts: [] });

function learnDelay(kind, capturedAt) {
  const at = now();
  const seconds = Math.max(0, at - capturedAt);
  if (at - capturedAt < -1 || seconds > 120) return; // a camera whose clock is wrong, or what was known before
  delays[kind].push({ at, seconds });
}

setInterval(() => {
  const since = now() - DELAY_OVER_S;
  for (const kind of Object.keys(delays)) delays[kind] = delays[kind].filter((sample) => sample.at > since);
  const recent = delays.verdict.slice(-40).map((sample) => sample.seconds);
  delay.value = { detection: median(delays.detection), verdict: median(delays.verdict), verdicts: recent };
}, 1000);

function median(samples) {
  if (!samples.length) return null;
  const sorted = samples.map((sample) => sample.seconds).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export function takeDetection(detection, isLive) {
  const known = camera(detection.camera_id);
  const last = known.detection.value;
  if (last && last.session !== detection.session) known.captured = [];
  known.captured = [...known.captured.slice(-19), detection.times.captured_at];
  const span = known.captured.at(-1) - known.captured[0];
  batch(() => {
    known.detection.value = detection;
    known.fps.value = span > 0 ? (known.captured.length - 1) / span : 0;
  });
  if (isLive) learnDelay("detection", detection.times.captured_at);
}

export function takeAssessment(assessment, isLive) {
  const known = camera(assessment.camera_id);
  const last = known.assessment.value;
  if (!last || assessment.times.captured_at >= last.times.captured_at) known.assessment.value = assessment;
  if (isLive) learnDelay("verdict", assessment.times.captured_at);
}

export function takeStatus(status) {
  const known = camera(status.camera_id);
  if (!known.status.value || status.at >= known.status.value.at) known.status.value = status;
}

export function takeAlerts(list) {
  const rows = new Map(alerts.value.map((alert) => [alert.alert_id, alert]));
  const added = [];
  for (const alert of list) {
    const kept = rows.get(alert.alert_id);
    if (!kept) added.push(alert);
    if (!kept || alert.updated_at >= kept.updated_at) rows.set(alert.alert_id, alert);
  }
  alerts.value = [...rows.values()].sort((a, b) => b.opened_at - a.opened_at).slice(0, MAX_ALERTS);
  return added;
}
