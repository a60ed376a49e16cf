import { z } from 'zod';
import type { Priority } from '../settings.ts';
import type { AutotaskClient } from './client.ts';

/** UTF-16 units where the tenant's own field description gives none (New-AtwsTicket metadata, 2023). */
export const LENGTHS: Readonly<Record<string, number>> = {
  'Tickets.title': 255,
  'Tickets.description': 8000,
  'Tickets.resolution': 32_000,
  'Tickets.externalID': 50,
  'TicketNotes.title': 250,
  'TicketNotes.description': 32_000,
  'Companies.companyName': 100,
};

/** Complete is a system status with the same id everywhere (AutotaskDevelopment/REST-Postman). */
export const COMPLETE = 5;

const fieldsSchema = z.object({
  fields: z.array(
    z.object({
      name: z.string(),
      length: z.number().nullish(),
      picklistValues: z
        .array(
          z.object({
            value: z.string(),
            label: z.string(),
            isActive: z.boolean(),
            isDefaultValue: z.boolean().nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});

interface PicklistValue {
  readonly id: number;
  readonly label: string;
  readonly isDefault: boolean;
}

/** One entity's fields as this tenant has them: lengths, and picklists whose ids differ from MSP to MSP. */
export class FieldMap {
  readonly #entity: string;
  readonly #fields: ReadonlyMap<string, z.infer<typeof fieldsSchema>['fields'][number]>;

  constructor(entity: string, fields: z.infer<typeof fieldsSchema>['fields']) {
    this.#entity = entity;
    this.#fields = new Map(fields.map((field) => [field.name.toLowerCase(), field]));
  }

  length(field: string): number {
    const told = this.#fields.get(field.toLowerCase())?.length ?? 0;
    return told > 0 ? told : (LENGTHS[`${this.#entity}.${field}`] ?? 50);
  }

  /** Active values only. A picklist's `value` is a text, the entity's field a number. */
  picklist(field: string): PicklistValue[] {
    return (this.#fields.get(field.toLowerCase())?.picklistValues ?? [])
      .filter((entry) => entry.isActive && /^\d+$/.test(entry.value))
      .map((entry) => ({ id: Number(entry.value), label: entry.label, isDefault: entry.isDefaultValue === true }));
  }

  defaultOf(field: string): number | null {
    return this.picklist(field).find((entry) => entry.isDefault)?.id ?? null;
  }
}

const HOUR_MS = 3_600_000;

/** Reads field descriptions when they are needed and keeps them for an hour. */
export class FieldMaps {
  readonly #client: AutotaskClient;
  readonly #known = new Map<string, { map: Promise<FieldMap>; until: number }>();

  constructor(client: AutotaskClient) {
    this.#client = client;
  }

  of(entity: 'Tickets' | 'TicketNotes'): Promise<FieldMap> {
    const now = this.#client.deps.clock.now().getTime();
    const known = this.#known.get(entity);
    if (known !== undefined && known.until > now) return known.map;
    const map = this.#client
      .describe(`/${entity}/entityInformation/fields`, fieldsSchema)
      .then(({ fields }) => new FieldMap(entity, fields))
      .catch((error: unknown) => {
        this.#known.delete(entity);
        throw error;
      });
    this.#known.set(entity, { map, until: now + HOUR_MS });
    return map;
  }
}

const WORDS: Readonly<Record<Priority, RegExp>> = {
  critical: /\b(critical|emergency)\b/i,
  high: /\bhigh\b/i,
  normal: /\b(medium|normal)\b/i,
  low: /\blow\b/i,
};

/** Hours until a ticket is due; Autotask asks for a date unless the ticket category supplies one. */
export const DUE_HOURS: Readonly<Record<Priority, number>> = { critical: 4, high: 8, normal: 24, low: 72 };

/** The operator's choice, else the value whose label says it, else the tenant's default; null: Autotask will refuse. */
export function priorityOf(client: AutotaskClient, fields: FieldMap, priority: Priority): number | null {
  const chosen = client.settings.priorities?.[priority];
  if (chosen !== undefined) return chosen;
  const named = fields.picklist('priority').filter((entry) => WORDS[priority].test(entry.label));
  return (named.length === 1 ? named[0]?.id : null) ?? fields.defaultOf('priority');
}
