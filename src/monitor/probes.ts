import type { ProbeResult, ProbeTarget, ServerProbe } from '../core/probe.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';
import { noteState } from './probe-history.ts';
import { alarmsOf, nextState, PROBE_RULES, type ProbedServer, serverName } from './probe-state.ts';

export interface ProbesDeps {
  readonly db: SystemDb;
  readonly probe: ServerProbe;
  /** Where this node stands; null: in no region. */
  readonly region: string | null;
  /** Tells delivery what the probe saw: `error` null, the server answers. */
  readonly recordHealth: (
    tx: SystemTx,
    state: {
      readonly partnerId: string;
      readonly clientId: string;
      readonly host: string;
      readonly port: number;
      readonly error: string | null;
    },
  ) => Promise<void>;
  /** Probes at once. */
  readonly concurrency?: number;
}

type Due = Omit<ProbedServer, 'certificateUntil'> & ProbeTarget & { readonly wasSilent: boolean };

const EVERY_MS = 300_000;
const BATCH = 200;

/**
 * Looks at the servers of clients that are due, each every five minutes, spread over them by name. What was seen goes to
 * `server_probes`, to delivery (a server that does not answer, and its return), and to incidents `server.failing`,
 * `server.slow` and `server.certificate`; that a server is down is told by `server.down` alone. Under a region strategy no connection is made
 * from a node, or to a server, whose region it does not name, as delivery makes none: another node looks, or nobody. Answers how many were looked at.
 */
export async function probeServers(deps: ProbesDeps): Promise<number> {
  await deps.db.system(async (tx) => {
    await forgetOld(tx);
    await learnNew(tx);
  });
  const due = await deps.db.system((tx) => claimDue(tx, deps.region));
  const left = [...due];
  const worker = async (): Promise<void> => {
    for (let server = left.shift(); server !== undefined; server = left.shift()) {
      const one = server;
      const result = await deps.probe(one);
      await deps.db.system((tx) => record(deps, tx, one, result));
    }
  };
  await Promise.all(Array.from({ length: deps.concurrency ?? 40 }, worker));
  return due.length;
}

/** Servers of new routes, their first look at some moment of the next five minutes. */
async function learnNew(tx: SystemTx): Promise<void> {
  await tx.run(sql`
    insert into server_probes (partner_id, client_id, host, port, due_at)
    select distinct r.partner_id, r.client_id, lower(r.host), r.port,
           ${tx.now}::timestamptz + (hashtext(lower(r.host) || r.port || r.client_id) & 2147483647) % ${EVERY_MS}::int * interval '1 millisecond'
    from routes r
    where r.kind = 'relay'
      and exists (select from route_strategies(r.partner_id, r.client_id, r.domain) as s
                  where s.regions is null or r.region = any(s.regions))
    on conflict (partner_id, client_id, host, port) do nothing`);
}

/** Servers that mail no longer goes to, and their incidents. */
async function forgetOld(tx: SystemTx): Promise<void> {
  const gone = await tx.rows<{ partnerId: string; clientId: string; host: string; port: number }>(sql`
    delete from server_probes p
    where not exists (select from routes r where r.partner_id = p.partner_id and r.client_id = p.client_id
                        and r.kind = 'relay' and lower(r.host) = p.host and r.port = p.port
                        and exists (select from route_strategies(r.partner_id, r.client_id, r.domain) as s
                                    where s.regions is null or r.region = any(s.regions)))
    returning p.partner_id as "partnerId", p.client_id as "clientId", p.host, p.port`);
  for (const server of gone) {
    for (const rule of PROBE_RULES) {
      const { partnerId, clientId } = server;
      const resolution = 'Mail is no longer sent to this server.';
      await resolveIncident(tx, { partnerId, clientId, rule, subject: serverName(server), resolution });
    }
  }
}

