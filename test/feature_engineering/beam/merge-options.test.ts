import { expect, it } from "vitest";
import { mergeOptions } from "../../../src/feature_engineering/beam/merge-options.ts";

it("lets the last who names an option win, and leaves lists whole", () => {
  expect(
    mergeOptions(
      ["--checkpointingInterval=10000", "--streaming=true", "--state=a=b"],
      ["--runner=FlinkRunner", "--parallelism=2"],
      ["--parallelism=4", "--checkpointingInterval=1000", "--filesToStage=a", "--filesToStage=b"],
    ),
  ).toEqual([
    ...["--streaming=true", "--state=a=b", "--runner=FlinkRunner"],
    ...["--parallelism=4", "--checkpointingInterval=1000", "--filesToStage=a", "--filesToStage=b"],
  ]);
});
