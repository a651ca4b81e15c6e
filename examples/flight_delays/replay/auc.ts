export interface Scored {
  readonly score: number;
  readonly late: boolean;
}

/** The area under the ROC curve: the share of (late, on time) pairs that the scores order rightly, ties as half. */
export function auc(scored: readonly Scored[]): number {
  const sorted = [...scored].sort((a, b) => a.score - b.score);
  let rankSum = 0;
  let late = 0;
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (j < sorted.length && sorted[j]!.score === sorted[i]!.score) j++;
    const rank = (i + 1 + j) / 2;
    for (; i < j; i++) {
      if (!sorted[i]!.late) continue;
      rankSum += rank;
      late++;
    }
  }
  return (rankSum - (late * (late + 1)) / 2) / (late * (sorted.length - late));
}
