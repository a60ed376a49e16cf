import { createHash } from 'node:crypto';
import { cleanToken, encodeWords, formatField, mailDate } from '../mail/format.ts';

export interface DigestMail {
  readonly to: string;
  readonly fromName: string;
  readonly fromAddress: string;
  readonly subject: string;
  readonly at: Date;
  /** With brackets. */
  readonly messageId: string;
  readonly listId: string;
  readonly language: string;
  readonly text: string;
  readonly html: string;
  /** Shown in the HTML part as `cid:logo`; PNG or JPEG. */
  readonly logo: Buffer | null;
}

/** Text and HTML with the logo inside: nothing is fetched from anywhere. CRLF throughout, lines of at most 76 characters. */
export function writeMail(mail: DigestMail): Buffer {
  const seed = createHash('sha256').update(mail.messageId).digest('hex').slice(0, 32);
  const fields = [
    formatField('From', `${phrase(mail.fromName)} <${cleanToken(mail.fromAddress)}>`),
    formatField('To', `<${cleanToken(mail.to)}>`),
    formatField('Subject', mail.subject),
    formatField('Date', mailDate(mail.at)),
    formatField('Message-ID', mail.messageId),
    formatField('List-Id', mail.listId),
    // RFC 3834 section 5; the second one stops absence notices of Exchange.
    formatField('Auto-Submitted', 'auto-generated'),
    formatField('X-Auto-Response-Suppress', 'All'),
    formatField('Content-Language', mail.language),
    formatField('MIME-Version', '1.0'),
  ];
  const parts = [
    leaf('text/plain; charset=utf-8', 'quoted-printable', quotedPrintable(mail.text)),
    htmlPart(mail, seed),
  ];
  const body = multipart('alternative', `=_a${seed}`, parts);
  return Buffer.from(`${fields.join('')}${body}`);
}

function htmlPart(mail: DigestMail, seed: string): string {
  const text = leaf('text/html; charset=utf-8', 'quoted-printable', quotedPrintable(mail.html));
  if (mail.logo === null) return text;
  const isPng = mail.logo[0] === 0x89;
  const lines = mail.logo.toString('base64').replace(/.{76}/g, '$&\r\n');
  const type = isPng ? 'image/png' : 'image/jpeg';
  const name = isPng ? 'logo.png' : 'logo.jpg';
  const image = leaf(
    `${type}; name="${name}"`,
    'base64',
    `${lines}\r\n`,
    `Content-ID: <logo>\r\nContent-Disposition: inline; filename="${name}"\r\n`,
  );
  return multipart('related', `=_r${seed}`, [text, image]);
}

function leaf(type: string, encoding: string, body: string, more = ''): string {
  return `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n${more}\r\n${body}`;
}

function multipart(kind: string, boundary: string, parts: readonly string[]): string {
  const written = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('');
  return `Content-Type: multipart/${kind};\r\n boundary="${boundary}"\r\n\r\n${written}--${boundary}--\r\n`;
}

/** A display name (RFC 5322 section 3.4): quoted, or as encoded words. */
function phrase(name: string): string {
  if (!/^[\x20-\x7e]*$/.test(name)) return encodeWords(name).join(' ');
  return `"${name.replace(/[\\"]/g, '\\$&')}"`;
}

/** RFC 2045 section 6.7. */
export function quotedPrintable(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => {
      let written = '';
      let length = 0;
      const bytes = Buffer.from(line);
      for (const [index, byte] of bytes.entries()) {
        const isLast = index === bytes.length - 1;
        const isPlain =
          (byte >= 0x21 && byte <= 0x7e && byte !== 0x3d) || ((byte === 0x20 || byte === 0x09) && !isLast);
        const piece = isPlain ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
        if (length + piece.length > 75) {
          written += '=\r\n';
          length = 0;
        }
        written += piece;
        length += piece.length;
      }
      return written;
    })
    .join('\r\n');
}
