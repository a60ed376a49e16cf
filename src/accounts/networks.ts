import ipaddr from 'ipaddr.js';
import { printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { SystemDb, TenantTx } from '../db/db.ts';
import { isExclusionViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireClient } from './clients.ts';
import type { Submitter } from './credentials.ts';

/** A network from which a client's servers submit without a login. */
export interface SubmissionNetwork {
  readonly id: string;
  readonly clientId: string;
  /** CIDR, `192.0.2.0/28`. */
  readonly network: string;
  readonly createdAt: Date;
}

/** The widest that may be allowed: beyond it is not one customer's network but a provider's. */
const MIN_PREFIX = { ipv4: 24, ipv6: 48 } as const;
/** Of networks that nobody else can come from: private (RFC 1918, RFC 4193), loopback. */
const MIN_PREFIX_PRIVATE = { ipv4: 20, ipv6: 48 } as const;
const PRIVATE = new Set(['private', 'uniqueLocal', 'loopback']);
const NO_NETWORK = new Set(['unspecified', 'broadcast', 'multicast']);

/** `192.0.2.7` or `192.0.2.0/28` as a CIDR without host bits. Throws `invalid_input`. */
export function parseNetwork(text: string): string {
  const fail = (why: string): never => {
    throw new AppError('invalid_input', `"${printable(text.trim(), 60)}" ${why}`, { field: 'network' });
  };
  const match = /^([0-9a-f:.]{2,45})(?:\/(\d{1,3}))?$/i.exec(text.trim());
  if (match?.[1] === undefined || !ipaddr.isValid(match[1]))
    return fail('is not an IP address or a network in CIDR form');
  const given = ipaddr.parse(match[1]);
  // Four numbers, not the "1.2" that older resolvers take for 1.0.0.2.
  if (given.kind() === 'ipv4' && !ipaddr.IPv4.isValidFourPartDecimal(match[1])) return fail('is not an IP address');
  if (given.kind() === 'ipv6' && (given as ipaddr.IPv6).isIPv4MappedAddress())
    return fail('is an IPv4 address in IPv6 form');
  const bits = given.kind() === 'ipv4' ? 32 : 128;
  const prefix = match[2] === undefined ? bits : Number(match[2]);
  if (prefix > bits) return fail(`has a prefix over ${bits}`);
  const widest = (PRIVATE.has(given.range()) ? MIN_PREFIX_PRIVATE : MIN_PREFIX)[given.kind()];
  if (prefix < widest) return fail(`is too wide: at most a /${widest} may be allowed`);
  if (NO_NETWORK.has(given.range())) return fail('is no network that mail can come from');
  const cidr = `${given.toString()}/${prefix}`;
  const network =
    given.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr);
  return `${network.toString()}/${prefix}`;
}

export interface NetworkInput {
  readonly clientId: string;
  readonly network: string;
  readonly actor: string;
}

/** Allows a network. Throws `invalid_input`, `not_found`, or `conflict` when it touches one that is allowed already, anywhere. */
export async function addNetwork(tx: TenantTx, input: NetworkInput): Promise<SubmissionNetwork> {
  const network = parseNetwork(input.network);
  await requireClient(tx, input.clientId);
  const id = newId();
  try {
    await tx.run(sql`
      insert into submission_networks (partner_id, client_id, id, network, created_at)
      values (${tx.partnerId}, ${input.clientId}, ${id}, ${network}, ${tx.now})`);
  } catch (error) {
    // Whose network it touches is not said.
    if (isExclusionViolation(error))
      throw new AppError('conflict', `${network} is in use already, or a part of it`, {
        field: 'network',
        cause: error,
      });
    throw error;
  }
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'network.allow',
    subject: network,
    details: { id, clientId: input.clientId },
  });
  return { id, clientId: input.clientId, network, createdAt: tx.now };
}

/** Throws `not_found`. */
export async function removeNetwork(tx: TenantTx, id: string, actor: string): Promise<void> {
  const row = await tx.maybe<{ network: string; clientId: string }>(sql`
    delete from submission_networks where partner_id = ${tx.partnerId} and id = ${id}
    returning network::text as network, client_id as "clientId"`);
  if (row === null) throw new AppError('not_found', 'no such network', { field: 'id' });
  const { network, clientId } = row;
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'network.remove',
    subject: network,
    details: { id, clientId },
  });
}

export function listNetworks(
  tx: TenantTx,
  clientId: string,
  page: { readonly first: number; readonly after: string | null },
): Promise<SubmissionNetwork[]> {
  return tx.rows<SubmissionNetwork>(sql`
    select n.id, n.client_id as "clientId", n.network::text as network, n.created_at as "createdAt"
    from submission_networks n
    where n.partner_id = ${tx.partnerId} and n.client_id = ${clientId}
      and (${page.after}::uuid is null or n.id > ${page.after}::uuid)
    order by n.id limit ${page.first}`);
}

export function getNetworks(tx: TenantTx, ids: readonly string[]): Promise<SubmissionNetwork[]> {
  return tx.rows<SubmissionNetwork>(sql`
    select n.id, n.client_id as "clientId", n.network::text as network, n.created_at as "createdAt"
    from submission_networks n where n.partner_id = ${tx.partnerId} and n.id = any(${[...ids]}::uuid[])`);
}

/** The client whose server connects from this address, or null. */
export async function networkSubmitter(db: SystemDb, remoteAddress: string): Promise<Submitter | null> {
  if (!ipaddr.isValid(remoteAddress)) return null;
  const address = ipaddr.process(remoteAddress).toString();
  const row = await db.system(
    (tx) =>
      tx.maybe<{ partner_id: string; client_id: string; network: string; domains: string[] }>(sql`
        select n.partner_id, n.client_id, n.network::text as network,
               array(select d.name from domains d where d.partner_id = n.partner_id and d.client_id = n.client_id
                     order by d.name) as domains
        from submission_networks n
        join clients c on c.partner_id = n.partner_id and c.id = n.client_id and c.status = 'active'
        where n.network >>= ${address}::inet`),
    { readOnly: true, perStatement: true },
  );
  if (row === null) return null;
  return {
    partnerId: row.partner_id,
    clientId: row.client_id,
    mailboxId: null,
    username: row.network,
    domains: row.domains,
    addresses: null,
    isNetwork: true,
  };
}
