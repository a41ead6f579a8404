/** What the service said, for as long as it is believed. */
import { QueryClient } from '@tanstack/react-query';
import { isFault } from './fault';

export function makeCache(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        gcTime: 10 * 60_000,
        refetchOnWindowFocus: true,
        // The service itself is asked, whatever the browser thinks of the network.
        networkMode: 'always',
        retry: (count, error) => isFault(error) && error.passing && count < 3,
        retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 4000),
      },
      mutations: { retry: false, networkMode: 'always' },
    },
  });
}
