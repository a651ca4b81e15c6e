import { createHash } from "node:crypto";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join, matchesGlob } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { millraceError } from "../../definitions/errors.ts";
import type { S3Place } from "../../definitions/table-files.ts";

/**
 * Copies the objects that `s3://bucket/glob` names into a cache on disk, in which an object is known by its place,
 * version and length, and returns the copies' paths by key: what was copied before is not copied again.
 * @throws `FILE_NOT_FOUND`, `S3_UNAVAILABLE`, `PACKAGE_MISSING`
 */
export async function s3Objects(url: string, place: S3Place, cache: string): Promise<readonly string[]> {
  const { S3Client, ListObjectsV2Command, GetObjectCommand } = await import("@aws-sdk/client-s3").catch(
    (cause: unknown) => {
      throw millraceError(
        "PACKAGE_MISSING",
        "Reading s3:// needs the package @aws-sdk/client-s3: npm install @aws-sdk/client-s3.",
        { cause },
      );
    },
  );
  const [, bucket, pattern] = /^s3:\/\/([^/]+)\/(.+)$/.exec(url) as unknown as [string, string, string];
  const client = new S3Client({
    ...(place.endpoint === null ? {} : { endpoint: place.endpoint }),
    ...(place.region === null ? {} : { region: place.region }),
    forcePathStyle: place.pathStyle,
  });
  try {
    const isGlob = /[*?[{]/.test(pattern);
    const prefix = isGlob ? pattern.slice(0, pattern.search(/[*?[{]/)) : pattern;
    const found: { readonly key: string; readonly id: string }[] = [];
    let token: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      for (const { Key: key = "", ETag: etag = "", Size: size = 0 } of page.Contents ?? []) {
        if (key.endsWith("/") || !(isGlob ? matchesGlob(key, pattern) : key === pattern)) continue;
        found.push({ key, id: JSON.stringify([place.endpoint, bucket, key, etag, size]) });
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    const paths: string[] = [];
    for (const { key, id } of found.sort((a, b) => (a.key < b.key ? -1 : 1))) {
      // The key stays in the path: its folders may hold columns.
      const path = join(cache, createHash("sha256").update(id).digest("hex").slice(0, 32), key);
      paths.push(path);
      if (existsSync(path)) continue;
      await mkdir(dirname(path), { recursive: true });
      const temporary = `${path}.${process.pid}.part`;
      try {
        const { Body: body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        await pipeline(body as Readable, createWriteStream(temporary));
        await rename(temporary, path);
      } finally {
        await rm(temporary, { force: true });
      }
    }
    return paths;
  } catch (cause) {
    const { name = "Error", message = "" } = cause as { readonly name?: string; readonly message?: string };
    const kind = /NoSuch|AccessDenied|InvalidAccessKey|Signature|Credentials|Forbidden/.test(name)
      ? "user"
      : "operational";
    throw millraceError(
      "S3_UNAVAILABLE",
      `${url} cannot be read: ${name}: ${message}. Check the bucket, the endpoint and the credentials.`,
      { kind, cause },
    );
  } finally {
    client.destroy();
  }
}
