import { isDeepStrictEqual } from 'node:util';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseFilter, querySchema, type Row, refuse } from './filter.ts';
import { type AutotaskState, FIELDS, PICKLISTS } from './state.ts';
import { accept } from './tickets.ts';

const PAGE = 500;
const LENGTHS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  Tickets: { title: 255, description: 8000, resolution: 32_000, externalID: 50 },
  TicketNotes: { title: 250, description: 32_000 },
};

/** Reading: query, its next pages, count, one record, field descriptions. */
export function queryRoutes(app: FastifyInstance, state: AutotaskState, base: () => string): void {
  const tableOf = (entity: string): Iterable<Row> => {
    const table = state.table(entity);
    if (table === null) throw refuse(`${entity} cannot be queried.`);
    return table;
  };
  const matching = (entity: string, body: unknown) => {
    const query = accept(querySchema, body, entity);
    const test = parseFilter(entity, new Set(FIELDS[entity]), query.filter);
    return { query, rows: [...tableOf(entity)].filter(test).sort((a, b) => a.id - b.id) };
  };
  // What was asked on the first page, by page token: the next pages must be asked the same.
  const asked = new Map<string, unknown>();
  const answer = (entity: string, body: unknown, after: number) => {
    const { query, rows } = matching(entity, body);
    const size = query.MaxRecords ?? PAGE;
    const rest = rows.filter((row) => row.id > after);
    const items = rest.slice(0, size);
    const last = items.at(-1)?.id ?? after;
    const token = Buffer.from(`${entity}:${last}`).toString('base64url');
    if (rest.length > size) asked.set(token, body);
    return {
      items: query.IncludeFields === undefined ? items : items.map((row) => pick(row, query.IncludeFields ?? [])),
      pageDetails: {
        count: items.length,
        requestCount: size,
        prevPageUrl: null,
        nextPageUrl: rest.length > size ? `${base()}V1.0/${entity}/query/next?paging=${token}` : null,
      },
    };
  };

  app.post('/:entity/query', (request) => answer(entityOf(request), request.body, 0));
  app.get('/:entity/query', (request) => {
    const { search } = request.query as { search?: string };
    try {
      return answer(entityOf(request), JSON.parse(search ?? ''), 0);
    } catch (error) {
      if (error instanceof SyntaxError) throw refuse('The search is not valid JSON.');
      throw error;
    }
  });
  app.post('/:entity/query/next', (request) => {
    const { paging = '' } = request.query as { paging?: string };
    const [entity, after] = Buffer.from(paging, 'base64url').toString().split(':');
    if (entity !== entityOf(request) || !asked.has(paging) || !isDeepStrictEqual(asked.get(paging), request.body)) {
      throw refuse('The page was not asked with the query that it belongs to.');
    }
    return answer(entity, request.body, Number(after));
  });
  app.post('/:entity/query/count', (request) => ({
    queryCount: matching(entityOf(request), request.body).rows.length,
  }));
  app.get('/:entity/:id', (request) => {
    const id = Number((request.params as { id: string }).id);
    return { item: [...tableOf(entityOf(request))].find((row) => row.id === id) ?? null };
  });
  app.get('/:entity/entityInformation/fields', (request) => {
    const entity = entityOf(request);
    const names = new Set([...(FIELDS[entity] ?? []), ...Object.keys(LENGTHS[entity] ?? {})]);
    return {
      fields: [...names].map((name) => {
        const values = name in PICKLISTS ? PICKLISTS[name as keyof typeof PICKLISTS] : null;
        return {
          name,
          dataType: values === null && LENGTHS[entity]?.[name] !== undefined ? 'string' : 'integer',
          length: LENGTHS[entity]?.[name] ?? 0,
          isPickList: values !== null,
          picklistValues: values,
        };
      }),
    };
  });
}

const entityOf = (request: FastifyRequest) => (request.params as { entity: string }).entity;

function pick(row: Row, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(['id', ...fields].map((field) => [field, row[field]]));
}
