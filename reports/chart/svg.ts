import type { Drawing, Shape } from './drawing.ts';

const escapeXml = (text: string) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
const round = (value: number) => String(Math.round(value * 100) / 100);

/** The drawing as SVG text, with its description for screen readers. */
export function toSvg(drawing: Drawing): string {
  const size = `viewBox="0 0 ${round(drawing.width)} ${round(drawing.height)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escapeXml(drawing.alt)}">${drawing.shapes.map(shape).join('')}</svg>`;
}

function shape(one: Shape): string {
  switch (one.kind) {
    case 'rect':
      return `<rect x="${round(one.x)}" y="${round(one.y)}" width="${round(one.width)}" height="${round(one.height)}" fill="${one.fill}"/>`;
    case 'line':
      return `<line x1="${round(one.x1)}" y1="${round(one.y1)}" x2="${round(one.x2)}" y2="${round(one.y2)}" stroke="${one.stroke}" stroke-width="${one.width}"/>`;
    case 'text':
      return `<text x="${round(one.x)}" y="${round(one.y)}" font-size="${one.size}" fill="${one.fill}" text-anchor="${one.anchor}">${escapeXml(one.text)}</text>`;
  }
}
