import { globalId } from '../../../src/graphql/ids.ts';
import type { HttpRequest } from './load.ts';

/** The month that is asked for: the one before the end of the seed, with the end of summer time in it. */
export const MONTH = { from: '2026-10-01', to: '2026-10-31' };

const MONTH_BY_DAY = `query ($id: ID!, $from: Date!, $to: Date!) {
  client(id: $id) { statistics(from: $from, to: $to, granularity: DAY) {
    complete completeThrough
    totals { messages deliveries bytes byVerdict { verdict deliveries } byDisposition { disposition deliveries } }
    buckets { start end complete messages deliveries byVerdict { verdict deliveries } } } } }`;

/** A GraphQL request of a key. */
export function graphql(apiKey: string, query: string, variables: object): HttpRequest {
  return {
    path: '/graphql',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ query, variables }),
  };
}

export function monthByDay(apiKey: string, clientId: string): HttpRequest {
  return graphql(apiKey, MONTH_BY_DAY, { id: globalId('Client', clientId), ...MONTH });
}

/** The same question to the bare server: the answer is the same, the question is a path. */
export function bareMonth(clientId: string): HttpRequest {
  return {
    path: '/month',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: clientId, ...MONTH }),
  };
}

export function overview(apiKey: string, period: { readonly from: string; readonly to: string }): HttpRequest {
  return graphql(apiKey, OVERVIEW, period);
}

const OVERVIEW = `query ($from: Date!, $to: Date!) {
  viewer { partner { overview(from: $from, to: $to) {
    complete completeThrough
    totals { messages deliveries bytes byVerdict { verdict deliveries } }
    previous { totals { deliveries } }
    clients(orderBy: UNWANTED, first: 25) { nodes { client { id name } totals { deliveries } change } } } } } }`;

export function trace(apiKey: string, filter: object, after: string | null = null): HttpRequest {
  return graphql(apiKey, TRACE, { filter, after });
}

const TRACE = `query ($filter: DeliveryFilter, $after: String) {
  deliveries(filter: $filter, first: 25, after: $after) {
    nodes { id recipient verdict disposition acceptedAt message { sender subject } }
    pageInfo { hasNextPage endCursor } } }`;
