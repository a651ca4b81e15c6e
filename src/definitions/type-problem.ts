/** What a wrong declaration's type becomes, so that the compiler's message says what is wrong. */
export interface TypeProblem<Message extends string> {
  readonly "~problem": Message;
}

/** Flattens an intersection for readable hovers and errors. */
export type Simplify<T> = { -readonly [K in keyof T]: T[K] } & {};

export type UnionToIntersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void
  ? I
  : never;
