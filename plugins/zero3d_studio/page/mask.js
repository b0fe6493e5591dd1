// The mask: painted at the picture's own size, shown at what fits. What is not the object is tinted.
"use strict";

class MaskEditor {
  constructor(canvas) {
    this.canvas = canvas;
    this.erasing = false;
    this.size = 25; // of the brush, in hundredths of a quarter of the picture's shorter side
    this.changed = false;
    this.past = [];
    this.spot = null; // where the keys' brush is, in pixels of the picture
    const on = (name, does) => canvas.addEventListener(name, does);
    on("pointerdown", event => {
      if (!this.mask) return;
      canvas.setPointerCapture(event.pointerId);
      this.remember();
      this.last = this.place(event);
      this.stroke(this.last, this.last);
    });
    on("pointermove", event => {
      if (!this.mask) return;
      const here = this.place(event);
      if (this.last) { this.stroke(this.last, here); this.last = here; } else { this.spot = here; this.draw(); }
    });
    for (const name of ["pointerup", "pointercancel"]) on(name, () => { if (this.last) this.onpaint(); this.last = null; });
    on("pointerleave", () => { if (!this.last) { this.spot = null; this.draw(); } });
    on("keydown", event => this.key(event));
    on("blur", () => { this.spot = null; this.draw(); });
  }

  // Both are URLs of PNGs of one size; the mask is grey, white on the object.
  async open(colours, mask) {
    const [picture, grey] = await Promise.all([load(colours), load(mask)]);
    this.picture = picture;
    this.mask = document.createElement("canvas");
    this.mask.width = picture.naturalWidth;
    this.mask.height = picture.naturalHeight;
    const scale = Math.min(1, 1024 / Math.max(this.mask.width, this.mask.height));
    this.canvas.width = Math.round(this.mask.width * scale);
    this.canvas.height = Math.round(this.mask.height * scale);
    this.tint = document.createElement("canvas");
    this.tint.width = this.canvas.width;
    this.tint.height = this.canvas.height;
    const context = this.mask.getContext("2d", { willReadFrequently: true });
    context.drawImage(grey, 0, 0);
    const pixels = context.getImageData(0, 0, this.mask.width, this.mask.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data[i + 3] = pixels.data[i];
      pixels.data[i] = pixels.data[i + 1] = pixels.data[i + 2] = 255;
    }
    context.putImageData(pixels, 0, 0);
    this.past = [];
    this.changed = false;
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * this.mask.width, (event.clientY - box.top) / box.height * this.mask.height];
  }

  get radius() {
    return Math.max(0.5, Math.min(this.mask.width, this.mask.height) / 8 * (this.size / 50) ** 2);
  }

  stroke(from, to) {
    const context = this.mask.getContext("2d");
    context.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    context.strokeStyle = "#fff";
    context.lineCap = "round";
    context.lineWidth = 2 * this.radius;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    context.globalCompositeOperation = "source-over";
    this.changed = true;
    this.spot = to;
    this.draw();
  }

  draw() {
    if (!this.mask) return;
    const { width, height } = this.canvas, context = this.canvas.getContext("2d"), over = this.tint.getContext("2d");
    over.globalCompositeOperation = "copy";
    over.fillStyle = "rgba(10, 124, 134, .7)";
    over.fillRect(0, 0, width, height);
    over.globalCompositeOperation = "destination-out";
    over.drawImage(this.mask, 0, 0, width, height);
    context.clearRect(0, 0, width, height);
    context.drawImage(this.picture, 0, 0, width, height);
    context.drawImage(this.tint, 0, 0);
    if (this.spot) {
      const scale = width / this.mask.width;
      for (const [colour, wide] of [["#000", 3], ["#fff", 1]]) {
        context.strokeStyle = colour;
        context.lineWidth = wide;
        context.beginPath();
        context.arc(this.spot[0] * scale, this.spot[1] * scale, Math.max(2, this.radius * scale), 0, 7);
        context.stroke();
      }
    }
  }

  key(event) {
    if (!this.mask) return;
    const step = Math.max(1, this.radius / 2), moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const from = this.spot || [this.mask.width / 2, this.mask.height / 2], move = moves[event.key];
    if (move) {
      const clamp = (value, most) => Math.min(most, Math.max(0, value));
      const to = [clamp(from[0] + step * move[0], this.mask.width), clamp(from[1] + step * move[1], this.mask.height)];
      this.spot = to;
      this.draw();
    } else if (event.key === " ") {
      this.remember();
      this.stroke(from, from);
      this.onpaint();
    } else if (event.key === "e" && !event.ctrlKey) {
      this.erasing = !this.erasing;
      this.onbrush();
    } else if (event.key === "[" || event.key === "]") {
      this.size = Math.min(100, Math.max(1, this.size + (event.key === "]" ? 5 : -5)));
      this.onbrush();
      this.draw();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      this.undo();
    } else return;
    event.preventDefault();
  }

  onbrush() {}

  onpaint() {}

  remember() {
    const { width, height } = this.mask;
    this.past.push(this.mask.getContext("2d").getImageData(0, 0, width, height));
    if (this.past.length > Math.max(2, Math.min(30, 3e7 / (width * height)))) this.past.shift();
  }

  undo() {
    const former = this.past.pop();
    if (!former) return;
    this.mask.getContext("2d").putImageData(former, 0, 0);
    this.changed = true;
    this.draw();
    this.onpaint();
  }

  clear() {
    if (!this.mask) return;
    this.remember();
    this.mask.getContext("2d").clearRect(0, 0, this.mask.width, this.mask.height);
    this.changed = true;
    this.draw();
    this.onpaint();
  }

  // A PNG whose alpha is the mask.
  blob() {
    return new Promise(done => this.mask.toBlob(done, "image/png"));
  }
}

function load(url) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => fail(new Error("a picture cannot be shown"));
    image.src = url;
  });
}
