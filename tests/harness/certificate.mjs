// A certificate for a server under test, made by openssl.

import { join } from 'node:path';

import { run, temporaryFolder } from './server.mjs';

const folder = temporaryFolder();
export const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name));
const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert]).catch(() => ({ code: 127 }));

/** For a test's `skip`. */
export const noCertificate = made.code !== 0 && 'openssl is not there to make a certificate';
/** The options that turn TLS on. */
export const TLS = ['--tls-cert', cert, '--tls-key', key];
