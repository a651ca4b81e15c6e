import { describe, expect, test } from "vitest";
import type { RowFunction } from "../../../src/definitions/expression.ts";
import { functionSource } from "../../../src/feature_engineering/plan/function-source.ts";

const where = "view 'cards', feature 'spend'";

/** Evaluates a function's text, so that each test says exactly what was written. */
function fn(text: string): RowFunction {
  return new Function(`return (${text}\n)`)() as RowFunction;
}
const source = (text: string): string => functionSource(fn(text), where).source;

function refusal(text: string): { readonly code: string; readonly message: string } {
  try {
    source(text);
  } catch (error) {
    return error as { code: string; message: string };
  }
  return { code: "none", message: "" };
}

describe("the canonical source", () => {
  test("names variables by the properties that they are taken from, the others by their order", () => {
    expect(source("({ amount: a, mean: b }) => { const c = a - b; return c / b }")).toBe(
      "({ amount, mean }) => { let v1 = amount - mean; return v1 / mean; }",
    );
    expect(source("(row) => row.list.map((item) => item + row.x)")).toBe("(v1) => v1.list.map((v2) => v2 + v1.x)");
  });

  test.each([
    ["spaces and comments", "({ a }) => a + 1", "( {a} ) => /* one */ a+1 // more\n"],
    ["arrows, functions and methods", "({ a }) => a", "function ({ a }) { return a; }"],
    ["names of functions that are not used", "({ a }) => a", "function named({ a }) { return a }"],
    ["names of parameters", "(row) => row.a", "(r) => r.a"],
    ["renamed properties", "({ a, b }) => a + b", "({ a: x, b: y }) => x + y"],
    ["const, let and var", "({ a }) => { const x = a; return x * x }", "({ a }) => { var x = a; return x * x }"],
    ["quotes", "() => 'a\"b'", '() => "a\\"b"'],
    ["templates without expressions", "() => `a`", "() => 'a'"],
    ["how numbers are written", "() => 1000 + 0.5 + 255", "() => 1e3 + .5 + 0xff"],
    ["arithmetic of constants", "({ a }) => a > 86400000", "({ a }) => a > 24 * 60 * 60 * 1_000"],
    ["undefined", "({ a }) => a === undefined", "({ a }) => void 0 === a"],
    ["booleans", "() => [true, false]", "() => [!0, !1]"],
    ["Infinity and NaN", "() => [Infinity, NaN]", "() => [1 / 0, 0 / 0]"],
    ["brackets around names", "(r) => r.a?.b", '(r) => r["a"]?.["b"]'],
    ["quoted properties", "(r) => ({ a: r, 'b-c': r })", '(r) => ({ "a": r, "b-c": r })'],
    ["shorthand properties", "({ a }) => ({ a })", "({ a: b }) => ({ a: b })"],
    ["redundant parentheses", "({ a, b }) => a * (a + b)", "({ a, b }) => ((a) * ((a + b)))"],
    ["if and return", "({ a }) => a ? 1 : 2", "({ a }) => { if (a) { return 1 } else { return 2 } }"],
    [
      "early returns",
      "({ a }) => a > 1 ? 1 : a > 0 ? 2 : 3",
      "({ a }) => { if (a > 1) return 1; if (a > 0) return 2; return 3 }",
    ],
    ["negated tests", "({ a }) => a !== null ? 1 : 2", "({ a }) => a === null ? 2 : 1"],
    ["single statements", "(r) => { if (r.a) { r.b = 1; } return r.b }", "(r) => { r.a && (r.b = 1); return r.b }"],
    [
      "declarations in one",
      "(r) => { let a = r.a, b; b = a; return b }",
      "(r) => { let a = r.a; let b; b = a; return b }",
    ],
    ["directives", "(r) => r.a", "(r) => { 'use strict'; return r.a }"],
    [
      "kept names",
      "(r) => { const f = (x) => x; return f(r.a) }",
      "(r) => { const f = __name((x) => x, 'f'); return f(r.a) }",
    ],
  ])("is independent of %s", (_, one, other) => {
    expect(source(one)).toBe(source(other));
  });

  test.each([
    ["constants", "({ a }) => a + 1", "({ a }) => a + 2"],
    ["the properties that are read", "({ a, b }) => a - b", "({ b: a, a: b }) => a - b"],
    ["operators", "({ a, b }) => a || b", "({ a, b }) => a ?? b"],
    ["grouping", "({ a, b, c }) => a - (b - c)", "({ a, b, c }) => a - b - c"],
    ["grouping of powers", "({ a, b, c }) => (a ** b) ** c", "({ a, b, c }) => a ** b ** c"],
    ["where a chain ends", "({ a }) => (a?.b).c", "({ a }) => a?.b.c"],
    [
      "which variable is meant",
      "({ a, b }) => { { let a = b; } return a }",
      "({ a, b }) => { { let a = b; } return b }",
    ],
    ["the order of effects", "(r) => { r.x = 1; r.y = 2; return r.x }", "(r) => { r.y = 2; r.x = 1; return r.x }"],
    ["numbers and bigints", "() => 1", "() => 1n"],
    ["the sign of zero", "() => 0", "() => -0"],
    ["flags of regular expressions", "({ a }) => /x/.test(a)", "({ a }) => /x/i.test(a)"],
    ["loops", "(r) => { for (const x of r.l) return x }", "(r) => { for (const x in r.l) return x }"],
    ["defaults", "({ a = 1 }) => a", "({ a = 2 }) => a"],
    ["holes of lists", "() => [1, ,]", "() => [1]"],
    ["objects and blocks", "() => ({})", "() => {}"],
  ])("depends on %s", (_, one, other) => {
    expect(source(one)).not.toBe(source(other));
  });

  test("is code that computes the same", () => {
    const text = `({ a, b, list }) => {
      let total = -(-a) - -b, more = (1, a) ? (b ? 1 : 2) : (() => ({ x: a }))().x;
      for (let i = 0, n = list.length; i < n; i++) { if (list[i] < 0) continue; total += list[i] ** 2; }
      outer: while (true) { do { more++; if (more > 5) break outer } while (more % 2); }
      switch (b) { case 1: total += 10; break; case 2: { total += 20 } default: total += 30 }
      if (a > 2) { total += 100; more += 1 } else if (b) { total += 200 } else { total += 300; more += 2 }
      try { if (a > 3) throw "big"; } catch (e) { total += String(e).length } finally { total *= 2 }
      const g = function f(n) { return n <= 1 ? 1 : n * f(n - 1) };
      const { x: { y = 7 } = {}, ...rest } = { x: undefined, z: [...list, , a] };
      return [total, more, g(5), y, rest.z.length, \`\${a}\\n\\\`\${b}\`, typeof a, (a ?? b) || (a && b), new Map([[a, b]]).get(a), !(a in [0, 1]), a?.toFixed?.(2)];
    }`;
    const canonical = fn(source(text));
    for (const row of [
      { a: 1, b: 1, list: [1, -2, 3] },
      { a: 4, b: 2, list: [] },
      { a: 0, b: 0, list: [5] },
    ]) {
      expect(canonical(structuredClone(row))).toEqual(fn(text)(structuredClone(row)));
    }
    expect(source(source(text))).toBe(source(text));
  });
});

