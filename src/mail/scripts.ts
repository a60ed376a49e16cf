/**
 * Text files that run something when they are opened, by what they begin with. Each mark is one that its program asks for,
 * at the place where it asks for it: a text that speaks of `[InternetShortcut]` further down is a text.
 */
const MARKS: readonly { readonly type: string; readonly begins: RegExp }[] = [
  {
    type: 'application/x-mswinurl',
    begins: /^\[(?:InternetShortcut|DEFAULT)\](?:[^\0]{0,2000}?\n)?\s*(?:BASE)?URL\s*=/i,
  },
  { type: 'application/x-windows-library', begins: /^(?:<\?xml[^>]*>\s*)?<libraryDescription[\s>]/i },
  { type: 'application/x-windows-search', begins: /^(?:<\?xml[^>]*>\s*)?<persistedQuery[\s>]/i },
  { type: 'application/x-windows-setting', begins: /^(?:<\?xml[^>]*>\s*)?<PCSettings[\s>]/i },
  {
    type: 'application/x-windows-script',
    begins: /^(?:<\?xml[^>]*>\s*)?(?:<package>\s*)?<job[\s>][^\0]{0,4000}<script/i,
  },
  {
    type: 'application/x-windows-script',
    begins: /^(?:<\?xml[^>]*>\s*)?(?:<package>\s*)?<(?:scriptlet|component)[\s>]/i,
  },
  {
    type: 'application/hta',
    begins: /^(?:<!doctype[^>]*>\s*)?(?:<(?:html|head|meta|title)[^>]*>[^<]{0,200}){0,6}<hta:application[\s>/]/i,
  },
  {
    type: 'application/x-ms-application-reference',
    begins: /^(?:https?|file):[^\r\n]{1,500}\.application#[^\r\n]{0,300}Culture=/i,
  },
  { type: 'application/x-excel-query', begins: /^WEB\r?\n1\r?\nhttps?:/i },
  { type: 'application/x-sylk', begins: /^ID;P[^\r\n]{0,80}\r?\n(?:[A-Z]{1,2};|O;|P;)/ },
  { type: 'application/x-bat', begins: /^@echo off\s*(?:\r?\n|&)/i },
  { type: 'application/x-windows-registry', begins: /^(?:Windows Registry Editor Version 5\.00|REGEDIT4)\s*\r?\n/ },
  { type: 'application/x-windows-inf', begins: /^\[Version\]\s*\r?\n\s*Signature\s*=\s*"?\$(?:CHICAGO|Windows NT)\$/i },
  { type: 'application/x-java-jnlp-file', begins: /^(?:<\?xml[^>]*>\s*)?<jnlp[\s>]/i },
  { type: 'application/x-vbscript-encoded', begins: /^#@~\^[A-Za-z0-9+/]{6}==/ },
];

export const SCRIPT_TYPES: readonly string[] = [...new Set(MARKS.map((mark) => mark.type))];

const HEAD = 8192;

/** The type of a script or shortcut in text; null when the content does not begin as one. Of constant cost. */
export function sniffScript(content: Buffer): string | null {
  const text = head(content);
  return MARKS.find((mark) => mark.begins.test(text))?.type ?? null;
}

/** The beginning as text, also from UTF-16, without byte order mark and leading white space. */
function head(content: Buffer): string {
  const little = (content[0] === 0xff && content[1] === 0xfe) || (content[1] === 0 && (content[0] ?? 0) >= 0x20);
  const text = little ? content.toString('utf16le', 0, HEAD) : content.toString('latin1', 0, HEAD);
  return text.replace(/^(?:\ufeff|\u00ef\u00bb\u00bf)/, '').trimStart();
}
