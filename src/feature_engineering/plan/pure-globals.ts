/** What a function may use of a global. */
export interface GlobalUse {
  /** Members may be read: `Math.max`. True, or the closed list of them. */
  readonly members: boolean | readonly string[];
  /** It may be called: `Number(x)`. */
  readonly call: boolean;
  /** It may be constructed: `new Map()`. */
  readonly construct: boolean;
  /** It may be used as a value: `list.map(Number)`. */
  readonly value: boolean;
}

const CONVERSION: GlobalUse = { members: true, call: true, construct: false, value: true };
const FUNCTION: GlobalUse = { members: false, call: true, construct: false, value: true };
const NAMESPACE: GlobalUse = { members: true, call: false, construct: false, value: false };
const COLLECTION: GlobalUse = { members: true, call: false, construct: true, value: false };
const CONSTANT: GlobalUse = { members: false, call: false, construct: false, value: true };

/** The globals that pure functions may use: what gives the same everywhere and at any time. */
export const PURE_GLOBALS: ReadonlyMap<string, GlobalUse> = new Map([
  ["Math", NAMESPACE],
  ["JSON", NAMESPACE],
  ["Number", CONVERSION],
  ["String", CONVERSION],
  ["Boolean", CONVERSION],
  ["BigInt", CONVERSION],
  ["Object", { members: true, call: false, construct: false, value: false }],
  ["Array", { members: true, call: true, construct: true, value: false }],
  ["Map", COLLECTION],
  ["Set", COLLECTION],
  ["Date", { members: ["UTC", "parse"], call: false, construct: true, value: false }],
  ["isNaN", FUNCTION],
  ["isFinite", FUNCTION],
  ["parseInt", FUNCTION],
  ["parseFloat", FUNCTION],
  ["undefined", CONSTANT],
  ["NaN", CONSTANT],
  ["Infinity", CONSTANT],
]);

const LOCAL_TIME = "it reads the machine's time zone; use the getUTC… methods";
const LOCALE = "it depends on the machine's language";
const META = "it reaches what all functions share";

/** Members that no function may use, with the reason. */
export const IMPURE_MEMBERS: ReadonlyMap<string, string> = new Map([
  ...(
    [
      "getDate",
      "getDay",
      "getFullYear",
      "getHours",
      "getMilliseconds",
      "getMinutes",
      "getMonth",
      "getSeconds",
      "getTimezoneOffset",
      "getYear",
      "setDate",
      "setFullYear",
      "setHours",
      "setMilliseconds",
      "setMinutes",
      "setMonth",
      "setSeconds",
      "setYear",
      "toDateString",
      "toTimeString",
    ] as const
  ).map((name) => [name, LOCAL_TIME] as const),
  ...(
    [
      "localeCompare",
      "toLocaleDateString",
      "toLocaleLowerCase",
      "toLocaleString",
      "toLocaleTimeString",
      "toLocaleUpperCase",
    ] as const
  ).map((name) => [name, LOCALE] as const),
  ...(
    ["constructor", "prototype", "__proto__", "__defineGetter__", "__defineSetter__", "caller", "callee"] as const
  ).map((name) => [name, META] as const),
]);
