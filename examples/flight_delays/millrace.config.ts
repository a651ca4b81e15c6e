import { defineConfig } from "../../src/index.ts";

export default defineConfig({
  declarations: "./features.ts",
  data: "../../.millrace/flight_delays",
  replay: { hold: true },
});
