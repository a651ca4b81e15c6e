import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder as Kubernetes mounts a secret: `tls.crt` and `tls.key` are links into a folder that a link names. */
export interface MountedCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** Writes the new pair beside the old one and moves the link, as the kubelet does. */
  put(pair: { readonly cert: string; readonly key: string }): Promise<void>;
  remove(): Promise<void>;
}

export async function mountedCertificate(): Promise<MountedCertificate> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-secret-"));
  let version = 0;
  for (const file of ["tls.crt", "tls.key"]) await symlink(join("..data", file), join(folder, file));
  return {
    certFile: join(folder, "tls.crt"),
    keyFile: join(folder, "tls.key"),
    async put({ cert, key }) {
      const next = `..${++version}`;
      await mkdir(join(folder, next));
      await writeFile(join(folder, next, "tls.crt"), cert);
      await writeFile(join(folder, next, "tls.key"), key);
      await symlink(next, join(folder, "..data_tmp"));
      await rename(join(folder, "..data_tmp"), join(folder, "..data"));
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
