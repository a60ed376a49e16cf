import type { Reason, Verdict } from '../core/verdict.ts';

const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  clean: 'Nothing was found',
  bulk: 'Advertising or a newsletter',
  spam: 'Spam',
  spoof: 'The sender is not who the message says',
  phish: 'It tries to get passwords or money',
  policy: 'It holds something that your rules do not allow',
  unscannable: 'It could not be read to the end, so nobody knows what is in it',
  malware: 'It holds a harmful program',
};

/** By the first part of a machine code: `attachment.executable` is of the family `attachment`. */
const FAMILY_WORDS: Readonly<Record<string, string>> = {
  attachment: 'an attachment',
  archive: 'an archive that is attached',
  auth: 'proof of the sender',
  authentication: 'proof of the sender',
  content: 'the text',
  list: 'an allow or block list',
  link: 'a link',
  links: 'a link',
  parse: 'a part that cannot be read',
  policy: 'your rules',
  recipient: 'the recipient',
  headers: 'the header',
  trace: 'the way that it came',
};

/** What a verdict means, for people who do not run mail servers. */
export function verdictWords(verdict: Verdict): string {
  return VERDICT_WORDS[verdict];
}

/** Why a message is in quarantine, one line per reason: the detail that the pipeline gave, or else what its code is about. */
export function reasonWords(reasons: readonly Reason[]): string[] {
  const lines = reasons.map(({ code, detail }) => {
    if (detail !== '') return detail;
    const family = FAMILY_WORDS[code.slice(0, code.indexOf('.'))];
    return family === undefined ? code : `Because of ${family}`;
  });
  return [...new Set(lines)];
}
