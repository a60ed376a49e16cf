import { Tokenizer } from 'htmlparser2';

export interface TokenHandler {
  open(name: string, attributes: ReadonlyMap<string, string>): void;
  close(name: string): void;
  text(text: string): void;
}

const MAX_ATTRIBUTES = 200;
const MAX_VALUE = 8192;

/**
 * Cuts HTML into tags and text with the tokenizer of htmlparser2. Its parser is left out: it keeps the open elements at the
 * front of an array, which takes minutes for a hundred thousand unclosed tags. The first of two equal attributes counts,
 * as in browsers.
 */
export function tokenize(html: string, handler: TokenHandler): void {
  let name = '';
  let attributes = new Map<string, string>();
  let attribute = '';
  let value = '';
  const grow = (text: string) => {
    if (value.length < MAX_VALUE) value += text.slice(0, MAX_VALUE - value.length);
  };
  const finish = () => {
    handler.open(name, attributes);
    attributes = new Map();
  };
  const ignore = () => undefined;
  const tokenizer = new Tokenizer(
    { xmlMode: false, decodeEntities: true },
    {
      onopentagname: (start, end) => {
        name = html.slice(start, Math.min(end, start + 100)).toLowerCase();
      },
      onattribname: (start, end) => {
        attribute = html.slice(start, Math.min(end, start + 100)).toLowerCase();
        value = '';
      },
      onattribdata: (start, end) => grow(html.slice(start, Math.min(end, start + MAX_VALUE))),
      onattribentity: (codepoint) => grow(character(codepoint)),
      onattribend: () => {
        if (attributes.size < MAX_ATTRIBUTES && !attributes.has(attribute)) attributes.set(attribute, value);
      },
      onopentagend: finish,
      onselfclosingtag: finish,
      onclosetag: (start, end) =>
        handler.close(
          html
            .slice(start, Math.min(end, start + 100))
            .trim()
            .toLowerCase(),
        ),
      ontext: (start, end) => handler.text(html.slice(start, end)),
      ontextentity: (codepoint) => handler.text(character(codepoint)),
      oncdata: ignore,
      oncomment: ignore,
      ondeclaration: ignore,
      onprocessinginstruction: ignore,
      onend: ignore,
    },
  );
  tokenizer.write(html);
  tokenizer.end();
}

function character(codepoint: number): string {
  return codepoint >= 0 && codepoint <= 0x10ffff ? String.fromCodePoint(codepoint) : '\ufffd';
}
