import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireClient, requireOwnDomain } from './clients.ts';
import { requireRegion } from './names.ts';
import { type RouteInput, replaceRoutes } from './routes.ts';

/** Through which regions mail goes: the next one when every server of the one before is down, another one never. */
export interface Strategy {
  /** In order of preference, at least one. */
  readonly regions: readonly string[];
  /** Whether what the client sends may be handed to the recipient's own server, which has no region. */
  readonly recipientServers: boolean;
}

/** A strategy with what it is for; `domain` null: every domain of the client that has none of its own. */
export interface ClientStrategy extends Strategy {
  readonly clientId: string;
  readonly domain: string | null;
}

const REGIONS_MAX = 16;

/**
 * Sets where mail of a client goes, or of one of its domains, whose routes hide the client's; without routes the domain goes
 * the client's way again. Throws `not_found`, `invalid_input`.
 */
export async function setRoutes(
  tx: TenantTx,
  wanted: {
    readonly clientId: string;
    readonly domain: string | null;
    readonly routes: readonly RouteInput[];
    readonly actor: string;
  },
): Promise<void> {
  await requireClient(tx, wanted.clientId);
  const domain = wanted.domain === null ? null : await requireOwnDomain(tx, wanted.clientId, wanted.domain);
  const routes = await replaceRoutes(tx, wanted.clientId, wanted.routes, domain);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: wanted.actor,
    action: 'route.set',
    subject: wanted.clientId,
    details: { domain, routes },
  });
}

/** Sets the strategy of a client or of one of its domains; without regions it has none. Throws `not_found`, `invalid_input`. */
export async function setStrategy(
  tx: TenantTx,
  wanted: {
    readonly clientId: string;
    readonly domain: string | null;
    readonly regions: readonly string[];
    readonly recipientServers: boolean;
    readonly actor: string;
  },
): Promise<void> {
  const { clientId, recipientServers, actor } = wanted;
  await requireClient(tx, clientId);
  const domain = wanted.domain === null ? null : await requireOwnDomain(tx, clientId, wanted.domain);
  const regions = [...new Set(wanted.regions.map((region) => requireRegion(region, 'regions')))];
  if (regions.length > REGIONS_MAX) {
    throw new AppError('invalid_input', `at most ${REGIONS_MAX} regions`, { field: 'regions' });
  }
  await tx.run(sql`
    delete from region_strategies
    where partner_id = ${tx.partnerId} and client_id = ${clientId} and domain is not distinct from ${domain}`);
  if (regions.length > 0) {
    await tx.run(sql`
      insert into region_strategies (partner_id, client_id, id, domain, regions, recipient_servers, created_at)
      values (${tx.partnerId}, ${clientId}, ${newId()}, ${domain}, ${regions}, ${recipientServers}, ${tx.now})`);
  }
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'region.set',
    subject: clientId,
    details: { domain, regions, recipientServers },
  });
}

/** All strategies of clients, the client's own first. */
export async function listStrategies(tx: TenantTx, clientIds: readonly string[]): Promise<ClientStrategy[]> {
  return tx.rows<ClientStrategy>(sql`
    select s.client_id as "clientId", s.domain, s.regions, s.recipient_servers as "recipientServers" from region_strategies s
    where s.partner_id = ${tx.partnerId} and s.client_id = any(${[...clientIds]}::uuid[])
    order by s.domain nulls first`);
}

/** The strategy that holds for a domain of a client; null: mail may go anywhere. */
export async function strategyFor(
  tx: Tx,
  partnerId: string,
  clientId: string,
  domain: string,
): Promise<Strategy | null> {
  return tx.maybe<Strategy>(sql`
    select s.regions, s.recipient_servers as "recipientServers" from region_strategies s
    where s.partner_id = ${partnerId} and s.client_id = ${clientId} and (s.domain is null or s.domain = ${domain})
    order by s.domain nulls last limit 1`);
}
