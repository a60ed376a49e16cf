import { z } from 'zod';
import type { Meaning, Vendor } from '../http.ts';

/** `{"errors": [...]}`; an item is a text or an object with a message (both seen in the field). */
const errorBody = z.object({
  errors: z.array(z.union([z.string(), z.object({ message: z.string().nullish() })])),
});

const THREADS = /Itgenatr005|thread threshold exceeded/i;
const RIGHTS = /does not have the adequate permissions/i;

function texts(body: unknown): string[] {
  const parsed = errorBody.safeParse(body);
  if (!parsed.success) return [];
  return parsed.data.errors
    .map((entry) => (typeof entry === 'string' ? entry : (entry.message ?? '')))
    .filter((text) => text !== '');
}

/**
 * Autotask answers a broken business rule with 500 and its reasons in `errors` (developer help, REST updating data):
 * final. A 500 without reasons and 502 to 504 may have been carried out. The thread limit comes as 429 or in words.
 */
export const autotaskVendor: Vendor = {
  name: 'Autotask',
  meaning(status, body): Meaning {
    const words = texts(body);
    if (status >= 200 && status < 300) return 'ok';
    if (status === 429 || words.some((text) => THREADS.test(text))) return 'throttled';
    if (status === 401) return 'unauthenticated';
    if (status === 403 || words.some((text) => RIGHTS.test(text))) return 'forbidden';
    if (status === 404) return 'not_found';
    if (status === 500 && words.length > 0) return 'rejected';
    return status >= 500 ? 'unclear' : 'rejected';
  },
  words: (body) => texts(body).join(' '),
};

/** The zone look-up answers an unknown user with 500 and nothing else (django-autotask). */
export const zoneVendor: Vendor = {
  name: 'Autotask zone look-up',
  meaning: (status, body) => (status === 500 ? 'unauthenticated' : autotaskVendor.meaning(status, body)),
  words: (body) => autotaskVendor.words(body) || 'the user is not known in any zone',
};
