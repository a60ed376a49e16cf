import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'directory.harvest';
/** Unknown recipients of one domain from one network in a window of ten minutes that are an incident. */
const HARVESTED = 20;
const QUIET_MS = 6 * 3_600_000;

interface Harvested {
  readonly partnerId: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly domain: string;
  readonly network: string;
  readonly unknown: number;
}

/**
 * Opens an incident `directory.harvest` for each domain whose addresses somebody tries, and ends it when that was long ago.
 * Answers with the number of incidents that were opened or ended.
 */
export async function watchHarvest(db: SystemDb): Promise<number> {
  return db.system(async (tx) => {
    let changes = 0;
    for (const one of await readHarvested(tx)) {
      const { opened } = await openIncident(tx, {
        partnerId: one.partnerId,
        clientId: one.clientId,
        rule: RULE,
        subject: one.domain,
        severity: 'normal',
        title: `Addresses of ${one.clientName} are being tried out: ${one.domain}`,
        description: describe(one),
      });
      if (opened) changes += 1;
    }
    for (const one of await readQuiet(tx)) {
      await resolveIncident(tx, {
        ...one,
        rule: RULE,
        resolution: 'No network tries addresses of the domain any more.',
      });
      changes += 1;
    }
    return changes;
  });
}

function describe({ network, unknown, domain }: Harvested): string {
  return [
    `The network ${network} tried ${unknown} addresses of ${domain} within ten minutes that do not exist.`,
    'Its answers are slowed down and then deferred, whether an address exists or not. No mail was accepted for them.',
    'If the network is a sender that you know, put it on the allow list of the partner.',
  ].join('\n');
}

/** The worst network of each domain in a recent window; those that are told of already are left out. */
function readHarvested(tx: SystemTx): Promise<Harvested[]> {
  const recent = new Date(tx.now.getTime() - QUIET_MS);
  return tx.rows<Harvested>(sql`
    select distinct on (h.partner_id, h.client_id, h.domain) h.partner_id as "partnerId", h.client_id as "clientId",
           c.name as "clientName", h.domain, h.network, h.unknown
    from harvest_windows h
    join clients c on c.partner_id = h.partner_id and c.id = h.client_id
    where h.window_at > ${recent} and h.unknown >= ${HARVESTED}
      and not exists (select from incidents i where i.partner_id = h.partner_id and i.client_id = h.client_id
                        and i.rule = ${RULE} and i.subject = h.domain and (i.state = 'open' or i.last_seen_at >= h.window_at))
    order by h.partner_id, h.client_id, h.domain, h.unknown desc`);
}

/** Open incidents whose domain has been left alone. */
function readQuiet(tx: SystemTx): Promise<{ partnerId: string; clientId: string; subject: string }[]> {
  const recent = new Date(tx.now.getTime() - QUIET_MS);
  return tx.rows(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject from incidents i
    where i.rule = ${RULE} and i.state = 'open'
      and not exists (select from harvest_windows h where h.partner_id = i.partner_id and h.client_id = i.client_id
                        and h.domain = i.subject and h.window_at > ${recent} and h.unknown >= ${HARVESTED})`);
}