describe("a pure function", () => {
  test.each([
    "({ a }) => Math.max(a, 1)",
    "({ a }) => Number.isFinite(a) && !isNaN(Number(a)) && a < Infinity",
    "({ list }) => Array.from(new Set(list.map(String))).filter(Boolean).join()",
    "({ at }) => Date.UTC(at.getUTCFullYear(), 0) + new Date(at.getTime()).getUTCDay() + Date.parse('2026-01-01')",
    "({ a }) => Object.keys(JSON.parse(a)).map((key) => key.length)",
    "({ a }) => { const seen = new Map(); seen.set(a, BigInt(1)); return seen.get(a) }",
    "({ a }) => { let n = 0; const add = (x) => { n += x }; add(a); return n }",
    "({ a }) => { function twice(x) { return half(x) * 4 } function half(x) { return x / 2 } return twice(a) }",
    "function f({ n }) { return n <= 1 ? 1 : n * f({ n: n - 1 }) }",
    "({ a }) => { try { return parseInt(a, 10) } catch (error) { return undefined } }",
    "({ a }) => a instanceof Date",
    "(row) => { row.total = 1; [row.x, row.y] = [1, 2]; return row.total }",
    "({ constant }) => constant",
  ])("may be %s", (text) => {
    expect(refusal(text)).toEqual({ code: "none", message: "" });
  });

  test.each([
    ["what is declared outside", "({ a }) => a * rate", "rate"],
    ["what is declared in another scope only", "({ a }) => { { let rate = 1; } return rate }", "rate"],
    ["the clock", "() => Date.now()", "Date.now"],
    ["the clock by new Date", "() => new Date().getTime()", "new Date"],
    ["the clock by Date()", "() => Date()", "Date()"],
    ["local time of parts", "({ y }) => new Date(y, 0)", "new Date"],
    ["local time", "({ at }) => at.getHours()", "getHours"],
    ["local time in brackets", "({ at }) => at['getDay']()", "getDay"],
    ["local time in a pattern", "({ at }) => { const { getDay } = at; return getDay }", "getDay"],
    ["local dates as text", "({ at }) => at.toDateString()", "toDateString"],
    ["randomness", "() => Math.random()", "Math.random"],
    ["randomness by an alias", "() => { const m = Math; return m.random() }", "Math"],
    ["randomness by a pattern", "() => { const { random } = Math; return random() }", "Math"],
    ["randomness by a computed name", "({ k }) => Math[k]()", "Math.[…]"],
    ["the locale", "({ a }) => a.toLocaleString()", "toLocaleString"],
    ["the locale's order", "({ a, b }) => a.localeCompare(b)", "localeCompare"],
    ["Intl", "({ a }) => new Intl.NumberFormat().format(a)", "Intl"],
    ["this", "function () { return this.a }", "this"],
    ["arguments", "function () { return arguments[0] }", "arguments"],
    ["new.target", "function () { return new.target }", "new.target"],
    ["await", "async ({ a }) => await a", "async"],
    ["generators", "function* () { yield 1 }", "function*"],
    ["imports", "() => import('node:fs')", "import()"],
    ["eval", "({ a }) => eval(a)", "eval"],
    ["Function", "({ a }) => Function(a)()", "Function"],
    ["constructors of functions", "({ a }) => a.constructor.constructor('x')()", "constructor"],
    ["prototypes", "({ a }) => a.__proto__", "__proto__"],
    ["changes of globals", "() => { Math.a = 1 }", "Math"],
    ["assignments to globals", "() => { counter = 1 }", "counter"],
    ["assignments by patterns", "({ a }) => { [counter] = a }", "counter"],
    ["assignments by loops", "({ a }) => { for (counter of a); }", "counter"],
    ["updates of globals", "() => counter++", "counter"],
    ["updates within globals", "() => Math.calls++", "Math"],
    ["deletions", "() => delete globalThis.x", "globalThis"],
    ["state on itself", "function f() { f.n = (f.n ?? 0) + 1; return f.n }", "f"],
    ["classes", "() => class {}", "class"],
    ["accessors", "() => ({ get a() { return 1 } })", "get a"],
    ["process", "() => process.env.HOME", "process"],
    ["promises", "() => Promise.resolve(1)", "Promise"],
    ["shared prototypes", "() => Array.prototype", "prototype"],
  ])("may not use %s", (_, text, what) => {
    const { code, message } = refusal(text);
    expect(code).toBe("FUNCTION_NOT_PURE");
    expect(message).toContain(where);
    expect(message.replace("an assignment to ", "")).toContain(`uses ${what}`);
  });

  test("is refused with the line that is not pure", () => {
    expect(refusal("({ a }) => {\n  const b = a;\n  return b + rate;\n}").message).toContain(
      "line 3: return b + rate;",
    );
  });
});

describe("a function without a readable source", () => {
  test.each([
    ["a native function", Math.max as RowFunction],
    ["a bound function", (({ a }: { a: number }) => a).bind(null) as RowFunction],
    ["a class", class {} as unknown as RowFunction],
  ])("is refused: %s", (_, unreadable) => {
    expect(() => functionSource(unreadable, where)).toThrow(
      expect.objectContaining({ code: "FUNCTION_UNREADABLE", message: expect.stringContaining(where) }),
    );
  });

  test("methods of any name are readable", () => {
    const key = "spaced name";
    const methods = {
      [key]({ a }: { a: number }) {
        return a;
      },
      get({ a }: { a: number }) {
        return a;
      },
      async: ({ a }: { a: number }) => a,
    };
    for (const method of [methods[key]!, methods.get, methods.async]) {
      expect(functionSource(method as RowFunction, where).source).toBe("({ a }) => a");
    }
  });
});
