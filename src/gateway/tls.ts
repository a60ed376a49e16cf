import type { TLSSocket } from 'node:tls';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';

/** Why a connection was or had to be encrypted. */
export type TlsPolicy = 'none' | 'opportunistic' | 'required' | 'mta-sts enforce' | 'mta-sts testing';

/** What became of TLS with one server. */
export interface TlsResult {
  /** `TLSv1.3`; null: not encrypted. */
  readonly tlsVersion: string | null;
  readonly tlsCipher: string | null;
  /** The certificate is valid for the name of the host, under an authority that we know. */
  readonly tlsVerified: boolean;
  readonly tlsPolicy: TlsPolicy;
}

/** TLS was asked for and did not come about: refused, broken off, or with a certificate that does not hold. */
export class TlsFailure extends Error {
  override readonly name = 'TlsFailure';
}

export function plainResult(tlsPolicy: TlsPolicy): TlsResult {
  return { tlsVersion: null, tlsCipher: null, tlsVerified: false, tlsPolicy };
}

/** `verified` false: the name that the certificate was checked for is not one that the policy knows. */
export function tlsResultOf(socket: TLSSocket, tlsPolicy: TlsPolicy, verified = true): TlsResult {
  return {
    tlsVersion: socket.getProtocol(),
    tlsCipher: socket.getCipher().name,
    tlsVerified: socket.authorized && verified,
    tlsPolicy,
  };
}

/** What nodemailer keeps of a connection and its types do not tell. */
interface Inside {
  readonly _socket?: unknown;
  readonly secure?: boolean;
  readonly upgrading?: boolean;
  readonly lastServerResponse?: string | false;
}

export function connectionTls(connection: SMTPConnection, policy: TlsPolicy, verified: boolean): TlsResult {
  const inside = connection as unknown as Inside;
  if (inside.secure !== true) return plainResult(policy);
  return tlsResultOf(inside._socket as TLSSocket, policy, verified);
}

/** Whether a connection that failed did so between STARTTLS and the end of the handshake. */
export function failedInTls(connection: SMTPConnection, error: { code?: string }): boolean {
  return (connection as unknown as Inside).upgrading === true || error.code === 'ETLS';
}

/** Whether the server let us in before the connection failed: it is up, whatever it did then. */
export function wasGreeted(connection: SMTPConnection): boolean {
  const last = (connection as unknown as Inside).lastServerResponse;
  return typeof last === 'string' && /^[23]/.test(last);
}
