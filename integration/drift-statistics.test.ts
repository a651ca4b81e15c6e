import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chiSquare } from "../src/feature_engineering/profiles/chi-square.ts";
import { jensenShannon } from "../src/feature_engineering/profiles/jensen-shannon.ts";
import { kolmogorovSmirnov } from "../src/feature_engineering/profiles/kolmogorov-smirnov.ts";
import { pythonEnvironment } from "./services/python-environment.ts";

/** Chi-square without pooling: each bin has at least five of both. */
const SCRIPT = `
import json, sys
import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, kstwobign
out = []
for a, b in json.load(sys.stdin):
    chi = chi2_contingency([a, b], correction=False)
    x, y = np.repeat(np.arange(len(a)), a), np.repeat(np.arange(len(b)), b)
    d = ks_2samp(x, y, method="asymp").statistic
    n, m = sum(a), sum(b)
    out.append([jensenshannon(a, b, 2) ** 2, chi.statistic, chi.pvalue, d, kstwobign.sf(np.sqrt(n * m / (n + m)) * d)])
json.dump(out, sys.stdout)
`;

describe("statistics of drift", () => {
  it("are SciPy's, for random histograms of equal and of different distributions", () => {
    let state = 20;
    const random = (): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    const cases = Array.from({ length: 500 }, (_, i) => {
      const bins = 2 + Math.floor(random() * 20);
      const shift = i % 2 === 0 ? 0 : random() * 100;
      const base = Array.from({ length: bins }, () => 40 + Math.floor(random() * 400));
      const other = base.map((n, bin) => Math.max(40, Math.round(n + (random() - 0.5) * 20 + shift * (bin / bins))));
      return [base, other] as const;
    });
    const python = join(pythonEnvironment(["scikit-learn==1.9.1", "scipy==1.17.1", "numpy==2.4.6"]), "python");
    const { stdout, stderr } = spawnSync(python, ["-c", SCRIPT], { input: JSON.stringify(cases), encoding: "utf8" });
    expect(stderr).toBe("");
    for (const [i, [js, statistic, p, d, ksP]] of (JSON.parse(stdout) as number[][]).entries()) {
      const [a, b] = cases[i]!;
      expect(jensenShannon(a, b)).toBeCloseTo(js!, 12);
      const chi = chiSquare(a, b);
      expect(Math.abs(chi.statistic / statistic! - 1)).toBeLessThan(1e-9);
      expect(Math.abs(chi.p - p!)).toBeLessThan(1e-10 + 1e-6 * p!);
      const ks = kolmogorovSmirnov(a, b);
      expect(ks.statistic).toBeCloseTo(d!, 12);
      expect(Math.abs(ks.p - ksP!)).toBeLessThan(1e-10 + 1e-6 * ksP!);
    }
  });
});
