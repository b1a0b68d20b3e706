// Live pictures: fetched when a detection arrives, of cameras that are on the screen, a few at a time.
//
// A card shows its picture and the boxes of the detection that asked for it together, so that boxes stand on what they
// mean. Where the picture takes too long, or there is none, the boxes do not wait.
import { effect } from "../vendor/signals.mjs";

const AT_A_TIME = 4; // browsers open six connections to a host; the socket and the rest need some
const MIN_INTERVAL_MS = 200; // at most 5 a second of one camera
const PATIENCE_MS = 400;
const NO_PICTURE_MS = 3000; // until a camera without a picture is asked again

const wanted = new Map(); // camera id -> feed, in the order of asking
let busy = 0;

// Keep `camera.picture` and `camera.shown` going while `isVisible()`; returns the end of it.
export function follow(camera, isVisible) {
  const feed = { camera, isVisible, askedAt: -Infinity, notBefore: 0, asking: null, timer: 0, over: false };
  const stop = effect(() => {
    const detection = camera.detection.value;
    if (detection) arrived(feed, detection);
  });
  return () => {
    stop();
    feed.over = true;
    clearTimeout(feed.timer);
    clearTimeout(feed.patience);
    if (wanted.get(camera.id) === feed) wanted.delete(camera.id);
  };
}

function arrived(feed, detection) {
  clearTimeout(feed.patience);
  const showNow = () => show(feed, detection);
  if (feed.camera.noPicture.peek() || document.hidden || !feed.isVisible()) showNow();
  else feed.patience = setTimeout(showNow, PATIENCE_MS);
  if (!document.hidden && feed.isVisible()) ask(feed);
}

function show(feed, detection) {
  const shown = feed.camera.shown.peek();
  if (shown && shown.session === detection.session && shown.sequence > detection.sequence) return;
  feed.camera.shown.value = detection;
}

function ask(feed) {
  clearTimeout(feed.timer);
  const waitMs = Math.max(feed.askedAt + MIN_INTERVAL_MS, feed.notBefore) - performance.now();
  if (waitMs > 0) {
    feed.timer = setTimeout(() => ask(feed), waitMs);
    return;
  }
  wanted.set(feed.camera.id, feed);
  next();
}

function next() {
  for (const [id, feed] of wanted) {
    if (busy >= AT_A_TIME) return;
    if (feed.asking) continue;
    wanted.delete(id);
    busy += 1;
    feed.asking = load(feed).finally(() => {
      busy -= 1;
      feed.asking = null;
      next();
    });
  }
}

async function load(feed) {
  const { camera } = feed;
  const detection = camera.detection.peek();
  feed.askedAt = performance.now();
  try {
    const path = `/api/v1/cameras/${encodeURIComponent(camera.id)}/snapshot`;
    const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
    if (answer.ok) await replace(camera, await answer.blob());
    camera.noPicture.value = !answer.ok;
    if (!answer.ok) feed.notBefore = performance.now() + NO_PICTURE_MS;
  } catch {
    feed.notBefore = performance.now() + NO_PICTURE_MS;
  }
  if (!feed.over && detection) {
    if (camera.detection.peek() === detection) clearTimeout(feed.patience);
    show(feed, detection);
  }
}

async function replace(camera, blob) {
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  try {
    await image.decode(); // in memory before it is shown: no flicker
  } catch {
    URL.revokeObjectURL(url);
    return;
  }
  const old = camera.picture.peek();
  camera.picture.value = url;
  if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
}