/** Takes what is due and puts it five minutes on, so that no other worker looks at it now and a crash skips one look only. */
function claimDue(tx: SystemTx, region: string | null): Promise<Due[]> {
  const next = new Date(tx.now.getTime() + EVERY_MS);
  return tx.rows<Due>(sql`
    with due as (
      select p.partner_id, p.client_id, p.host, p.port from server_probes p
      where p.due_at <= ${tx.now}
        and exists (select from routes r
                    cross join lateral route_strategies(r.partner_id, r.client_id, r.domain) as s
                    where r.partner_id = p.partner_id and r.client_id = p.client_id and r.kind = 'relay'
                      and lower(r.host) = p.host and r.port = p.port
                      and (s.regions is null or r.region = any(s.regions) and ${region}::text = any(s.regions)))
      order by p.due_at limit ${BATCH} for update skip locked),
    taken as (
      update server_probes p set due_at = ${next} from due
      where p.partner_id = due.partner_id and p.client_id = due.client_id and p.host = due.host and p.port = due.port
      returning p.*)
    select t.partner_id as "partnerId", t.client_id as "clientId", c.name as "clientName", t.host, t.port, t.state, t.since,
           t.strikes, t.silent as "wasSilent",
           (select case when bool_or(r.tls = 'required') then 'required' when bool_or(r.tls = 'opportunistic') then 'opportunistic'
                        else 'none' end
            from routes r where r.partner_id = t.partner_id and r.client_id = t.client_id and lower(r.host) = t.host
              and r.port = t.port) as tls,
           (select m.address from mailboxes m where m.partner_id = t.partner_id and m.client_id = t.client_id
              and m.status = 'active' and m.kind in ('user', 'shared') and m.created_at < ${tx.now}::timestamptz - interval '1 day'
              and exists (select from routes r where r.partner_id = t.partner_id and r.client_id = t.client_id
                            and lower(r.host) = t.host and r.port = t.port
                            and (r.domain is null or m.address like '%@' || r.domain))
            order by m.created_at, m.id limit 1) as mailbox
    from taken t
    join clients c on c.partner_id = t.partner_id and c.id = t.client_id
    order by t.host, t.port`);
}

async function record(deps: ProbesDeps, tx: SystemTx, server: Due, result: ProbeResult): Promise<void> {
  const { partnerId, clientId, host, port } = server;
  const next = nextState(server, result, tx.now);
  const written = await tx.run(sql`
    update server_probes set state = ${next.state}, since = ${next.since}, strikes = ${next.strikes},
      silent = ${result.answer === 'silent'},
      latency_ms = ${result.latencyMs}, banner = coalesce(${result.banner}, banner),
      certificate_until = coalesce(${result.certificateUntil}, certificate_until), last_error = ${result.error},
      checked_at = ${tx.now}
    where partner_id = ${partnerId} and client_id = ${clientId} and host = ${host} and port = ${port}`);
  if (written === 0) return;
  await noteState(tx, server, next.state);
  if (result.answer === 'silent') {
    await deps.recordHealth(tx, { partnerId, clientId, host, port, error: result.error ?? 'it does not answer' });
  } else if (server.wasSilent) {
    // The end of an outage that the probe saw itself: where delivery fails at what no probe does, delivery knows better.
    await deps.recordHealth(tx, { partnerId, clientId, host, port, error: null });
  }
  await tell(tx, { ...server, ...next, certificateUntil: result.certificateUntil }, result);
}

/** Opens and ends the incidents of a server. An incident that was told for this turn of things is not told again. */
async function tell(tx: SystemTx, server: ProbedServer, result: ProbeResult): Promise<void> {
  const { partnerId, clientId } = server;
  const subject = serverName(server);
  const told = await tx.rows<{ rule: string; isOpen: boolean; toldAt: Date }>(sql`
    select i.rule, bool_or(i.state = 'open') as "isOpen", max(i.last_seen_at) as "toldAt" from incidents i
    where i.partner_id = ${partnerId} and i.client_id = ${clientId} and i.subject = ${subject}
      and i.rule = any(${PROBE_RULES}::text[])
    group by i.rule`);
  for (const alarm of alarmsOf(server, result, tx.now)) {
    const known = told.find((one) => one.rule === alarm.rule);
    const key = { partnerId, clientId, rule: alarm.rule, subject };
    if (alarm.since === null) {
      if (known?.isOpen === true) await resolveIncident(tx, { ...key, resolution: alarm.text });
    } else if (known === undefined || known.toldAt < alarm.since) {
      await openIncident(tx, { ...key, severity: alarm.severity, title: alarm.title, description: alarm.text });
    }
  }
}
