/** The Feast that tests and benchmarks run, with its Redis client; as pip wants it. */
export const FEAST = "feast[redis]==0.67.0";
