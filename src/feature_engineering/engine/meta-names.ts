/** The names of the facts that the engine keeps beside the values in the hot store. */
export const metaNames: {
  readonly instance: string;
  clock(source: string): string;
  expired(keyspace: string): string;
  ready(keyspace: string): string;
  dropping(keyspace: string): string;
  writer(keyspace: string): string;
} = {
  /** Made when the hot store is new: applied positions of another instance do not count. */
  instance: "instance",
  /** The first instant after the largest event time applied, of a source with a stream clock; epoch milliseconds. */
  clock: (source) => `clock/${source}`,
  /** Whole values with events before this moment may have been dropped; epoch milliseconds. */
  expired: (keyspace) => `expired/${keyspace}`,
  /** {@link READY} once the key space was filled from the log for the first time. */
  ready: (keyspace) => `ready/${keyspace}`,
  /** "1" from before a key space is dropped until it is gone. */
  dropping: (keyspace) => `dropping/${keyspace}`,
  /** "beam" where jobs of Apache Beam write the key space. */
  writer: (keyspace) => `writer/${keyspace}`,
};

/** A filled key space, whose marks say what it holds. "1" is a filled one of before there were marks. */
export const READY = "2";
