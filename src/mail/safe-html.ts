import sanitizeHtml from 'sanitize-html';

export interface SafeHtml {
  /** A fragment without scripts, forms, frames and anything that is fetched. */
  readonly html: string;
  /** Pictures that a browser would have fetched from elsewhere. */
  readonly remoteImages: number;
}

const TAGS =
  'a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q s samp section small span strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr'.split(
    ' ',
  );
/** Elements whose content is no text for readers. */
const SILENT = 'script style textarea option select noscript title template iframe object svg math xml'.split(' ');
const ATTRIBUTES =
  'align bgcolor border cellpadding cellspacing color colspan dir face height lang rowspan size style valign width'.split(
    ' ',
  );
const STYLES =
  'background background-color border border-bottom border-collapse border-color border-left border-radius border-right border-spacing border-style border-top border-width clear color direction display float font font-family font-size font-style font-weight height letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right margin-top max-width min-width overflow-wrap padding padding-bottom padding-left padding-right padding-top table-layout text-align text-decoration text-indent text-transform vertical-align white-space width word-break'.split(
    ' ',
  );
/** No function that fetches, no escape that could spell one: a backslash is not among the characters. */
const STYLE_VALUE =
  /^(?!.{0,200}(?:url|expression|image|import|attr|var|env|element)\s{0,20}\()[\w\s#.,%()'"+-]{1,200}$/i;
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]{1,140000}$/;
const REMOTE_STYLE = /url\(\s{0,20}(?:&quot;|&#3[49];|["'])?\s{0,20}(?:https?:)?\/\//gi;
/** Deeper than the tables of any newsletter, and far from what makes the work quadratic. */
const NESTING = 250;
const HREF_MAX = 2_048;
const SHOWN_MAX = 300;
const ALT_MAX = 200;

/**
 * HTML of a stranger made fit to look at in a frame without rights: pictures only from the message itself, links with their
 * target shown beside them, everything else that leads out or runs taken away. `pictures` holds data URLs by Content-ID.
 * Runs in a worker thread: the work grows with the input, which the caller bounds.
 */
export function safeHtml(input: string, pictures: ReadonlyMap<string, string>): SafeHtml {
  let remoteImages = input.match(REMOTE_STYLE)?.length ?? 0;
  const html = sanitizeHtml(input, {
    allowedTags: TAGS,
    nonTextTags: SILENT,
    allowedAttributes: {
      '*': ATTRIBUTES,
      a: ['href', 'rel', 'target', 'title'],
      img: ['src', 'alt', 'width', 'height'],
    },
    allowedStyles: { '*': Object.fromEntries(STYLES.map((name) => [name, [STYLE_VALUE]])) },
    allowedSchemes: ['http', 'https'],
    allowedSchemesByTag: { img: ['data'] },
    allowProtocolRelative: false,
    nestingLimit: NESTING,
    transformTags: {
      a: (_, { href = '' }) => ({ tagName: 'a', attribs: linkAttributes(href.trim()) }),
      img(_, { src = '', srcset = '', alt = '', width, height }) {
        const picture = own(src.trim(), pictures);
        const size = { ...(width === undefined ? {} : { width }), ...(height === undefined ? {} : { height }) };
        if (picture !== null) return { tagName: 'img', attribs: { src: picture, alt: alt.slice(0, ALT_MAX), ...size } };
        if (isElsewhere(src) || srcset.trim() !== '') remoteImages += 1;
        const text = alt.trim() === '' ? '[picture]' : `[picture: ${alt.trim().slice(0, ALT_MAX)}]`;
        return { tagName: 'span', attribs: {}, text };
      },
      '*'(tagName, attribs) {
        const { background = '', poster = '' } = attribs;
        if (isElsewhere(background) || isElsewhere(poster)) remoteImages += 1;
        if (tagName === 'input' && isElsewhere(attribs['src'] ?? '')) remoteImages += 1;
        return { tagName, attribs };
      },
    },
  });
  return { html: showTargets(html), remoteImages };
}

function isElsewhere(url: string): boolean {
  return url.trim() !== '' && !/^(?:cid|data):/i.test(url.trim());
}

/** The data URL of a picture that came with the message and is small; else null. */
function own(src: string, pictures: ReadonlyMap<string, string>): string | null {
  if (/^cid:/i.test(src)) return pictures.get(contentId(src.slice(4))) ?? null;
  return PICTURE.test(src) ? src : null;
}

/** The form in which Content-IDs are compared (RFC 2392): without brackets, percent encoding undone. */
export function contentId(text: string): string {
  const bare = text.trim().replace(/^<|>$/g, '');
  try {
    return decodeURIComponent(bare);
  } catch {
    return bare;
  }
}

/** Only the web is a link; what else stands there is shown and leads nowhere. */
function linkAttributes(href: string): Record<string, string> {
  const title = href.length > SHOWN_MAX ? `${href.slice(0, SHOWN_MAX)}…` : href;
  const isWeb = /^https?:\/\/[^\s\\]/i.test(href) && href.length <= HREF_MAX;
  if (!isWeb) return title === '' ? {} : { title };
  return { href, title, rel: 'noopener noreferrer nofollow', target: '_blank' };
}

/** Writes each link's target behind its text. The HTML is the sanitiser's: quoted, escaped, every element closed. */
function showTargets(html: string): string {
  const open: string[] = [];
  return html.replace(/<a( [^>]*)?>|<\/a>/g, (tag, attributes: string | undefined) => {
    if (tag !== '</a>') {
      open.push(/ title="([^"]*)"/.exec(attributes ?? '')?.[1] ?? '');
      return tag;
    }
    const target = open.pop() ?? '';
    return target === '' ? tag : `${tag} <span style="color:#666;word-break:break-all">[${target}]</span>`;
  });
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'";
const LOOK =
  'body{margin:12px;font:14px/1.5 system-ui,sans-serif;color:#111;background:#fff;overflow-wrap:anywhere}img{max-width:100%;height:auto}pre{white-space:pre-wrap;font:inherit;margin:0}';

/** The whole document for a sandboxed frame. What is in `body` is safe already; the policy is a second wall. */
export function previewDocument(body: string): string {
  return `<!doctype html><html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}"><meta name="referrer" content="no-referrer"><title>Preview</title><style>${LOOK}</style></head><body>${body}</body></html>`;
}
