import { tokenize } from './tokens.ts';
import type { Link } from './types.ts';

export interface HtmlFacts {
  readonly text: string;
  readonly hiddenText: string;
  readonly links: readonly Link[];
  readonly images: readonly { readonly src: string }[];
  readonly hasForm: boolean;
  /** The input was longer than the bound, or nested deeper; what follows was not looked at. */
  readonly truncated: boolean;
}

export interface HtmlLimits {
  readonly input: number;
  readonly text: number;
  readonly links: number;
  readonly images: number;
  readonly depth: number;
}

const LIMITS: HtmlLimits = { input: 1_048_576, text: 262_144, links: 2000, images: 2000, depth: 512 };
const HREF_MAX = 2048;
const LINK_TEXT_MAX = 512;

const SILENT = new Set(['script', 'style', 'head', 'title', 'noscript', 'template', 'iframe']);
const IN_HEAD = new Set(['meta', 'link', 'title', 'base', 'style', 'script', 'noscript', 'template']);
/** Elements that the next of their kind closes, so that their end tags are often left out. */
const IMPLIED = new Set(['p', 'li', 'dt', 'dd', 'option', 'tr', 'td', 'th']);
const BLOCK = new Set(
  'address article aside blockquote br center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table tbody td tfoot th thead tr ul'.split(
    ' ',
  ),
);
const VOID = new Set('area base br col embed hr img input link meta param source track wbr'.split(' '));

/**
 * What a reader of the HTML sees, and what he does not: text under display:none, of size zero, or in the colour of its
 * background. One pass over at most 1 MiB. Elements are closed by name through a count, and nesting is bounded, since
 * unclosed tags by the ten thousand make other converters take minutes.
 */
export function readHtml(html: string, limits: HtmlLimits = LIMITS): HtmlFacts {
  const reader = new HtmlReader(limits);
  return reader.read(html);
}

interface Open {
  readonly name: string;
  readonly hidden: boolean;
  readonly silent: boolean;
  readonly color: string;
  readonly background: string;
}

const ROOT: Open = { name: '', hidden: false, silent: false, color: '', background: '#ffffff' };

class HtmlReader {
  readonly #limits: HtmlLimits;
  readonly #stack: Open[] = [];
  readonly #counts = new Map<string, number>();
  readonly #text: string[] = [];
  readonly #hidden: string[] = [];
  #textLength = 0;
  #hiddenLength = 0;
  readonly #links: { href: string; text: string }[] = [];
  readonly #images: { src: string }[] = [];
  #hasForm = false;
  #truncated = false;
  #link: { href: string; text: string } | null = null;

  constructor(limits: HtmlLimits) {
    this.#limits = limits;
  }

