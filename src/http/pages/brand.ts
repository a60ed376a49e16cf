import { inkOn, readableOn } from '../../digest/colors.ts';

const LIGHT = '#ffffff';
const DARK = '#171c23';

/** A partner's colour as the variables of pages.css, each readable where it is used, in the light and in the dark. */
export function brandCss(color: string): string {
  return `:root{--brand:${color};--brand-ink:${inkOn(color)};--accent:light-dark(${readableOn(color, LIGHT)},${readableOn(color, DARK)})}\n`;
}
