// The viewer of report.html: a GLB, or a cloud of coloured discs, to look at from all sides. Built into viewer.js by `npm run build`.
import {
  BufferAttribute, BufferGeometry, Color, DirectionalLight, HemisphereLight, MeshBasicMaterial, MeshLambertMaterial,
  PerspectiveCamera, Points, Scene, ShaderMaterial, Vector3, WebGLRenderer
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';

const MODES = { colours: 'colours', shape: 'bare shape', wireframe: 'wireframe' };

const DISC_VERTEX = `
attribute float size; attribute vec4 colour; uniform float pixels; varying vec4 shown;
void main() {
  shown = colour;
  vec4 seen = modelViewMatrix * vec4(position, 1.0);
  gl_PointSize = clamp(pixels * size / -seen.z, 1.5, 256.0);
  gl_Position = projectionMatrix * seen;
}`;
const DISC_FRAGMENT = `
varying vec4 shown;
void main() {
  vec2 off = gl_PointCoord * 2.0 - 1.0;
  if (dot(off, off) > 1.0) discard;
  gl_FragColor = vec4(shown.rgb, 1.0);
}`;

function bytesOf(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

function discs(buffer) {
  // 20 bytes a disc: position (3 floats, glTF axes), radius (float), RGBA (4 bytes)
  const count = buffer.byteLength / 20, floats = new DataView(buffer), raw = new Uint8Array(buffer);
  const place = new Float32Array(3 * count), size = new Float32Array(count), colour = new Uint8Array(4 * count);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 3; k++) place[3 * i + k] = floats.getFloat32(20 * i + 4 * k, true);
    size[i] = floats.getFloat32(20 * i + 12, true);
    colour.set(raw.subarray(20 * i + 16, 20 * i + 20), 4 * i);
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute('position', new BufferAttribute(place, 3));
  geometry.setAttribute('size', new BufferAttribute(size, 1));
  geometry.setAttribute('colour', new BufferAttribute(colour, 4, true));
  const material = new ShaderMaterial({
    vertexShader: DISC_VERTEX, fragmentShader: DISC_FRAGMENT, uniforms: { pixels: { value: 1 } }
  });
  return new Points(geometry, material);
}

function looks(mesh) {
  // The material of each mode. Colours are unlit: those of the file, as the run drew them.
  if (!mesh.geometry.attributes.normal) mesh.geometry.computeVertexNormals();
  const own = Array.isArray(mesh.material) ? mesh.material[0] : mesh.material, side = own.side;
  return {
    colours: new MeshBasicMaterial({ map: own.map, color: own.color, vertexColors: own.vertexColors, side }),
    shape: new MeshLambertMaterial({ color: 0xc4c4cc, side }),
    wireframe: new MeshBasicMaterial({ color: 0x28506e, wireframe: true })
  };
}

class Viewer {
  // at: {elevation (radians), distance, fov (radians across the width)} of the first look, from +z
  constructor(element, at) {
    this.element = element;
    this.home = at;
    this.renderer = new WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.setClearColor(new Color(0xffffff), 1);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera((at.fov * 180) / Math.PI, 1, 0.01, 200);
    const headlight = new DirectionalLight(0xffffff, 2);
    headlight.position.set(0.3, 0.6, 1);
    this.camera.add(headlight);
    this.scene.add(new HemisphereLight(0xffffff, 0x555566, 1.6), this.camera);
    this.meshes = [];
    this.cloud = null;
    this.followers = [];
    element.append(this.renderer.domElement);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.addEventListener('change', () => { this.tell(); this.draw(); });
    this.reset();
    new ResizeObserver(() => this.fit()).observe(element);
    this.fit();
  }

  reset() {
    const { elevation, distance } = this.home;
    this.controls.target.set(0, 0, 0);
    this.camera.position.set(0, distance * Math.sin(elevation), distance * Math.cos(elevation));
    this.controls.update();
    this.tell();
    this.draw();
  }

  fit() {
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  draw() {
    if (this.cloud) {
      const across = this.renderer.domElement.height / Math.tan((this.camera.fov * Math.PI) / 360);
      this.cloud.material.uniforms.pixels.value = across;
    }
    this.renderer.render(this.scene, this.camera);
  }

  tell() {
    for (const other of this.followers) {
      if (other.camera.position.distanceToSquared(this.camera.position) < 1e-12 &&
          other.controls.target.distanceToSquared(this.controls.target) < 1e-12) continue;
      other.controls.target.copy(this.controls.target);
      other.camera.position.copy(this.camera.position);
      other.controls.update();
    }
  }

  mode(name) {
    for (const { mesh, materials } of this.meshes) mesh.material = materials[name];
    this.draw();
  }

  turn(on) {
    this.controls.autoRotate = on;
    const step = () => {
      if (!this.controls.autoRotate) return;
      this.controls.update();
      requestAnimationFrame(step);
    };
    if (on) step();
  }

  async glb(buffer) {
    const loaded = await new GLTFLoader().parseAsync(buffer, '');
    loaded.scene.traverse((part) => {
      if (part.isMesh) this.meshes.push({ mesh: part, materials: looks(part) });
    });
    this.scene.add(loaded.scene);
    this.mode('colours');
  }

  discs(buffer) {
    this.cloud = discs(buffer);
    this.scene.add(this.cloud);
    this.draw();
  }
}

function button(text, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.addEventListener('click', () => act(made));
  return made;
}

function buttons(viewers) {
  const bar = document.createElement('div'), modes = [];
  bar.className = 'buttons';
  if (viewers.some((viewer) => viewer.meshes.length)) {
    for (const [name, text] of Object.entries(MODES)) {
      const made = button(text, () => {
        for (const viewer of viewers) viewer.mode(name);
        for (const one of modes) one.setAttribute('aria-pressed', String(one === made));
      });
      made.setAttribute('aria-pressed', String(name === 'colours'));
      modes.push(made);
    }
    bar.append(...modes);
  }
  const turning = button('turn', (made) => {
    const on = made.getAttribute('aria-pressed') !== 'true';
    made.setAttribute('aria-pressed', String(on));
    viewers[0].turn(on);
  });
  turning.setAttribute('aria-pressed', 'false');
  bar.append(turning, button('as the picture was taken', () => viewers[0].reset()));
  return bar;
}

async function started(element) {
  const { model, kind, elevation, distance, fov, group } = element.dataset;
  try {
    const viewer = new Viewer(element, { elevation: +elevation, distance: +distance, fov: +fov });
    const buffer = bytesOf(document.getElementById(model).textContent);
    if (kind === 'discs') viewer.discs(buffer);
    else await viewer.glb(buffer);
    element.viewer = viewer;
    element.dataset.state = 'shown';
    return { group, viewer };
  } catch (error) {
    element.dataset.state = 'failed';
    element.textContent = `The model cannot be shown here (${error.message || error}); open its file in a glTF viewer.`;
    return null;
  }
}

// Every element with data-model="ID OF A BASE64 BLOCK" becomes a viewer; those of one data-group move together.
export async function start() {
  const groups = new Map();
  for (const made of await Promise.all([...document.querySelectorAll('[data-model]')].map(started))) {
    if (made) groups.set(made.group, [...(groups.get(made.group) || []), made.viewer]);
  }
  for (const [group, viewers] of groups) {
    for (const viewer of viewers) viewer.followers = viewers.filter((other) => other !== viewer);
    const place = document.querySelector(`[data-buttons="${group}"]`);
    if (place) place.append(buttons(viewers));
  }
  document.documentElement.dataset.viewers = 'started';
}
