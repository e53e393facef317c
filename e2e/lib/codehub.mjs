// code-hub as it stands in front of a gateway: its API server (a stand-in, FastAPI over PostgreSQL), and nginx as the
// ingress that sends `/.portway/` and every workspace's host to Portway and all else to it.
// Knows processes and routes; knows no page.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './gateway.mjs';
import { eventually, within } from './wait.mjs';

const APP = join(dirname(fileURLToPath(import.meta.url)), '../devservers/apps/codehub/main.py');
const CACHE = process.env.PORTWAY_TEST_CACHE
  ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'portway/devservers');

function start(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] });
  const exited = new Promise((resolve) => child.on('exit', resolve));
  return async () => {
    child.kill('SIGTERM');
    await within(`${command} to stop`, exited);
  };
}

const answers = (url) => fetch(url).then(() => true, () => false);

/** Starts the API server over a database; `env` are more of its settings, which its first lines name. */
export async function startApi(databaseUrl, env = {}) {
  const port = await freePort();
  const stop = start(join(CACHE, 'venvs/codehub/bin/python'), ['-B', APP], // -B: it leaves no files in the checkout
    { DATABASE_URL: databaseUrl, PORT: String(port), ...env });
  await eventually('the API server to answer', () => answers(`http://127.0.0.1:${port}/login`));
  return { port, url: `http://127.0.0.1:${port}`, stop };
}

/** Starts nginx on `port`: the control host's pages are the API server's, `/.portway/` and workspaces are Portway's. */
export async function startIngress({ port, domain, api, gateway }) {
  const dir = mkdtempSync(join(tmpdir(), 'portway-nginx-'));
  const file = join(dir, 'nginx.conf');
  writeFileSync(file, `
worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log; daemon off;
events {}
http {
  access_log off;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  # R21: what a page of a workspace asks of the control host never reaches the API server.
  map $http_origin $foreign { default 1; '' 0; 'http://${domain}:${port}' 0; }
  map $http_sec_fetch_site:$http_sec_fetch_mode $elsewhere { default 0; '~^(same|cross)-site:(?!navigate)' 1; }
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_buffering off;
  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
  server {
    listen 127.0.0.1:${port}; server_name ${domain};
    location /.portway/ { proxy_pass http://${gateway}; }
    location / {
      if ($foreign) { return 403; }
      if ($elsewhere) { return 403; }
      proxy_pass http://127.0.0.1:${api};
    }
  }
  server { listen 127.0.0.1:${port} default_server; location / { proxy_pass http://${gateway}; } }
}
`);
  const stop = start('nginx', ['-c', file, '-p', dir, '-e', join(dir, 'error.log')]);
  await eventually('nginx to answer', () => answers(`http://127.0.0.1:${port}/`));
  return {
    async stop() {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
