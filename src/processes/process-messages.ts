import type { ApiCertificate } from "../api/server-tls.ts";
import type { ResolvedConfig } from "../config/config.ts";
import type { PlanPreview } from "../feature_store/registry/registry.ts";
import type { WorkerMethods } from "./worker-methods.ts";

/** What an operator does to a model in one process, and all processes then do. */
export type ModelAct =
  | { readonly act: "rollback" | "load" | "unload"; readonly model: string }
  | { readonly act: "refresh"; readonly model: string | null }
  | { readonly act: "go-back"; readonly model: string; readonly version: string }
  | { readonly act: "pin"; readonly model: string; readonly version: string | null };

export interface ServingOptions {
  readonly config: ResolvedConfig;
  /** What admin routes ask for. */
  readonly token: string;
  /** What the process is called in metrics. */
  readonly label: string;
  readonly readiness: Readiness;
  /** Null: plain HTTP. */
  readonly certificate: ApiCertificate | null;
}

export interface Readiness {
  readonly waiting: readonly string[];
  /** Why the pipeline does not work; null if it does. */
  readonly failure: string | null;
}

/** What the first process asks of one that serves. */
export type ServingMethods = {
  /** Loads declarations and models, and does what was done to models before: then it can take connections. */
  readonly open: (options: ServingOptions, acts: readonly ModelAct[]) => Promise<{ planHash: string }>;
  /** For connections from now on. */
  readonly setCertificate: (certificate: ApiCertificate) => void;
  readonly setReadiness: (readiness: Readiness) => void;
  /** In the text format 0.0.4. */
  readonly metrics: () => Promise<string>;
  /** Gives the version that serves after it; null if none does. */
  readonly modelAct: (act: ModelAct) => Promise<string | null>;
  /** Loads changed declarations and their models, beside those that serve. @throws `PLAN_DIFFERS` */
  readonly prepare: (paths: readonly string[], revision: number, hash: string | null) => Promise<void>;
  readonly abandon: () => Promise<void>;
  /** Serves what was prepared; resolves when nothing reads what was before. */
  readonly change: () => Promise<void>;
  /** Takes nothing new, finishes what is in flight, closes. Gives the last metrics. */
  readonly drain: () => Promise<string>;
};

/** What a process that serves asks of the first one: all that its pipeline's thread can, and what concerns all. */
export type GroupMethods = WorkerMethods & {
  readonly groupTakeOver: (hash: string | null) => Promise<PlanPreview>;
  readonly groupMetrics: (accept: string) => Promise<{ contentType: string; body: string }>;
  readonly groupModelAct: (act: ModelAct) => Promise<void>;
  readonly swapped: (model: string, version: string) => void;
  /** The metrics so far, for when the process dies. */
  readonly keepMetrics: (text: string) => void;
};

/** A connection that the first process accepted, sent with the message. */
export interface OfferedConnection {
  readonly offered: number;
}
/** Whether it is taken; said before anything of it is read. */
export interface OfferAnswer {
  readonly answered: number;
  readonly isTaken: boolean;
}
