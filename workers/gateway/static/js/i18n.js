// The page's words in English and Chinese; reading `t` in a component renders it anew when the language changes.
import { signal, effect } from "../vendor/signals.mjs";
import en from "./messages/en.js";
import zh from "./messages/zh.js";

const CATALOGUES = { en, zh };
const KEPT = "vision-stream.language";

export const language = signal(preferred());

function preferred() {
  const kept = read();
  if (kept in CATALOGUES) return kept;
  const wanted = navigator.languages?.length ? navigator.languages : [navigator.language ?? "en"];
  const known = wanted.map((name) => name.toLowerCase().split("-")[0]).find((name) => name in CATALOGUES);
  return known ?? "en";
}

function read() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return ""; // storage is off
  }
}

export function switchLanguage() {
  language.value = language.value === "en" ? "zh" : "en";
  try {
    localStorage.setItem(KEPT, language.value);
  } catch {
    // it holds until the page is left
  }
}

export function t(key, values = {}) {
  const text = CATALOGUES[language.value][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// A detector's label in the reader's language, or as the detector spells it.
export function labelName(label, n = 1) {
  const key = n === 1 ? `label.${label}` : `label.${label}.many`;
  return key in en ? t(key) : label;
}

// "pedestrian_conflict" as a reader would write it.
export function riskType(word) {
  return word.replaceAll("_", " ");
}

effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});
