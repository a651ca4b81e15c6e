/** A body for `/invocations`, as it is sent to MLflow's server and to ours. */
export interface ScoringBody {
  readonly what: string;
  readonly type: string;
  readonly body: string;
  /** Why ours differs, where it is meant to. */
  readonly differs?: string;
}

const row = { spend: 12.5, amount: 1.5, n_trips: 3, is_new: true };
const other = { spend: 80.25, amount: -0.5, n_trips: 17, is_new: false };
const columns = Object.keys(row);
const values = [Object.values(row), Object.values(other)];
const byColumn = { spend: [12.5, 80.25], amount: [1.5, -0.5], n_trips: [3, 17], is_new: [true, false] };
const { spend: _, ...partial } = row;
const JSON_TYPE = "application/json";

const json = (what: string, body: unknown, differs?: string): ScoringBody => ({
  what,
  type: JSON_TYPE,
  body: typeof body === "string" ? body : JSON.stringify(body),
  ...(differs === undefined ? {} : { differs }),
});
const csv = (what: string, body: string): ScoringBody => ({ what, type: "text/csv", body });
const records = (what: string, more: object, differs?: string): ScoringBody =>
  json(what, { dataframe_records: [{ ...row, ...more }] }, differs);

export const SCORING_BODIES: readonly ScoringBody[] = [
  json("dataframe_split", { dataframe_split: { columns, data: values } }),
  json("dataframe_split in another order", {
    dataframe_split: { columns: [...columns].reverse(), data: values.map((one) => [...one].reverse()) },
  }),
  json("dataframe_split with an index", { dataframe_split: { columns, index: [7, 9], data: values } }),
  json("dataframe_split without rows", { dataframe_split: { columns, data: [] } }),
  json("dataframe_split without columns", { dataframe_split: { data: values } }),
  json("dataframe_split without data", { dataframe_split: { columns } }),
  json("dataframe_split with another member", { dataframe_split: { columns, data: values, x: 1 } }),
  json("dataframe_split as a list", { dataframe_split: values }),
  json("a ragged dataframe_split", { dataframe_split: { columns, data: [values[0], values[1]!.slice(0, 2)] } }),
  json("dataframe_records", { dataframe_records: [row, other] }),
  json("dataframe_records with another column", { dataframe_records: [{ ...row, note: "x" }] }),
  json("dataframe_records without a column", { dataframe_records: [partial] }),
  json("dataframe_records that lack a number in one", { dataframe_records: [row, partial] }),
  json("dataframe_records that are none", { dataframe_records: [] }),
  json("dataframe_records that are an object", { dataframe_records: row }),
  json("instances of records", { instances: [row, other] }),
  json("instances of columns", { instances: byColumn }),
  json("instances that are one row", { instances: row }),
  json("instances of lists", { instances: values }),
  json("inputs of records", { inputs: [row, other] }),
  json("inputs of columns", { inputs: byColumn }),
  json("inputs that are one row", { inputs: row }),
  json("inputs of lists", { inputs: values }),
  json("inputs of nested columns", { inputs: { spend: [[1]], amount: [[1]], n_trips: [[1]], is_new: [[true]] } }),
  json("params of no meaning", { dataframe_records: [row], params: { temperature: 0.5 } }),
  json("two forms", { dataframe_records: [row], inputs: [row] }),
  json("no form", { rows: [row] }),
  json("a list", [row]),
  json("a number", "5"),
  json("no JSON", "{"),
  json("nothing", ""),
  records("a null number", { amount: null }),
  records("a null whole number", { n_trips: null }),
  records("a null bool", { is_new: null }, "Python makes False of it, which is not what the caller said"),
  records("a whole number for a double", { amount: 2 }),
  records("a bool for a double", { amount: true }),
  records("digits for a double", { amount: "1.5" }),
  records("a text for a double", { amount: "x" }),
  records("a whole double for a long", { n_trips: 4.0 }),
  records("digits for a long", { n_trips: "4" }),
  records("a fraction for a long", { n_trips: 1.5 }, "NumPy cuts it off, and the caller never knows"),
  records("1 for a bool", { is_new: 1 }),
  records("true as a text", { is_new: "true" }),
  records("a list for a double", { amount: [1] }),
  records("an object for a double", { amount: {} }),
  json("Python's NaN", '{"dataframe_records":[{"spend":NaN,"amount":1.5,"n_trips":3,"is_new":true}]}'),
  json("Python's Infinity", '{"dataframe_records":[{"spend":Infinity,"amount":1.5,"n_trips":3,"is_new":true}]}'),
  csv("CSV", "spend,amount,n_trips,is_new\n12.5,1.5,3,True\n80.25,-0.5,17,False\n"),
  csv("CSV with an index, in another order", ",is_new,amount,n_trips,spend\n0,True,1.5,3,12.5\n"),
  csv("CSV with a missing number", "spend,amount,n_trips,is_new\n,1.5,3,true\n"),
  csv("CSV without rows", "spend,amount,n_trips,is_new\n"),
  csv("CSV without a column", "spend,amount,n_trips\n1,2,3\n"),
  csv("CSV with a text", "spend,amount,n_trips,is_new\nx,1.5,3,True\n"),
  csv("CSV with too many values", "spend,amount,n_trips,is_new\n1,2,3,True,5,6,7\n"),
  csv("no CSV", ""),
  { what: "a form of the web", type: "application/x-www-form-urlencoded", body: "a=1" },
  { what: "another charset", type: "application/json; charset=latin-1", body: "{}" },
  { what: "a parameter of the type", type: "application/json; format=pandas-split", body: "{}" },
  { what: "UTF-8 in capitals", type: "application/json; charset=UTF-8", body: JSON.stringify({ inputs: [row] }) },
];

/** The predictions if it answered; the class of its status, as 4 for 415. */
export interface Scored {
  readonly status: number;
  readonly predictions: unknown;
}

export async function score(url: string, { type, body }: ScoringBody): Promise<Scored> {
  const answer = await fetch(`${url}/invocations`, { method: "POST", headers: { "content-type": type }, body });
  const text = await answer.text();
  return {
    status: Math.floor(answer.status / 100),
    predictions: answer.status === 200 ? (JSON.parse(text) as { predictions: unknown }).predictions : null,
  };
}
