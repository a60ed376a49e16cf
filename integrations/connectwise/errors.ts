import { z } from 'zod';
import type { Meaning, Vendor } from '../http.ts';

/**
 * `{code, message, errors: [{message, field}]}` for refusals, `{error, message}` for throttling and for some gateways in
 * front (developer guide).
 */
const errorBody = z.object({
  code: z.string().nullish(),
  error: z.string().nullish(),
  message: z.string().nullish(),
  errors: z.array(z.object({ message: z.string().nullish(), field: z.string().nullish() })).nullish(),
});

/** Statuses by the developer guide: 4xx are refusals, 5xx may have been carried out. */
export const connectWiseVendor: Vendor = {
  name: 'ConnectWise',
  meaning(status): Meaning {
    if (status >= 200 && status < 300) return 'ok';
    if (status === 401) return 'unauthenticated';
    if (status === 403) return 'forbidden';
    if (status === 404) return 'not_found';
    if (status === 429) return 'throttled';
    return status >= 500 ? 'unclear' : 'rejected';
  },
  words(body) {
    const parsed = errorBody.safeParse(body);
    if (!parsed.success) return '';
    const { message, error, errors } = parsed.data;
    const details = (errors ?? []).map((entry) => entry.message ?? '').filter((text) => text !== '');
    return [message ?? error ?? '', ...details].filter((text) => text !== '').join(' ');
  },
};
