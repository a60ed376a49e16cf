import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

export interface Counters {
  ham: number;
  spam: number;
  unknown: number;
  authFailures: number;
  protocolErrors: number;
}

/** A network's row: counts as of `updatedAt`, recipients since `windowAt`. */
export interface NetworkRow extends Readonly<Counters> {
  readonly network: string;
  readonly updatedAt: Date;
  readonly windowAt: Date;
  readonly windowKnown: number;
  readonly windowUnknown: number;
}

export interface NetworkDelta extends Readonly<Counters> {
  readonly network: string;
  readonly known: number;
  readonly windowUnknown: number;
  readonly windowAt: Date;
}

export interface HarvestRow {
  readonly partnerId: string;
  readonly clientId: string;
  readonly domain: string;
  readonly network: string;
  readonly windowAt: Date;
  readonly unknown: number;
}

export function readNetwork(tx: SystemTx, network: string): Promise<NetworkRow | null> {
  return tx.maybe<NetworkRow>(sql`
    select network, ham, spam, unknown, auth_failures as "authFailures", protocol_errors as "protocolErrors",
           updated_at as "updatedAt", window_at as "windowAt", window_known as "windowKnown", window_unknown as "windowUnknown"
    from network_reputation where network = ${network}`);
}

/** Adds to what is there, older counts halved for every `halfLifeMs`; answers the sums. In one order on all nodes. */
export function addNetworks(tx: SystemTx, deltas: readonly NetworkDelta[], halfLifeMs: number): Promise<NetworkRow[]> {
  if (deltas.length === 0) return Promise.resolve([]);
  const pick = <T>(value: (one: NetworkDelta) => T) => deltas.map(value);
  return tx.rows<NetworkRow>(sql`
    insert into network_reputation as r (network, ham, spam, unknown, auth_failures, protocol_errors, updated_at, window_at,
                                         window_known, window_unknown)
    select d.network, d.ham, d.spam, d.unknown, d.auth_failures, d.protocol_errors, ${tx.now}, d.window_at, d.known,
           d.window_unknown
    from unnest(${pick((one) => one.network)}::text[], ${pick((one) => one.ham)}::float8[], ${pick((one) => one.spam)}::float8[],
                ${pick((one) => one.unknown)}::float8[], ${pick((one) => one.authFailures)}::float8[],
                ${pick((one) => one.protocolErrors)}::float8[], ${pick((one) => one.windowAt)}::timestamptz[],
                ${pick((one) => one.known)}::int[], ${pick((one) => one.windowUnknown)}::int[])
      as d (network, ham, spam, unknown, auth_failures, protocol_errors, window_at, known, window_unknown)
    order by d.network
    on conflict (network) do update set
      ham = r.ham * halved(r.updated_at, excluded.updated_at, ${halfLifeMs}) + excluded.ham,
      spam = r.spam * halved(r.updated_at, excluded.updated_at, ${halfLifeMs}) + excluded.spam,
      unknown = r.unknown * halved(r.updated_at, excluded.updated_at, ${halfLifeMs}) + excluded.unknown,
      auth_failures = r.auth_failures * halved(r.updated_at, excluded.updated_at, ${halfLifeMs}) + excluded.auth_failures,
      protocol_errors = r.protocol_errors * halved(r.updated_at, excluded.updated_at, ${halfLifeMs}) + excluded.protocol_errors,
      updated_at = greatest(r.updated_at, excluded.updated_at),
      window_known = case when r.window_at = excluded.window_at then r.window_known + excluded.window_known
                          when r.window_at > excluded.window_at then r.window_known else excluded.window_known end,
      window_unknown = case when r.window_at = excluded.window_at then r.window_unknown + excluded.window_unknown
                            when r.window_at > excluded.window_at then r.window_unknown else excluded.window_unknown end,
      window_at = greatest(r.window_at, excluded.window_at)
    returning r.network, r.ham, r.spam, r.unknown, r.auth_failures as "authFailures", r.protocol_errors as "protocolErrors",
              r.updated_at as "updatedAt", r.window_at as "windowAt", r.window_known as "windowKnown",
              r.window_unknown as "windowUnknown"`);
}

/** Adds unknown recipients of clients' domains; those of clients that are gone fall away. */
export async function addHarvest(tx: SystemTx, rows: readonly HarvestRow[]): Promise<void> {
  if (rows.length === 0) return;
  const pick = <T>(value: (one: HarvestRow) => T) => rows.map(value);
  await tx.run(sql`
    insert into harvest_windows as h (partner_id, client_id, domain, network, window_at, unknown)
    select n.partner_id, n.client_id, n.domain, n.network, n.window_at, n.unknown
    from unnest(${pick((one) => one.partnerId)}::uuid[], ${pick((one) => one.clientId)}::uuid[], ${pick((one) => one.domain)}::text[],
                ${pick((one) => one.network)}::text[], ${pick((one) => one.windowAt)}::timestamptz[],
                ${pick((one) => one.unknown)}::int[])
      as n (partner_id, client_id, domain, network, window_at, unknown)
    join clients c on c.partner_id = n.partner_id and c.id = n.client_id
    order by 1, 2, 3, 4, 5
    on conflict (partner_id, client_id, domain, network, window_at) do update set unknown = h.unknown + excluded.unknown`);
}
