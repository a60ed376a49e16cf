/** Sizes in points (A4 is 595 by 842), colours as `#rrggbb`. */
export const PAGE = { width: 595.28, height: 841.89, margin: 48 } as const;
export const CONTENT = PAGE.width - 2 * PAGE.margin;
export const COLORS = {
  ink: '#1f2933',
  soft: '#52606d',
  line: '#d9dee5',
  stripe: '#f5f7fa',
  warn: '#7a4b00',
  warnFill: '#fff4d6',
} as const;
export const FONT = { regular: 'regular', bold: 'bold' } as const;

function luminance(color: string): number {
  const channels = [1, 3, 5].map((at) => {
    const value = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (channels[0] ?? 0) + 0.7152 * (channels[1] ?? 0) + 0.0722 * (channels[2] ?? 0);
}

/** White or ink, whichever reads better on a partner's colour (WCAG 2.2, relative luminance). */
export function textOn(background: string): string {
  const light = luminance(background);
  const onWhite = 1.05 / (light + 0.05);
  const onInk = (light + 0.05) / (luminance(COLORS.ink) + 0.05);
  return onWhite >= onInk ? '#ffffff' : COLORS.ink;
}

/** The colour itself, or ink where it would be too pale to read on white (WCAG 2.2 contrast 3 for large text). */
export function readable(color: string): string {
  return 1.05 / (luminance(color) + 0.05) >= 3 ? color : COLORS.ink;
}
