import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { storeError } from "../store-error.ts";
import type { LmdbDatabase, LmdbRoot } from "./lmdb-environment.ts";

/** Commit before returning, flush to disk without keeping the next writer waiting. Source: lmdb's TransactionFlags. */
const COMMIT = 0x10002;
/** Of the number of the last transaction in `lock.mdb`, 8 bytes, little endian. Source: lmdb 3.5's mdb.c, MDB_txbody. */
const LAST_TRANSACTION_OFFSET = 8;
/** More processes than this do not open one folder between two attempts. */
const ATTEMPTS = 20;
const REWOUND: unique symbol = Symbol("rewound");

/**
 * Runs in one transaction of a database; nothing is written if `run` throws.
 *
 * A process that opens the folder tells all others which transaction was the last, as it read it a moment before
 * (mdb_env_open2), and so takes back what was committed meanwhile: the next transaction would go on from before it and
 * replace it. The meta pages still know better, so each transaction is compared with them before it changes anything.
 */
export function lmdbTransaction<Key>(root: LmdbRoot, database: LmdbDatabase<Key>, path: string, run: () => void): void {
  for (let attempt = 1; ; attempt++) {
    try {
      database.transactionSync(() => {
        const { lastTxnId } = root.env.info();
        const id = root.env.getWriteTxnId();
        // 0 is no transaction: lmdb says why as soon as it is used.
        if (id !== 0 && id <= lastTxnId) {
          tellLastTransaction(path, lastTxnId);
          throw REWOUND;
        }
        run();
      }, COMMIT);
      return;
    } catch (cause) {
      if (cause !== REWOUND) throw cause;
      if (attempt === ATTEMPTS) {
        throw storeError(
          "ONLINE_STORE_UNAVAILABLE",
          `The online store ${path} takes no transaction, since other processes open it again and again: let them stay open. Nothing of this write was done.`,
          { kind: "operational", details: { path } },
        );
      }
    }
  }
}

/**
 * Within a transaction, which keeps other writers out. By a process of its own: closing a file gives up all locks that
 * a process has on it, and LMDB's lock tells others that this one uses the folder.
 */
function tellLastTransaction(path: string, id: number): void {
  const script = `
    const { openSync, writeSync } = require("node:fs");
    const id = Buffer.alloc(8);
    id.writeBigUInt64LE(BigInt(process.argv[2]));
    writeSync(openSync(process.argv[1], "r+"), id, 0, 8, ${LAST_TRANSACTION_OFFSET});`;
  execFileSync(process.execPath, ["--eval", script, join(path, "lock.mdb"), String(id)], {
    stdio: "ignore",
    env: { ...process.env, NODE_OPTIONS: "" },
  });
}
