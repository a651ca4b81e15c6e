type Environment = Readonly<Record<string, string | undefined>>;

/** Names of values that are secret; not of files that hold them. */
const SECRET_NAME = /pass(word|wd|phrase)?$|secret|token|credential|api_?key|private_?key|access_?key|authorization/i;
const FILE_NAME = /(file|path|url|uri)$/i;
/** Shorter ones stand in ordinary words. */
const SHORTEST = 6;

/**
 * The secrets of a configuration and of the process's variables: what passwords, tokens, keys and headers hold there,
 * and the passwords in URLs; each once, of at least six characters. They are what {@link hideSecrets} hides.
 */
export function secretsOf(config: unknown, env: Environment): readonly string[] {
  const found = new Set<string>();
  const add = (secret: string): void => {
    if (secret.length >= SHORTEST) found.add(secret);
  };
  function look(name: string, value: unknown, isSecret: boolean): void {
    if (typeof value === "string") {
      if (isSecret || (SECRET_NAME.test(name) && !FILE_NAME.test(name))) add(value);
      for (const password of passwordsIn(value)) add(password);
    } else if (typeof value === "object" && value !== null) {
      // The names of headers say nothing about their values.
      const within = isSecret || name === "headers";
      for (const [inner, one] of Object.entries(value)) look(Array.isArray(value) ? name : inner, one, within);
    }
  }
  look("", config, false);
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (/_HEADERS$/.test(name)) for (const header of value.split(",")) addHeader(header, add);
    else look(name, value, false);
  }
  return [...found];
}

/** `name=value`, percent-encoded, as in `OTEL_EXPORTER_OTLP_HEADERS`. */
function addHeader(header: string, add: (secret: string) => void): void {
  const value = header.slice(header.indexOf("=") + 1).trim();
  add(value);
  try {
    const decoded = decodeURIComponent(value);
    add(decoded);
    add(decoded.replace(/^(Bearer|Basic) +/i, ""));
  } catch {
    // It is not percent-encoded.
  }
}

/** Of all URLs in a text, as they are written and decoded. */
function passwordsIn(text: string): readonly string[] {
  return Array.from(text.matchAll(/\w:\/\/[^\s/:@]*:([^\s@]+)@/g), ([, password]) => password!).flatMap((password) => {
    try {
      return [password, decodeURIComponent(password)];
    } catch {
      return [password];
    }
  });
}
