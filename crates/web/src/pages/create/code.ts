/** A request as YAML and as curl: whatever the page asks for, a program can ask for. */

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

function scalar(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return String(value);
  const plain = /^[A-Za-z][A-Za-z0-9_./-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value);
  return plain ? value : JSON.stringify(value);
}

export function yaml(value: Json, indent = ''): string {
  if (value === null || typeof value !== 'object') return `${indent}${scalar(value)}\n`;
  if (isList(value)) {
    if (value.length === 0) return `${indent}[]\n`;
    return value.map((item) => `${indent}- ${yaml(item, `${indent}  `).trimStart()}`).join('');
  }
  return Object.entries(value)
    .filter((entry): entry is [string, Json] => entry[1] !== undefined)
    .map(([key, item]) => {
      if (item === null || typeof item !== 'object') return `${indent}${key}: ${scalar(item)}\n`;
      const size = isList(item) ? item.length : Object.keys(item).length;
      if (size === 0) return `${indent}${key}: ${isList(item) ? '[]' : '{}'}\n`;
      return `${indent}${key}:\n${yaml(item, `${indent}  `)}`;
    })
    .join('');
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

export function curl(method: string, path: string, body: unknown): string {
  const text = JSON.stringify(body, null, 2).replaceAll("'", String.raw`'\''`);
  return [
    `curl -X ${method} '${window.location.origin}${path}' \\`,
    `  -H "Authorization: Bearer $TPM_KEY" -H 'Content-Type: application/json' \\`,
    `  -d '${text}'`,
  ].join('\n');
}
