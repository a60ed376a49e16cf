import { AppError } from '../core/errors.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** How a partner's reports look. */
export interface Brand {
  readonly partnerName: string;
  /** `#rrggbb` */
  readonly primaryColor: string;
  readonly accentColor: string;
  /** PNG or JPEG. */
  readonly logo: Buffer | null;
}

const DEFAULT_COLORS = { primaryColor: '#1f3a5f', accentColor: '#2a9d8f' };
const COLOR = /^#[0-9a-f]{6}$/i;
const LOGO_MAX = 1_000_000;

export async function getBrand(tx: TenantTx): Promise<Brand> {
  const row = await tx.maybe<{ name: string; brand: Partial<typeof DEFAULT_COLORS>; logo: Buffer | null }>(sql`
    select name, brand, logo from partners where id = ${tx.partnerId}`);
  if (row === null) throw new AppError('not_found', 'no such partner');
  return { partnerName: row.name, ...DEFAULT_COLORS, ...row.brand, logo: row.logo };
}

/** Throws `invalid_input` for a colour that is not `#rrggbb` or a logo that is neither PNG nor JPEG or too large. */
export async function setBrand(
  tx: TenantTx,
  brand: { primaryColor?: string; accentColor?: string; logo?: Buffer | null },
): Promise<void> {
  const colors: Partial<typeof DEFAULT_COLORS> = {};
  for (const field of ['primaryColor', 'accentColor'] as const) {
    const color = brand[field];
    if (color === undefined) continue;
    if (!COLOR.test(color)) throw new AppError('invalid_input', 'a colour is #rrggbb', { field });
    colors[field] = color.toLowerCase();
  }
  const logo = brand.logo;
  if (logo !== undefined && logo !== null && !isPicture(logo)) {
    throw new AppError('invalid_input', 'a logo is a PNG or JPEG of at most 1 MB', { field: 'logo' });
  }
  await tx.run(sql`
    update partners set brand = brand || ${JSON.stringify(colors)}::jsonb,
      logo = case when ${logo !== undefined} then ${logo ?? null}::bytea else logo end
    where id = ${tx.partnerId}`);
}

function isPicture(bytes: Buffer): boolean {
  const isPng = bytes.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'));
  const isJpeg = bytes.subarray(0, 3).equals(Buffer.from('ffd8ff', 'hex'));
  return bytes.length <= LOGO_MAX && (isPng || isJpeg);
}
