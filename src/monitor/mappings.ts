import { flagMapping, type Mapping } from '../accounts/connections.ts';
import type { Logger } from '../core/log.ts';
import type { Psa, PsaCompany } from '../core/psa.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'psa.mapping';
const SUBJECT = 'company';

export interface MappingDeps {
  readonly db: SystemDb;
  readonly psaFor: (connectionId: string, partnerId: string) => Promise<Psa>;
  readonly logger: Logger;
}

type MappingRow = Mapping & { readonly partnerId: string };

/** What became of a company since a person chose it; null: nothing. */
export function mappingFault(mapping: Mapping, company: PsaCompany | null): string | null {
  if (company === null) return `The company ${mapping.companyName} is no longer in the PSA: deleted or merged.`;
  if (!company.active) return `The company ${mapping.companyName} is inactive in the PSA.`;
  if (company.name.trim() !== mapping.companyName.trim()) {
    return `The company was called ${mapping.companyName} and is called ${company.name} now.`;
  }
  return null;
}

/**
 * Looks up the company of every mapping that is in use. One that was renamed, made inactive, merged or deleted needs a
 * person's attention: until the mapping is confirmed, tickets of the client are held and its lines are not billed. A look-up
 * that fails says nothing and flags nothing. For once a night. Answers with the number of mappings that were flagged.
 */
export async function watchMappings(deps: MappingDeps): Promise<number> {
  const mappings = await deps.db.system(readMappings);
  let flagged = 0;
  const silent = new Set<string>();
  for (const mapping of mappings) {
    if (silent.has(mapping.connectionId)) continue;
    let company: PsaCompany | null;
    try {
      const psa = await deps.psaFor(mapping.connectionId, mapping.partnerId);
      company = await psa.getCompany(mapping.companyId);
    } catch (error) {
      silent.add(mapping.connectionId);
      deps.logger.warn({ connection: mapping.connectionId, err: error }, 'companies could not be looked up');
      continue;
    }
    const fault = mappingFault(mapping, company);
    if (await deps.db.system((tx) => record(tx, mapping, fault))) flagged += 1;
  }
  return flagged;
}

function readMappings(tx: SystemTx): Promise<MappingRow[]> {
  return tx.rows<MappingRow>(sql`
    select m.partner_id as "partnerId", m.client_id as "clientId", m.connection_id as "connectionId",
           m.company_id as "companyId", m.company_name as "companyName", m.state
    from psa_mappings m where m.state = 'ok' order by m.connection_id, m.client_id`);
}

/** True: the mapping was flagged. One that a person changed while we looked is left alone. */
async function record(tx: SystemTx, mapping: MappingRow, fault: string | null): Promise<boolean> {
  const { partnerId, clientId } = mapping;
  const key = { partnerId, clientId, rule: RULE, subject: SUBJECT };
  const same = await tx.maybe(sql`
    select 1 as yes from psa_mappings
    where partner_id = ${partnerId} and client_id = ${clientId} and connection_id = ${mapping.connectionId}
      and company_id = ${mapping.companyId} and company_name = ${mapping.companyName} and state = 'ok' for update`);
  if (same === null) return false;
  if (fault === null) {
    await resolveIncident(tx, { ...key, resolution: 'The mapping was confirmed.' });
    return false;
  }
  await flagMapping(tx, partnerId, clientId);
  await openIncident(tx, {
    ...key,
    severity: 'high',
    title: `The company of this client changed in the PSA: ${mapping.companyName}`,
    description: `${fault}\nUntil the mapping is confirmed its tickets are held and its lines are not billed.`,
    ticket: false,
  });
  return true;
}
