import { readFile } from "node:fs/promises";
import type { FastifyInstance } from "fastify";

const FOLDER = new URL("../console/", import.meta.url);
const ASSETS: Readonly<Record<string, string>> = {
  "console.css": "text/css; charset=utf-8",
  "console.js": "text/javascript; charset=utf-8",
  "exposition.js": "text/javascript; charset=utf-8",
};
/** The page loads nothing from elsewhere, runs nothing that stands in it, and is shown in no frame. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The console: a page that shows what the server does now, from its metrics and catalog, and predicts on demand. The
 * files hold no data: with API keys, the page asks for one.
 */
export function consoleRoutes(app: FastifyInstance, version: string): void {
  const links = {
    console: "/console",
    docs: "/docs",
    openapi: "/openapi.json",
    models: "/v1/models",
    feature_services: "/v1/features/services",
    sources: "/v1/sources",
    readiness: "/readyz",
    metrics: "/metrics",
  };
  app.get("/", { schema: { hide: true } }, async (request, reply) => {
    if (!(request.headers.accept ?? "").includes("text/html")) return { name: "millrace", version, links };
    // Relative, for servers behind a proxy's path.
    return reply.redirect("console");
  });

  app.get("/console", { schema: { hide: true } }, async (request, reply) => {
    if (request.url.split("?", 1)[0]!.endsWith("/")) return reply.redirect("../console");
    reply.type("text/html; charset=utf-8").header("content-security-policy", POLICY);
    return readFile(new URL("console.html", FOLDER), "utf8");
  });

  for (const [name, type] of Object.entries(ASSETS)) {
    app.get(`/console/${name}`, { schema: { hide: true } }, async (_request, reply) => {
      reply.type(type);
      return readFile(new URL(name, FOLDER), "utf8");
    });
  }
}
