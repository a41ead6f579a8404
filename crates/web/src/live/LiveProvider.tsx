/** The live connection of a person who is logged in. */
import { notifications } from '@mantine/notifications';
import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { tellSessionEnd } from '../api/client';
import { Applier } from './apply';
import { Following, type LiveState } from './follow';

interface Live {
  state: LiveState;
  /** When the service was heard last. */
  heard: Date | null;
}

const LiveContext = createContext<Live>({ state: 'connecting', heard: null });

export function useLive(): Live {
  return useContext(LiveContext);
}

/** `resume` changes when somebody logged in again, and the stream is opened anew. */
export function LiveProvider({ resume, children }: { resume: number; children: ReactNode }) {
  const cache = useQueryClient();
  const { i18n } = useTranslation();
  const [live, setLive] = useState<Live>({ state: 'connecting', heard: null });
  useEffect(() => {
    const applier = new Applier(cache);
    let before: LiveState = 'connecting';
    const following = new Following({
      onFrame: (frame) => {
        setLive((old) => (old.heard && Date.now() - old.heard.getTime() < 1000 ? old : { ...old, heard: new Date() }));
        const told = applier.apply(frame);
        if (told && (told.type === 'error' || told.type === 'warning')) {
          notifications.show({
            id: `n${told.id}`,
            message: told.message,
            color: told.type === 'error' ? 'red' : 'yellow',
            autoClose: 8000,
          });
        }
      },
      onState: (state) => {
        // What is not told of live may be old by now, and what could not be asked for can be asked for again.
        if (state === 'live' && before === 'lost') void cache.invalidateQueries();
        before = state;
        setLive((old) => ({ ...old, state }));
      },
      onSessionEnd: () => tellSessionEnd(),
    });
    return () => {
      following.stop();
      applier.stop();
    };
    // In another language, texts that come with events are in that language.
  }, [cache, i18n.language, resume]);
  return <LiveContext.Provider value={live}>{children}</LiveContext.Provider>;
}
