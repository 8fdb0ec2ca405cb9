// Client tokens made by hand, so that a test can make wrong ones too.

import { createHmac } from 'node:crypto';

export const TOKEN_SECRET = 'the-token-secret-of-the-tests';
export const API_KEY = 'the-api-key-of-the-tests';
/** For a server whose secrets the test knows. */
export const SECRETS = { TIDINGS_TOKEN_SECRET: TOKEN_SECRET, TIDINGS_API_KEY: API_KEY };

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function jwt(claims, { secret = TOKEN_SECRET, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** A good token for `sub`, valid for an hour or for `ttl` seconds; negative: expired. */
export function tokenFor(sub, { ttl = 3600, ...more } = {}) {
  return jwt({ sub, exp: Math.floor(Date.now() / 1000) + ttl, ...more });
}
