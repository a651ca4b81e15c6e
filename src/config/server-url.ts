/** True for an address that holds no secret: URLs are logged, users and queries would be too. */
export function isServerUrl(url: unknown): url is string {
  if (typeof url !== "string" || !/^https?:\/\//.test(url) || !URL.canParse(url)) return false;
  const { username, password, search, hash } = new URL(url);
  return username === "" && password === "" && search === "" && hash === "";
}
