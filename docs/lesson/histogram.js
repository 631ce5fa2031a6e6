// Distances of the pairs: one digit above the line, two digits below it; what is on the wrong side is in full colour.

import { canvas, colour } from "./drawing.js";

export const FARTHEST = 2; // across the disc
const BINS = 50;
const EDGE = 8; // where a slider's ends are

export class Histogram {
  constructor(recording) {
    this.recording = recording;
    this.counts = null;
    const { element, redraw } = canvas(
      { class: "histogram", role: "img", "aria-label": "Distances of all pairs: pairs of one digit above the line, of two digits below it; the wrong answers stand out" },
      (context, width, height) => this.draw(context, width, height),
    );
    this.element = element;
    this.redraw = redraw;
  }

  show(distances, threshold, counted) {
    const { left, right, same } = this.recording;
    this.counts = [new Float32Array(BINS), new Float32Array(BINS)];
    for (let pair = 0; pair < distances.length; pair++) {
      if (!counted(left[pair], right[pair])) continue;
      this.counts[same[pair]][Math.min(BINS - 1, Math.floor((BINS * distances[pair]) / FARTHEST))]++;
    }
    this.threshold = threshold;
    this.redraw();
  }

  draw(context, width, height) {
    if (!this.counts) return;
    const room = width - 2 * EDGE;
    const middle = Math.round(height / 2);
    const high = middle - 20;
    const [different, same] = ["different", "same"].map(colour);
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const most = this.counts.map((counts) => Math.max(...counts, 1));
    for (let bin = 0; bin < BINS; bin++) {
      const x = EDGE + (room * bin) / BINS;
      const wide = room / BINS - 1;
      const accepted = ((bin + 0.5) * FARTHEST) / BINS <= this.threshold;
      const up = (high * this.counts[1][bin]) / most[1];
      const down = (high * this.counts[0][bin]) / most[0];
      context.globalAlpha = accepted ? 0.35 : 1;
      context.fillStyle = same;
      context.fillRect(x, middle - up, wide, up);
      context.globalAlpha = accepted ? 1 : 0.35;
      context.fillStyle = different;
      context.fillRect(x, middle + 1, wide, down);
    }
    context.globalAlpha = 1;
    context.fillStyle = colour("ink");
    context.fillRect(EDGE, middle, room, 1);
    context.textAlign = "right";
    context.fillText("one digit", width - EDGE, 12);
    context.fillText("two digits", width - EDGE, height - 4);
    const x = EDGE + (room * this.threshold) / FARTHEST;
    context.setLineDash([4, 3]);
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
  }
}
