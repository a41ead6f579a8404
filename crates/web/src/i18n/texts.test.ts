/** Both languages say the same things, and say everything that the page asks for. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import en from './en.json';
import ko from './ko.json';

type Texts = { [key: string]: string | Texts };

function flat(texts: Texts, at = ''): Map<string, string> {
  const all = new Map<string, string>();
  for (const [key, value] of Object.entries(texts)) {
    if (typeof value === 'string') all.set(at + key, value);
    else for (const [inner, text] of flat(value, `${at}${key}.`)) all.set(inner, text);
  }
  return all;
}

/** English has two forms where Korean has one. */
function bare(keys: Iterable<string>): string[] {
  return [...new Set([...keys].map((key) => key.replace(/_(one|other)$/, '')))].sort();
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx?$/.test(entry.name) && !/\.test\.|schema\.d/.test(entry.name) ? [path] : [];
  });
}

describe('texts', () => {
  const [korean, english] = [flat(ko), flat(en)];

  it('have the same keys in both languages', () => {
    expect(bare(english.keys())).toEqual(bare(korean.keys()));
  });

  it('have the same places for values', () => {
    const places = (text: string | undefined) => (text?.match(/{{\w+}}/g) ?? []).sort();
    for (const [key, text] of korean) {
      const other = english.get(key) ?? english.get(`${key}_other`);
      expect(places(other), key).toEqual(places(text));
    }
  });

  it('are never empty', () => {
    for (const [key, text] of [...korean, ...english]) expect(text.trim(), key).not.toBe('');
  });

  it('exist for every key that is named in the source', () => {
    const known = new Set(bare(korean.keys()));
    const missing = new Set<string>();
    for (const file of sources('src')) {
      for (const [, key = ''] of readFileSync(file, 'utf8').matchAll(/\bt\(\s*'([^']+)'/g)) {
        if (!known.has(key)) missing.add(key);
      }
    }
    expect([...missing]).toEqual([]);
  });
});
