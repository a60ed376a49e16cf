/** Asks the demo's own GraphQL API over HTTP, as a partner would. Throws with the API's own words. */
export class Api {
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
  }

  async ask<T>(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const response = await fetch(`${this.#url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#key}` },
      body: JSON.stringify({ query, variables }),
    });
    const answer = (await response.json()) as { data?: T; errors?: { message: string }[] };
    if (answer.data === undefined || answer.data === null || answer.errors !== undefined) {
      throw new Error(
        `the API answered ${response.status}: ${answer.errors?.map((error) => error.message).join('; ') ?? 'nothing'}`,
      );
    }
    return answer.data;
  }
}

export interface StatisticsAnswer {
  readonly complete: boolean;
  readonly completeThrough: string | null;
  readonly totals: {
    readonly messages: number;
    readonly deliveries: number;
    readonly refused: number;
    readonly byVerdict: readonly { readonly verdict: string; readonly deliveries: number }[];
    readonly byDisposition: readonly { readonly disposition: string; readonly deliveries: number }[];
  };
}

const STATISTICS = `query ($id: ID!, $from: Date!, $to: Date!) { client(id: $id) {
  statistics(from: $from, to: $to, granularity: DAY) { complete completeThrough
    totals { messages deliveries refused byVerdict { verdict deliveries } byDisposition { disposition deliveries } } } } }`;

export async function askStatistics(api: Api, id: string, from: string, to: string): Promise<StatisticsAnswer> {
  const answer = await api.ask<{ client: { statistics: StatisticsAnswer } }>(STATISTICS, { id, from, to });
  return answer.client.statistics;
}
