import { subscribe as subscribeChannel, unsubscribe } from "node:diagnostics_channel";

/**
 * Calls `take` with each event of the channel, in the publisher's stack; returns what ends that. `T` is the payload's
 * type beside the channel's name in its `channels.ts`. `take` must not throw: that would end the process.
 */
export function subscribe<T>(channel: string, take: (event: T) => void): () => void {
  // Channels are untyped; each of ours carries one type, which its publisher is checked against.
  // The function itself is subscribed: one more around it, shared by all channels, would be called where no compiler inlines.
  const listener = take as (event: unknown) => void;
  subscribeChannel(channel, listener);
  return () => void unsubscribe(channel, listener);
}
