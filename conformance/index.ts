/** `millrace/testing`: the suites that every adapter of a port passes, for adapters of others too. */
export {
  type ConformanceMessage,
  describeMessageSource,
  type MessageSourcePlace,
  type MessageSourceUnderTest,
} from "./message-source-conformance.ts";
export { describeOfflineStore, type OfflineStoreUnderTest } from "./offline-store-conformance.ts";
export { describeOnlineStore, type OnlineStoreUnderTest } from "./online-store-conformance.ts";
