/** The names of the facts that the engine keeps beside the values in the hot store. */
export const metaNames: {
  readonly instance: string;
  clock(source: string): string;
  expired(keyspace: string): string;
  ready(keyspace: string): string;
} = {
  /** Made when the hot store is new: applied positions of another instance do not count. */
  instance: "instance",
  /** The first instant after the largest event time applied, of a source with a stream clock; epoch milliseconds. */
  clock: (source) => `clock/${source}`,
  /** Whole values with events before this moment may have been dropped; epoch milliseconds. */
  expired: (keyspace) => `expired/${keyspace}`,
  /** "1" once the key space was filled from the log for the first time. */
  ready: (keyspace) => `ready/${keyspace}`,
};
