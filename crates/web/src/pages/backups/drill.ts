/** What a drill is asked to prove, as it is typed and as it is sent. */
import type { TFunction } from 'i18next';
import * as z from 'zod';
import { GOALS } from '../../api/drills';
import type { Schemas } from '../../api/client';

/** By the service's document. */
const MOST_WORDS = 32;
const LONGEST_WORD = 1000;

export const WISHES = ['', ...GOALS] as const;

export interface Wish {
  goal: (typeof WISHES)[number];
  /** An argument in each line. */
  command: string;
}

export function wordsOf(command: string): string[] {
  const lines = command.split(/\r?\n/);
  while (lines.at(-1)?.trim() === '') lines.pop();
  return lines;
}

export function wishRules(t: TFunction) {
  return z.object({
    goal: z.enum(WISHES),
    command: z.string().superRefine((command, context) => {
      const wrong = (message: string): void => context.addIssue({ code: 'custom', message });
      const words = wordsOf(command);
      const long = words.findIndex((word) => Array.from(word).length > LONGEST_WORD);
      if (words.length > 0 && words[0]?.trim() === '') wrong(t('drill.program'));
      else if (words.length > MOST_WORDS) wrong(t('drill.mostWords', { most: MOST_WORDS }));
      else if (long >= 0) wrong(t('drill.longWord', { most: LONGEST_WORD, line: long + 1 }));
    }),
  });
}

export function wishOf(drill: Schemas['ScheduledDrill'] | null): Wish {
  return { goal: drill?.goal ?? '', command: drill?.command.join('\n') ?? '' };
}

/** A command that was not touched stays as it was, with words that lines cannot say. */
export function requestOf(wish: Wish, before: Schemas['ScheduledDrill'] | null = null): Schemas['DrillRequest'] {
  const same = before !== null && wish.command === wishOf(before).command;
  const command = same ? before.command : wordsOf(wish.command);
  return { ...(wish.goal ? { goal: wish.goal } : {}), ...(command.length > 0 ? { command } : {}) };
}

/** The form's field for one of the service's: a word of a command is part of its field. */
export function wishField(said: string): string {
  return said.replace(/^((?:drill\.)?command)\[\d+\]$/, '$1');
}
