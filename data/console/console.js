/** The API console: sends a query with a key and shows the schema. Everything is set as text, never as markup. */

const SAMPLE = `query {
  viewer { partner { id name } }
  clients(first: 50) {
    edges { node { id name timeZone } }
    pageInfo { hasNextPage endCursor }
  }
}`;

// Three levels of "list of" and "not null" are all that a schema of ours nests.
const TYPE_REF = 'kind name ofType { kind name ofType { kind name ofType { kind name } } }';
const SCHEMA_QUERY = `query Schema {
  __schema { types {
    kind name description
    fields { name description args { name description defaultValue type { ${TYPE_REF} } } type { ${TYPE_REF} } }
    inputFields { name description defaultValue type { ${TYPE_REF} } }
    enumValues { name description }
  } }
}`;

/** Characters of answers that stay on the page while it listens. */
const SHOWN_MAX = 200_000;

const at = (id) => document.getElementById(id);
const key = at('key');
const query = at('query');
const variables = at('variables');
const answer = at('answer');
const status = at('status');
const find = at('find');
const types = at('types');

let schema = [];

// The key stays in this tab and is gone with it.
key.value = sessionStorage.getItem('tollgate.key') ?? '';
query.value = localStorage.getItem('tollgate.query') ?? SAMPLE;
variables.value = localStorage.getItem('tollgate.variables') ?? '{}';

async function ask(text, values) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key.value.trim()}` },
    body: JSON.stringify({ query: text, variables: values }),
  });
  return { status: response.status, body: await response.json() };
}

/** Answers of a subscription, each shown above the ones before, until it ends or the next run. */
async function follow(text, values, signal) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream, application/json',
      authorization: `Bearer ${key.value.trim()}`,
    },
    body: JSON.stringify({ query: text, variables: values }),
    signal,
  });
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    answer.value = JSON.stringify(await response.json(), null, 2);
    return `${response.status}`;
  }
  let count = 0;
  let rest = '';
  answer.value = '';
  status.textContent = 'Listening…';
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    rest += decoder.decode(part.value, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = /^event: next\ndata: (.*)$/m.exec(event)?.[1];
      if (data === undefined) continue;
      count += 1;
      answer.value = `${JSON.stringify(JSON.parse(data), null, 2)}\n\n${answer.value}`.slice(0, SHOWN_MAX);
      status.textContent = `Listening, ${count} answers`;
    }
  }
  return `Ended after ${count} answers`;
}

let listening = null;

async function run() {
  listening?.abort();
  let values;
  try {
    values = JSON.parse(variables.value.trim() || '{}');
  } catch (error) {
    status.textContent = `The variables are not JSON: ${error.message}`;
    return;
  }
  localStorage.setItem('tollgate.query', query.value);
  localStorage.setItem('tollgate.variables', variables.value);
  status.textContent = 'Asking…';
  const start = performance.now();
  try {
    if (/^(?:\s|#.*\n)*subscription\b/.test(query.value)) {
      const own = new AbortController();
      listening = own;
      const ended = await follow(query.value, values, own.signal);
      if (listening === own) status.textContent = ended;
      return;
    }
    const result = await ask(query.value, values);
    answer.value = JSON.stringify(result.body, null, 2);
    status.textContent = `${result.status} in ${Math.round(performance.now() - start)} ms`;
  } catch (error) {
    if (error.name !== 'AbortError') status.textContent = `No answer: ${error.message}`;
  }
}

async function loadSchema() {
  sessionStorage.setItem('tollgate.key', key.value);
  if (key.value.trim() === '') return;
  const result = await ask(SCHEMA_QUERY).catch(() => null);
  if (result?.body.data === undefined) {
    types.textContent = 'The schema is shown to live keys only.';
    return;
  }
  schema = result.body.data.__schema.types.filter((type) => !type.name.startsWith('__'));
  showTypes();
}

function nameOf(type) {
  if (type.kind === 'NON_NULL') return `${nameOf(type.ofType)}!`;
  return type.kind === 'LIST' ? `[${nameOf(type.ofType)}]` : type.name;
}

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function entry(member) {
  const args = (member.args ?? []).map((arg) => `${arg.name}: ${nameOf(arg.type)}`);
  const head =
    member.type === undefined
      ? member.name
      : `${member.name}${args.length > 0 ? `(${args.join(', ')})` : ''}: ${nameOf(member.type)}`;
  return [element('dt', head), element('dd', member.description ?? '')];
}

function showTypes() {
  const wanted = find.value.trim().toLowerCase();
  const shown = schema.flatMap((type) => {
    const members = type.fields ?? type.inputFields ?? type.enumValues ?? [];
    const whole = type.name.toLowerCase().includes(wanted);
    const fitting = whole ? members : members.filter((member) => member.name.toLowerCase().includes(wanted));
    if (!whole && fitting.length === 0) return [];
    const details = element('details', null, element('summary', type.name), element('p', type.description ?? ''));
    details.append(element('dl', null, ...fitting.flatMap(entry)));
    details.open = wanted !== '' || type.name === 'Query';
    return [details];
  });
  types.replaceChildren(...shown);
}

at('run').addEventListener('click', run);
key.addEventListener('change', loadSchema);
find.addEventListener('input', showTypes);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void run();
});
void loadSchema();
