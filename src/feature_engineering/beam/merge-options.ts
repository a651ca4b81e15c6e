/**
 * Beam's options of several who have a say, the last of whom wins: Beam refuses an option that is named twice. What one of
 * them names several times stays, since some options are lists.
 */
export function mergeOptions(...groups: readonly (readonly string[])[]): readonly string[] {
  const nameOf = (option: string): string => option.split("=", 1)[0]!;
  return groups.flatMap((group, index) => {
    const later = new Set(
      groups
        .slice(index + 1)
        .flat()
        .map(nameOf),
    );
    return group.filter((option) => !later.has(nameOf(option)));
  });
}
