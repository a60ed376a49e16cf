import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { App } from '../app.ts';
import { localDate, monthPeriod } from '../core/period.ts';
import { sql } from '../db/sql.ts';
import type { Api } from './api.ts';
import type { Checks } from './checks.ts';
import type { Say } from './say.ts';
import type { DemoWorld } from './setup.ts';
import { waitFor } from './wait.ts';
import type { DemoClient } from './world.ts';

/** After it the check of the copies says what is missing. */
const COPY_LIMIT_MS = 30_000;

const REQUEST = `mutation ($input: RequestReportInput!) { requestReport(input: $input) {
  reportRun { id state } userErrors { code message } } }`;

/** Asks for the month's executive summary of each client, lets it be issued and attached to the company in the PSA. */
export async function issueReports(app: App, world: DemoWorld, api: Api, checks: Checks, say: Say): Promise<void> {
  say.title("5  The month's executive summary, and its copy in the PSA");
  for (const client of world.clients) {
    const { from, to } = monthPeriod(localDate(new Date(), client.zone).slice(0, 7), client.zone);
    await api.ask(REQUEST, { input: { clientId: client.id, report: 'executive-summary', from, to } });
  }
  await app.runNow('reports.sweep');
  const folder = path.join(app.config.home, 'reports');
  await mkdir(folder, { recursive: true });
  for (const client of world.clients) {
    const run = await app.store.db.tenant(world.partnerId, (tx) =>
      tx.maybe<{ content_id: string | null; state: string; complete: boolean | null; error: string | null }>(sql`
        select content_id, state, complete, error from report_runs where partner_id = ${tx.partnerId} and client_id = ${client.id}
        order by version desc limit 1`),
    );
    checks.equal(`${client.name}: report issued`, 'issued', run?.error ?? run?.state);
    if (run?.content_id == null) continue;
    const file = path.join(folder, `${client.name.toLowerCase().replaceAll(' ', '-')}.pdf`);
    await copyFile(path.join(app.reportFolder, run.content_id), file);
    say.line(`  ${file}${run.complete === true ? '' : '   (marked: the month is not over)'}`);
    // The worker's own round may have taken it up just before: then its copy comes a moment after our round has ended.
    await waitFor('the copy', COPY_LIMIT_MS, async () => documentsOf(world, client) > 0).catch(() => null);
    checks.equal(`${client.name}: documents at the company in ${client.psa}`, 1, documentsOf(world, client));
  }
}

function documentsOf(world: DemoWorld, client: DemoClient): number {
  if (client.psa === 'connectwise') {
    return [...world.connectwise.state.documents.values()].filter((one) => String(one.recordId) === client.companyId)
      .length;
  }
  return [...world.autotask.state.attachments.values()].filter((one) => String(one.parentID) === client.companyId)
    .length;
}
