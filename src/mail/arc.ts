import type { Readable } from 'node:stream';
import { type ARCSealOptions, sealMessage } from 'mailauth';
import { tameStream } from './tame.ts';

/** The gateway's own key for ARC; RSA, PEM. */
export interface ArcKey {
  readonly domain: string;
  readonly selector: string;
  readonly privateKey: string;
}

/**
 * How the ARC chain of a message stood when it came, from the Authentication-Results that we made of it: `none` or `pass`. Null:
 * it must not be sealed, since the chain is broken or nobody knows (RFC 8617 section 5.1).
 */
export function chainState(authenticationResults: string): 'none' | 'pass' | null {
  const found = /;\s*arc=([a-z]+)/.exec(authenticationResults)?.[1];
  if (found === undefined || found === 'none') return 'none';
  return found === 'pass' ? 'pass' : null;
}

/** An ARC set (RFC 8617) over a message as it goes out, its three fields with their line ends, to be put on top. */
export async function arcSet(
  message: Readable,
  key: ArcKey,
  facts: { readonly authenticationResults: string; readonly chain: 'none' | 'pass'; readonly at: Date },
): Promise<string> {
  // The two last are missing in mailauth's types; lib/arc/index.js reads them.
  const options: ARCSealOptions & { readonly authResults: string; readonly cv: string } = {
    signingDomain: key.domain,
    selector: key.selector,
    privateKey: key.privateKey,
    authResults: facts.authenticationResults,
    cv: facts.chain,
    signTime: facts.at,
  };
  const fields = await sealMessage(tameStream(message), options);
  return fields.toString('latin1');
}
