import { millraceError } from "../definitions/errors.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import { viewVersion } from "../feature_engineering/plan/plan-hash.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";

type Facts = Pick<OnlineStore, "readMeta" | "writeMeta">;

const BEAM = "beam";

/**
 * Takes views for Apache Beam: from now on the embedded engine refuses these versions. A version has one kind of writer,
 * since each keeps beside the values what only it can read.
 * @throws `VIEW_OF_EMBEDDED_ENGINE`
 */
export async function claimForBeam(online: Facts, views: readonly FeatureViewMeta[]): Promise<void> {
  for (const view of views) {
    const version = viewVersion(view);
    const [writer, ready] = await online.readMeta([metaNames.writer(version), metaNames.ready(version)]);
    if (writer === BEAM) continue;
    if (ready !== null) {
      throw millraceError(
        "VIEW_OF_EMBEDDED_ENGINE",
        `The values of view '${view.name}' were written by the embedded engine, and a view version has one kind of writer: change the view (it becomes a new version), or list its source in beam.sources for every process and drop its values (stop these processes, take the view out of the declarations, and run millrace prune).`,
      );
    }
    await online.writeMeta(new Map([[metaNames.writer(version), BEAM]]));
  }
}

/** @throws `VIEW_OF_BEAM` if a Beam job writes one of the views, which the embedded engine is to write */
export async function refuseViewsOfBeam(online: Facts, views: readonly FeatureViewMeta[]): Promise<void> {
  if (views.length === 0) return;
  const writers = await online.readMeta(views.map((view) => metaNames.writer(viewVersion(view))));
  const view = views.find((_, index) => writers[index] === BEAM);
  if (view === undefined) return;
  throw millraceError(
    "VIEW_OF_BEAM",
    `The values of view '${view.name}' are written by Apache Beam, and a view version has one kind of writer: list source '${view.source.name}' in beam.sources of this process's configuration, or change the view (it becomes a new version).`,
  );
}