  read(html: string): HtmlFacts {
    const input = html.slice(0, this.#limits.input);
    if (html.length > input.length) this.#truncated = true;
    tokenize(input, {
      open: (name, attributes) => this.#openTag(name, attributes),
      close: (name) => this.#closeTag(name),
      text: (text) => this.#onText(text),
    });
    return {
      text: tidy(this.#text.join('')),
      hiddenText: tidy(this.#hidden.join('')),
      links: this.#links.map((link) => ({ href: link.href, text: tidy(link.text) })),
      images: this.#images,
      hasForm: this.#hasForm,
      truncated: this.#truncated,
    };
  }

  #openTag(name: string, attributes: ReadonlyMap<string, string>): void {
    this.#closeImplied(name);
    if (BLOCK.has(name)) this.#append('\n');
    if (name === 'a' || name === 'area') this.#openLink(attributes.get('href') ?? '');
    if (name === 'img' || name === 'input') {
      const src = attributes.get('src');
      if (src !== undefined && src !== '' && this.#images.length < this.#limits.images) {
        this.#images.push({ src: src.trim().slice(0, HREF_MAX) });
      }
      const alt = attributes.get('alt');
      if (this.#link !== null && alt !== undefined) this.#addLinkText(` ${alt} `);
    }
    if (name === 'form' || (name === 'input' && /^(?:password|text|email|tel)?$/i.test(attributes.get('type') ?? ''))) {
      this.#hasForm = true;
      const action = attributes.get('action');
      if (action !== undefined && action.trim() !== '')
        this.#addLink({ href: action.trim().slice(0, HREF_MAX), text: '' });
    }
    if (VOID.has(name)) return;
    if (this.#stack.length >= this.#limits.depth) {
      this.#truncated = true;
      return;
    }
    this.#stack.push(entered(name, attributes, this.#stack.at(-1) ?? ROOT));
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  #closeImplied(name: string): void {
    const top = this.#stack.at(-1)?.name ?? '';
    const ends =
      (IMPLIED.has(name) && top === name) || (top === 'p' && BLOCK.has(name)) || (top === 'head' && !IN_HEAD.has(name));
    if (ends) this.#pop();
  }

  #pop(): Open | undefined {
    const open = this.#stack.pop();
    if (open !== undefined) this.#counts.set(open.name, (this.#counts.get(open.name) ?? 1) - 1);
    return open;
  }

  #closeTag(name: string): void {
    if (BLOCK.has(name) && name !== 'br') this.#append('\n');
    if (name === 'a') this.#link = null;
    if ((this.#counts.get(name) ?? 0) === 0) return;
    for (let open = this.#pop(); open !== undefined && open.name !== name; ) open = this.#pop();
  }

  #openLink(href: string): void {
    const link = { href: href.trim().slice(0, HREF_MAX), text: '' };
    this.#link = null;
    if (link.href === '') return;
    if (this.#addLink(link)) this.#link = link;
  }

  #addLink(link: { href: string; text: string }): boolean {
    if (this.#links.length >= this.#limits.links) {
      this.#truncated = true;
      return false;
    }
    this.#links.push(link);
    return true;
  }

  #addLinkText(text: string): void {
    if (this.#link !== null && this.#link.text.length < LINK_TEXT_MAX) {
      this.#link.text += text.slice(0, LINK_TEXT_MAX - this.#link.text.length);
    }
  }

  #onText(text: string): void {
    const top = this.#stack.at(-1) ?? ROOT;
    if (top.silent) return;
    if (top.hidden || (top.color !== '' && top.color === top.background)) {
      if (this.#hiddenLength < this.#limits.text)
        this.#hidden.push(text.slice(0, this.#limits.text - this.#hiddenLength));
      this.#hiddenLength += text.length;
      return;
    }
    this.#append(text);
    this.#addLinkText(text);
  }

  #append(text: string): void {
    if (this.#textLength >= this.#limits.text) {
      this.#truncated = true;
      return;
    }
    this.#text.push(text.slice(0, this.#limits.text - this.#textLength));
    this.#textLength += text.length;
  }
}

function entered(name: string, attributes: ReadonlyMap<string, string>, above: Open): Open {
  const style = (attributes.get('style') ?? '')
    .slice(0, 2000)
    .toLowerCase()
    .replace(/\s+/g, '')
    .replace(/\/\*.*?\*\//g, '');
  const color = colorOf(declaration(style, 'color') ?? (name === 'font' ? attributes.get('color') : undefined));
  const background = colorOf(
    declaration(style, 'background-color') ?? firstWord(declaration(style, 'background')) ?? attributes.get('bgcolor'),
  );
  return {
    name,
    hidden: above.hidden || attributes.has('hidden') || isHidden(style),
    silent: above.silent || SILENT.has(name),
    color: color === '' ? above.color : color,
    background: background === '' ? above.background : background,
  };
}

function isHidden(style: string): boolean {
  if (style === '') return false;
  if (/(?:^|;)(?:display:none|visibility:hidden|opacity:0?\.?0+(?:;|$)|mso-hide:all)/.test(style)) return true;
  if (/(?:^|;)font-size:0?\.?[0-2]?(?:px|pt|em|rem|%)?(?:!important)?(?:;|$)/.test(style)) return true;
  const clipped = /(?:^|;)overflow:hidden/.test(style);
  return (
    (clipped && /(?:^|;)(?:max-)?(?:height|width):[01](?:px|pt|em|%)?(?:!important)?(?:;|$)/.test(style)) ||
    /(?:^|;)text-indent:-\d{3,}/.test(style) ||
    /(?:^|;)(?:left|top):-\d{4,}px/.test(style)
  );
}

function declaration(style: string, property: string): string | undefined {
  for (const part of style.split(';')) {
    if (part.startsWith(`${property}:`)) return part.slice(property.length + 1).replace('!important', '');
  }
  return undefined;
}

function firstWord(value: string | undefined): string | undefined {
  return value === undefined ? undefined : (/^#[0-9a-f]{3,8}|^[a-z]+(?:\([^)]*\))?/.exec(value)?.[0] ?? undefined);
}

const NAMED: Readonly<Record<string, string>> = {
  white: '#ffffff',
  black: '#000000',
  red: '#ff0000',
  yellow: '#ffff00',
  blue: '#0000ff',
  transparent: '',
  inherit: '',
};

/** One form for the notations of a colour; empty for what is not understood. */
function colorOf(value: string | undefined): string {
  const text = (value ?? '').trim().toLowerCase();
  const named = NAMED[text];
  if (named !== undefined) return named;
  if (/^#?[0-9a-f]{6}$/.test(text)) return `#${text.replace('#', '')}`;
  if (/^#[0-9a-f]{3}$/.test(text)) return `#${[...text.slice(1)].map((digit) => digit + digit).join('')}`;
  const rgb = /^rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})/.exec(text);
  if (rgb === null) return '';
  return `#${rgb
    .slice(1, 4)
    .map((part) => Math.min(255, Number(part)).toString(16).padStart(2, '0'))
    .join('')}`;
}

function tidy(text: string): string {
  return text
    .replace(/[\u200b-\u200d\u2060\ufeff\u00ad]|\u034f/g, '')
    .replace(/[ \t\u00a0\r\f\v]+/g, ' ')
    .replace(/ ?\n[\n ]*/g, '\n')
    .trim();
}
