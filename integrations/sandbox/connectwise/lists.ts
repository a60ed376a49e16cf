import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Refusal } from '../server.ts';
import { ConditionError, parseConditions } from './conditions.ts';

const MAX_PAGE = 1000;
const MAX_URL = 2000;

/** A refusal in ConnectWise's shape. */
export function refuse(
  status: number,
  code: string,
  message: string,
  errors: readonly { code: string; message: string; resource: string; field: string }[] | null = null,
): Refusal {
  return new Refusal(status, { code, message, errors });
}

export const notFound = (what: string, id: unknown) => refuse(404, 'NotFound', `${what} ${String(id)} was not found.`);

/** Several things wrong with one entity. */
export function invalid(
  resource: string,
  problems: readonly { code: string; message: string; field: string }[],
): Refusal {
  return refuse(
    400,
    'InvalidObject',
    `${resource} object is invalid`,
    problems.map((problem) => ({ ...problem, resource })),
  );
}

/** Unknown fields, wrong types and over-long texts, each as ConnectWise names them. */
export function accept<T>(schema: z.ZodType<T>, body: unknown, resource: string): T {
  const parsed = schema.safeParse(body, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw invalid(
    resource,
    parsed.error.issues.map((issue) => {
      const field = issue.code === 'unrecognized_keys' ? issue.keys.join(',') : issue.path.join('/');
      if (issue.code === 'unrecognized_keys') {
        return { code: 'InvalidField', message: `The ${field} field is not known.`, field };
      }
      if (issue.code === 'too_big') {
        return {
          code: 'InvalidField',
          message: `The field ${field} must be a string with a maximum length of ${String(issue.maximum)}.`,
          field,
        };
      }
      const missing = issue.code === 'invalid_type' && issue.input === undefined;
      return missing
        ? { code: 'MissingRequiredField', message: `The ${field} field is required.`, field }
        : { code: 'InvalidField', message: `The ${field} field is not valid.`, field };
    }),
  );
}

export function idOf(request: FastifyRequest, name = 'id'): number {
  const text = (request.params as Record<string, string>)[name] ?? '';
  if (!/^\d+$/.test(text)) throw refuse(400, 'InvalidParameter', `${name} is not a number`);
  return Number(text);
}

const listQuery = z.strictObject({
  conditions: z.string().optional(),
  orderBy: z.string().optional(),
  page: z.coerce.number().int().min(1).default(1),
  pageSize: z.coerce.number().int().min(1).default(25),
  pageId: z.coerce.number().int().min(0).default(0),
  recordType: z.string().optional(),
  recordId: z.string().optional(),
});

/**
 * A list as the developer guide says: 25 a page, 1,000 at most, Link header, and with `pagination-type: forward-only` the
 * records after `pageId`.
 */
export function list(
  request: FastifyRequest,
  reply: FastifyReply,
  records: Iterable<{ id: number }>,
  fields: readonly string[],
  conditionsInBody?: string,
): unknown[] {
  if (request.url.length > MAX_URL) throw refuse(414, 'UriTooLong', 'The request URI is too long.');
  const query = accept(listQuery, request.query, 'query');
  const conditions = conditionsInBody ?? query.conditions;
  let found = [...records].sort((a, b) => a.id - b.id);
  if (conditions !== undefined) found = found.filter(parsed(conditions, fields));
  const size = Math.min(query.pageSize, MAX_PAGE);
  const forward = request.headers['pagination-type'] === 'forward-only';
  const base = `${request.protocol}://${request.host}${request.url.split('?')[0] ?? ''}`;
  if (forward) {
    if (query.orderBy !== undefined) throw refuse(400, 'InvalidParameter', 'orderBy is not allowed with forward-only');
    const rest = found.filter((record) => record.id > query.pageId);
    const page = rest.slice(0, size);
    const last = page.at(-1)?.id ?? query.pageId;
    reply.header(
      'link',
      rest.length > size
        ? `<${base}?pageSize=${size}&pageId=${last}>; rel="next"`
        : `<${base}?pageSize=${size}>; rel="first"`,
    );
    return page;
  }
  const links = [`<${base}?pageSize=${size}&page=1>; rel="first"`];
  if (found.length > query.page * size) links.unshift(`<${base}?pageSize=${size}&page=${query.page + 1}>; rel="next"`);
  reply.header('link', links.join(', '));
  return found.slice((query.page - 1) * size, query.page * size);
}

function parsed(conditions: string, fields: readonly string[]): (record: unknown) => boolean {
  try {
    return parseConditions(conditions, new Set(fields));
  } catch (error) {
    if (!(error instanceof ConditionError)) throw error;
    throw refuse(400, 'InvalidConditions', `The conditions are not valid: ${error.message}`);
  }
}

const operationSchema = z.array(
  z.strictObject({ op: z.enum(['add', 'replace', 'remove']), path: z.string().min(1), value: z.unknown() }),
);

/**
 * The operations of a PATCH, checked: a bare array, paths with or without `/` and in the right case. A path into a
 * reference (`company/identifier`) is answered with success and does nothing, as ConnectWise does.
 */
export function operations(
  body: unknown,
  resource: string,
  fields: readonly string[],
  requireCustomFields: boolean,
): Map<string, unknown> {
  if (!Array.isArray(body)) throw refuse(400, 'InvalidPatch', 'The body must be an array of operations.');
  const list = accept(operationSchema, body, resource);
  const changes = new Map<string, unknown>();
  let customFields = false;
  for (const operation of list) {
    const path = operation.path.replace(/^\//, '');
    if (path === 'customFields') customFields = true;
    else if (path.includes('/') && fields.includes(path.split('/')[0] ?? '')) continue;
    else if (!fields.includes(path)) {
      throw invalid(resource, [{ code: 'InvalidField', message: `The path ${path} is not known.`, field: path }]);
    } else changes.set(path, operation.op === 'remove' ? null : operation.value);
  }
  if (requireCustomFields && !customFields) {
    throw invalid(resource, [
      { code: 'InvalidField', message: 'The customFields field must be replaced as a whole.', field: 'customFields' },
    ]);
  }
  return changes;
}
