/** Keys that work everywhere but in fields. */
import { useHotkeys } from '@mantine/hooks';
import { useEffect, useRef } from 'react';
import { useNavigate } from 'react-router';
import { PLACES } from './navigation';

/** Marks the field that `/` goes to. */
export const SEARCH = { 'data-page-search': true } as const;

const TOGETHER_MS = 1500;

export function useShortcuts({ palette, help }: { palette: () => void; help: () => void }): void {
  const navigate = useNavigate();
  const going = useRef(0);
  useHotkeys([['mod+K', palette]], []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const at = event.target as HTMLElement;
      const typing = at.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(at.tagName);
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('[role=dialog]')) return;
      if (event.key === '/') {
        const field = document.querySelector<HTMLInputElement>('[data-page-search]');
        event.preventDefault();
        if (field) field.focus();
        else palette();
      } else if (event.key === '?') {
        event.preventDefault();
        help();
      } else if (event.key === 'g') {
        going.current = Date.now();
      } else if (Date.now() - going.current < TOGETHER_MS) {
        going.current = 0;
        const place = PLACES.find((one) => one.letter === event.key);
        if (place) void navigate(place.path);
      }
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [navigate, palette, help]);
}
