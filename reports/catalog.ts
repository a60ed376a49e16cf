import { getBrand } from '../src/accounts/branding.ts';
import { AppError } from '../src/core/errors.ts';
import type { TenantTx } from '../src/db/db.ts';
import { toCsv } from './csv.ts';
import { gather, type ReportDeps, type ReportRequest } from './data.ts';
import { renderExecutive } from './executive.ts';
import { buildModel } from './model.ts';

/** Names of the reports, as they are asked for. */
export const REPORTS = ['executive-summary', 'traffic-by-day'] as const;
export type ReportName = (typeof REPORTS)[number];

export interface RenderRequest extends ReportRequest {
  readonly report: string;
  readonly format: 'pdf' | 'csv';
}

export interface Rendered {
  readonly bytes: Buffer;
  readonly complete: boolean;
  readonly completeThrough: Date | null;
  readonly contentType: string;
  readonly fileName: string;
}

/** The name of a report that exists. Throws `invalid_input`. */
export function requireReport(name: string): ReportName {
  const found = REPORTS.find((one) => one === name);
  if (found === undefined)
    throw new AppError('invalid_input', `there is no report "${name.slice(0, 60)}"; there are ${REPORTS.join(', ')}`, {
      field: 'report',
    });
  return found;
}

/** Renders a report from the rollups. Throws `invalid_input` for an unknown report or form, `not_found` for an unknown client. */
export async function renderReport(deps: ReportDeps, tx: TenantTx, request: RenderRequest): Promise<Rendered> {
  const report = requireReport(request.report);
  if (report === 'traffic-by-day' && request.format !== 'csv') {
    throw new AppError('invalid_input', 'traffic-by-day is CSV only', { field: 'format' });
  }
  const facts = await gather(deps, tx, request);
  const { complete, completeThrough } = facts.current;
  const bytes =
    request.format === 'csv' ? toCsv(facts) : await renderExecutive(buildModel(facts), await getBrand(tx), request.now);
  return {
    bytes,
    complete,
    completeThrough,
    contentType: request.format === 'csv' ? 'text/csv; charset=utf-8' : 'application/pdf',
    fileName: fileNameOf(facts.clientName, report, request),
  };
}

/** Unique per client, report, period and version: a copy in the PSA is found again by it. */
export function fileNameOf(
  clientName: string,
  report: string,
  request: Pick<RenderRequest, 'period' | 'version' | 'format'>,
): string {
  const client =
    clientName
      .normalize('NFKD')
      .replace(/[^\w]+/g, '-')
      .replace(/^-|-$/g, '')
      .toLowerCase()
      .slice(0, 40) || 'client';
  const { from, to } = request.period;
  return `${client}_${report}_${from}_${to}_v${request.version}.${request.format}`;
}
