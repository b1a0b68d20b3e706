// The socket and what is asked beside it: reconnects by itself, notices silence, asks for the token when it is wanted.
import { t } from "./i18n.js";
import * as state from "./state.js";
import { learnServerTime } from "./time.js";

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
const PING_MS = 10_000;
const SILENCE_MS = 25_000;
const SETTLE_MS = 1500; // messages in the first moments repeat what was known before
const READY_MS = 5000;

let socket = null;
let retryMs = FIRST_RETRY_MS;
let retryTimer = 0;
let heardAt = 0;
let subscribedAt = 0;

const HANDLERS = {
  connection_ack: (message) => {
    learnServerTime(message.server_time);
    state.needsToken.value = message.needs_token;
  },
  detection_result: (message) => state.takeDetection(message.data, isLive()),
  risk_assessment: (message) => state.takeAssessment(message.data, isLive()),
  camera_status: (message) => state.takeStatus(message.data),
  cameras_changed: () => readCameras().catch(() => {}), // the next connection reads them too
  alert: (message) => announce(state.takeAlerts([message.data])),
  pong: (message) => learnServerTime(message.server_time),
  error: (message) => console.warn("the gateway says:", message.code, message.message),
};

function isLive() {
  return performance.now() - subscribedAt > SETTLE_MS;
}

function announce(added) {
  const opened = added.find((alert) => alert.state === "opened");
  if (opened && isLive()) {
    const what = opened.description || t(`risk.${opened.risk_level}`);
    state.announced.value = t("alerts.new", { camera: state.cameraName(opened.camera_id), what });
  }
}

export async function connect() {
  clearTimeout(retryTimer);
  if (state.connection.value.state !== "live") {
    state.connection.value = { ...state.connection.value, state: state.loaded.value ? "retrying" : "connecting" };
  }
  try {
    const [, alerts] = await Promise.all([readCameras(), read("/api/v1/alerts?limit=100")]);
    state.takeAlerts(alerts.alerts);
    listen();
  } catch (error) {
    if (error.status === 401) askForToken();
    else retry();
  }
}

async function readCameras() {
  const answer = await read("/api/v1/cameras");
  learnServerTime(answer.server_time);
  state.control.value = answer.control;
  state.takeSummaries(answer.cameras);
}

async function read(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return answer.json();
}

function listen() {
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket = opened;
  heardAt = performance.now();
  opened.onopen = () => {
    retryMs = FIRST_RETRY_MS;
    subscribedAt = performance.now();
    opened.send(JSON.stringify({ type: "subscribe", cameras: "*" }));
    state.connection.value = { state: "live", retryAt: 0 };
  };
  opened.onmessage = (event) => {
    heardAt = performance.now();
    const message = JSON.parse(event.data);
    HANDLERS[message.type]?.(message);
  };
  opened.onclose = () => {
    if (socket === opened) retry();
  };
}

function retry() {
  socket = null;
  const waitMs = retryMs * (0.75 + Math.random() / 2); // so that all pages do not come back at once
  retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
  state.connection.value = { state: "lost", retryAt: Date.now() + waitMs };
  retryTimer = setTimeout(connect, waitMs);
}

function askForToken() {
  state.connection.value = { state: "login", retryAt: 0 };
}

// Returns what went wrong, or "".
export async function login(token) {
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.status === 401) return "login.error";
    if (!answer.ok) return "login.failed";
  } catch {
    return "login.failed";
  }
  state.connection.value = { state: "connecting", retryAt: 0 };
  await connect();
  return "";
}

export async function logout() {
  await fetch("/logout", { method: "POST" }).catch(() => {});
  location.reload(); // nothing of what was seen stays on the page
}

// Starts, stops or forgets a camera. Returns what went wrong, as {code, message}, or null.
export async function command(method, path, body) {
  try {
    const answer = await fetch(`/api/v1/cameras${path}`, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    if (answer.status === 401) askForToken();
    if (!answer.ok) return await answer.json();
    await readCameras();
    return null;
  } catch {
    return { code: "failed", message: "" };
  }
}

async function readReadiness() {
  if (document.hidden || state.connection.value.state === "login") return;
  try {
    const answer = await fetch("/readyz", { signal: AbortSignal.timeout(4000) });
    const { reasons, degraded } = await answer.json();
    state.system.value = { reasons: reasons ?? {}, degraded: degraded ?? {} };
  } catch {
    // the connection's own state says it
  }
}

export function start() {
  setInterval(() => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (performance.now() - heardAt > SILENCE_MS) socket.close();
    else socket.send(JSON.stringify({ type: "ping" }));
  }, PING_MS);
  setInterval(readReadiness, READY_MS);
  addEventListener("online", () => state.connection.value.state === "lost" && connect());
  readReadiness();
  connect();
}
