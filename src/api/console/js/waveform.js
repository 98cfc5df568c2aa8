/** audiowaveform's JSON (version 2) drawn on a canvas, what has been heard in another colour. */

/** Loads and draws it; `played` (0 to 1) is shown by `draw(played)`. */
export async function waveform(url, canvas) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error("The waveform cannot be loaded now.");
  const wave = await answer.json();
  let played = 0;
  const draw = (share = played) => {
    played = share;
    paint(canvas, wave, share);
  };
  new ResizeObserver(() => draw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  draw();
  return draw;
}

/** The loudest sample of each of `columns` stretches, 0 to 1. */
export function peaks({ data, length, bits }, columns) {
  const full = 2 ** (bits - 1);
  return Array.from({ length: columns }, (_, column) => {
    const first = Math.floor((column * length) / columns);
    const end = Math.max(first + 1, Math.floor(((column + 1) * length) / columns));
    let peak = 0;
    for (let at = 2 * first; at < 2 * Math.min(end, length); at += 1) peak = Math.max(peak, Math.abs(data[at]));
    return Math.min(1, peak / full);
  });
}

const BAR = 3;
const GAP = 1.5;

function paint(canvas, wave, played) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const brush = canvas.getContext("2d");
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  const found = peaks(wave, Math.max(1, Math.floor(width / (BAR + GAP))));
  found.forEach((peak, column) => {
    const x = column * (BAR + GAP);
    const tall = Math.max(2, peak * (height - 16));
    brush.fillStyle = x + BAR / 2 < played * width ? style.color : style.outlineColor;
    brush.beginPath();
    brush.roundRect(x, (height - tall) / 2, BAR, tall, 1.5);
    brush.fill();
  });
}
