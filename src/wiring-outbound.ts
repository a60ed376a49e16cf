import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { activateDkimKey, addDkimKey, type DkimKey, getDkimKey, signingKeys } from './accounts/dkim.ts';
import type { Config } from './config/config.ts';
import type { Secrets } from './config/secrets.ts';
import { AppError } from './core/errors.ts';
import type { PartnerId } from './core/tenant.ts';
import type { SystemDb, TenantDb } from './db/db.ts';
import type { Signing } from './gateway/index.ts';
import type { OutboundCommands } from './graphql/commands.ts';
import { dkimState, dmarcAdvice, spfAdvice } from './mail/advice.ts';
import type { ArcKey } from './mail/arc.ts';
import { spfResult } from './mail/authentication.ts';
import { dkimRecord, makeDkimKey } from './mail/dkim.ts';
import { reportRecords } from './mail/report-advice.ts';
import type { Resolver } from './mail/resolver.ts';

const SPF_MS = 5_000;

/** What signing and advice are made of; part of what wiring.ts joins, and of what commands of the operator have. */
export interface OutboundParts {
  readonly config: Pick<Config, 'spfInclude' | 'reportDomain' | 'hostName' | 'arc'>;
  readonly secrets: Pick<Secrets, 'sealKey'>;
  readonly store: { readonly db: TenantDb & SystemDb };
  readonly resolver: Resolver;
}

/** Throws `config_invalid` when the ARC key can't be read. */
export async function makeSigning({ config, secrets, store }: OutboundParts): Promise<Signing> {
  return {
    keysFor: (job) =>
      store.db.system((tx) => signingKeys(tx, job, secrets.sealKey), { readOnly: true, perStatement: true }),
    arc: config.arc === null ? null : await readArcKey(config.arc),
  };
}

async function readArcKey({ domain, selector, keyFile }: NonNullable<Config['arc']>): Promise<ArcKey> {
  const fail = (why: string, cause?: unknown) => new AppError('config_invalid', `TOLLGATE_ARC_KEY ${why}`, { cause });
  const privateKey = await readFile(keyFile, 'utf8').catch((cause: unknown) => {
    throw fail("can't be read", cause);
  });
  const bits = (() => {
    try {
      const key = createPrivateKey(privateKey);
      return key.asymmetricKeyType === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 0;
    } catch (cause) {
      throw fail('is no private key in PEM form', cause);
    }
  })();
  if (bits < 2048) throw fail('is no RSA key of 2048 bits or more');
  return { domain, selector, privateKey };
}

/** The commands of the API, and of the command line, that need keys, the resolver or the operator's settings. */
export function outboundCommands({ config, secrets, store, resolver }: OutboundParts): OutboundCommands {
  return {
    spfAdvice: (domain) => spfAdvice(resolver, domain, config.spfInclude),
    dmarcAdvice: (domain) => dmarcAdvice(resolver, domain),
    reportRecords: async (domain, token) =>
      config.reportDomain === null ? null : reportRecords(resolver, domain, `${token}@${config.reportDomain}`),
    async spfAllows(domain, ip) {
      const of = domain ?? config.spfInclude;
      if (of === null) return null;
      const who = { ip, helo: of, sender: `postmaster@${of}`, mta: config.hostName };
      const result = await spfResult(who, resolver, SPF_MS);
      return result === 'temperror' ? null : result === 'pass';
    },
    dkimState: (key) => dkimState(resolver, key),
    dkimRecord: (key) => dkimRecord(key.algorithm, key.publicKey),
    async createDkimKey(tx, wanted, actor) {
      return addDkimKey(tx, { ...wanted, ...(await makeDkimKey(wanted.algorithm)), actor }, secrets.sealKey);
    },
    async activateDkimKey({ partnerId, actor }, id, isForced) {
      // The name servers are asked before the transaction, which must not wait for them.
      const key = await store.db.tenant(partnerId, (tx) => getDkimKey(tx, id), { readOnly: true });
      if (!isForced) await requirePublished(resolver, key);
      return store.db.tenant(partnerId as PartnerId, (tx) => activateDkimKey(tx, id, actor, isForced));
    },
  };
}

async function requirePublished(resolver: Resolver, key: DkimKey): Promise<void> {
  const name = `${key.selector}._domainkey.${key.domain}`;
  const state = await dkimState(resolver, key);
  if (state === 'unavailable') throw new AppError('unavailable', `the name servers of ${name} did not answer`);
  if (state === 'missing') throw new AppError('conflict', `there is no TXT record at ${name} yet`, { field: 'id' });
  if (state === 'different')
    throw new AppError('conflict', `the TXT record at ${name} is not this key's`, { field: 'id' });
}
