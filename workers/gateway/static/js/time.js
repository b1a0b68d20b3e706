// The server's clock, as far as this page knows it, and how ages are written.
import { signal } from "../vendor/signals.mjs";
import { language, t } from "./i18n.js";

const JUMP_S = 2; // more than any network takes: one of the two clocks was set

let ahead = 0; // seconds that the server's clock is ahead of this browser's
let known = false;

export const clock = signal(now()); // ticks once a second, for ages

export function now() {
  return Date.now() / 1000 + ahead;
}

// What the server says is late by the way it took: of several the greatest difference is the nearest.
export function learnServerTime(serverTime) {
  const seen = serverTime - Date.now() / 1000;
  ahead = known && Math.abs(seen - ahead) < JUMP_S ? Math.max(seen, ahead) : seen;
  known = true;
  clock.value = now();
}

setInterval(() => {
  clock.value = now();
}, 1000);

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("time.seconds", { n: s });
  if (s < 3600) return t("time.minutes", { n: Math.floor(s / 60) });
  return t("time.hours", { n: Math.floor(s / 3600) });
}

export function ago(at) {
  const seconds = clock.value - at;
  return seconds < 1 ? t("time.now") : t("time.ago", { time: duration(seconds) });
}

export function clockTime(at) {
  const date = new Date(at * 1000);
  const locale = language.value === "zh" ? "zh-CN" : undefined;
  const time = date.toLocaleTimeString(locale, { hour12: false });
  const today = date.toDateString() === new Date().toDateString();
  return today ? time : `${date.toLocaleDateString(locale, { month: "short", day: "numeric" })} ${time}`;
}

export function delayText(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}
