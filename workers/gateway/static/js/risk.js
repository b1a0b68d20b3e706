// Which verdict belongs to which group on the picture. Pure.

export const LEVELS = ["none", "low", "medium", "high"];
export const FRESH_S = 20; // a verdict older than this is no longer drawn on the picture

export function rank(level) {
  return LEVELS.indexOf(level);
}

// The outcomes of an assessment, the worst first; those without a verdict last.
export function worstFirst(assessment) {
  const known = (outcome) => (outcome.outcome === "assessed" ? rank(outcome.risk_level) : -1);
  return [...(assessment?.assessments ?? [])].sort((a, b) => known(b) - known(a));
}

// The risk level of a group that is in the picture now: of the verdict on the same tracks, else on the same place.
export function levelOf(group, assessment, at) {
  if (!assessment || at - assessment.times.captured_at > FRESH_S) return null;
  const match = worstFirst(assessment).find((outcome) => outcome.outcome === "assessed" && same(group, outcome.group));
  return match ? match.risk_level : null;
}

function same(one, other) {
  if (one.track_ids?.length && other.track_ids?.length) {
    const tracks = new Set(other.track_ids);
    const shared = one.track_ids.filter((id) => tracks.has(id)).length;
    return shared > 0 && shared * 2 >= Math.min(one.track_ids.length, other.track_ids.length);
  }
  return overlap(one.box, other.box) >= 0.3;
}

// Intersection over union of two boxes [x1, y1, x2, y2].
export function overlap([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) {
  const width = Math.min(ax2, bx2) - Math.max(ax1, bx1);
  const height = Math.min(ay2, by2) - Math.max(ay1, by1);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both);
}
