import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { parseStsPolicy, type StsPolicy, stsRecordId } from '../mail/mta-sts.ts';
import type { Resolver } from '../mail/resolver.ts';

export interface StsDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resolver: Resolver;
  /** The text of a domain's policy file; rejects when there is none. */
  readonly fetchPolicy: (domain: string) => Promise<string>;
}

interface KeptPolicy {
  readonly id: string;
  readonly mode: StsPolicy['mode'];
  readonly mx: readonly string[];
  readonly fetchedAt: Date;
  readonly expiresAt: Date;
}

/** What sending needs to know of a policy. */
export type LivePolicy = Pick<StsPolicy, 'mode' | 'mx'>;

const FAILURE_MS = 300_000;
const REFRESH_MS = 86_400_000;
const FORGET_MS = 7 * 86_400_000;
const FAILURES_MAX = 10_000;

/** MTA-STS policies (RFC 8461) of the domains that mail is sent to, kept in `mta_sts_policies` until their max_age ends. */
export class StsPolicies {
  readonly #deps: StsDeps;
  readonly #underWay = new Map<string, Promise<LivePolicy | null>>();
  /** When a fetch last failed, by domain and policy id: it is not asked again for five minutes. */
  readonly #failed = new Map<string, number>();

  constructor(deps: StsDeps) {
    this.#deps = deps;
  }

  /**
   * The policy that mail to a domain is under now; null: none. A policy that was fetched once holds until it expires, even
   * when its record or its file can't be had any more (section 5.1). Rejects when the database fails, and nothing else.
   */
  policyFor(domain: string): Promise<LivePolicy | null> {
    const name = domain.toLowerCase();
    const known = this.#underWay.get(name);
    if (known !== undefined) return known;
    const found = this.#find(name).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, found);
    return found;
  }

  async #find(domain: string): Promise<LivePolicy | null> {
    const { db, clock, resolver, logger } = this.#deps;
    const stored = await db.system((tx) => readPolicy(tx, domain), { readOnly: true });
    const now = clock.now();
    const kept = stored !== null && stored.expiresAt > now ? stored : null;
    let id: string | null = null;
    try {
      id = await stsRecordId(resolver, domain);
    } catch (error) {
      logger.debug({ domain, err: error }, 'the MTA-STS record could not be looked up');
    }
    if (id === null) return used(kept);
    const isFresh = kept?.id === id && now.getTime() - kept.fetchedAt.getTime() < REFRESH_MS;
    if (isFresh || this.#failedLately(`${domain} ${id}`, now)) return used(kept);
    let policy: StsPolicy;
    try {
      policy = parseStsPolicy(await this.#deps.fetchPolicy(domain));
    } catch (error) {
      this.#remember(`${domain} ${id}`, now);
      logger.info({ domain, err: error, kept: kept !== null }, 'the MTA-STS policy could not be fetched');
      return used(kept);
    }
    await db.system((tx) => keepPolicy(tx, domain, id, policy));
    return used(policy);
  }

  #failedLately(key: string, now: Date): boolean {
    const at = this.#failed.get(key);
    return at !== undefined && now.getTime() - at < FAILURE_MS;
  }

  #remember(key: string, now: Date): void {
    this.#failed.delete(key);
    this.#failed.set(key, now.getTime());
    for (const oldest of this.#failed.keys()) {
      if (this.#failed.size <= FAILURES_MAX) break;
      this.#failed.delete(oldest);
    }
  }
}

function used(policy: LivePolicy | null): LivePolicy | null {
  return policy === null || policy.mode === 'none' ? null : policy;
}

function readPolicy(tx: SystemTx, domain: string): Promise<KeptPolicy | null> {
  return tx.maybe<KeptPolicy>(sql`
    select policy_id as id, mode, mx, fetched_at as "fetchedAt", expires_at as "expiresAt"
    from mta_sts_policies where domain = ${domain}`);
}

async function keepPolicy(tx: SystemTx, domain: string, id: string, policy: StsPolicy): Promise<void> {
  const expires = new Date(tx.now.getTime() + policy.maxAge * 1000);
  await tx.run(sql`
    insert into mta_sts_policies (domain, policy_id, mode, mx, fetched_at, expires_at)
    values (${domain}, ${id}, ${policy.mode}, ${policy.mx}::text[], ${tx.now}, ${expires})
    on conflict (domain) do update set policy_id = excluded.policy_id, mode = excluded.mode, mx = excluded.mx,
      fetched_at = excluded.fetched_at, expires_at = excluded.expires_at`);
  const old = new Date(tx.now.getTime() - FORGET_MS);
  await tx.run(sql`delete from mta_sts_policies where expires_at < ${old}`);
}
