// A web app that signs people in with openid-client 6. Options: issuer, client_id, secret.
import { createServer } from "node:http";
import * as client from "openid-client";

const options = JSON.parse(process.argv[2]);
const sign_ins = new Map();

const server = createServer((request, response) => {
  answer(new URL(request.url, base())).then(
    ({ location, body }) => {
      response.writeHead(location ? 302 : 200, location ? { location } : { "content-type": "application/json" });
      response.end(body ? JSON.stringify(body) : "");
    },
    (error) => response.writeHead(500).end(String(error.code ?? error)),
  );
});

const base = () => `http://127.0.0.1:${server.address().port}`;

let configuration;

async function answer(url) {
  if (url.pathname === "/login") return { location: await begin() };
  if (url.pathname === "/callback") return { body: await finish(url) };
  return { body: "signed out" };
}

async function begin() {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  sign_ins.set(state, { verifier, nonce });
  return client.buildAuthorizationUrl(configuration, {
    redirect_uri: `${base()}/callback`,
    scope: options.scope ?? "openid profile offline_access",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  }).href;
}

async function finish(url) {
  const { verifier, nonce } = sign_ins.get(url.searchParams.get("state"));
  const tokens = await client.authorizationCodeGrant(configuration, url, {
    pkceCodeVerifier: verifier,
    expectedState: url.searchParams.get("state"),
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  const { sub } = tokens.claims();
  const renewed = await client.refreshTokenGrant(configuration, tokens.refresh_token);
  const userinfo = await client.fetchUserInfo(configuration, renewed.access_token, sub);
  const sign_out = client.buildEndSessionUrl(configuration, {
    id_token_hint: renewed.id_token,
    post_logout_redirect_uri: `${base()}/bye`,
  });
  return { claims: tokens.claims(), userinfo, sign_out: sign_out.href };
}

server.listen(0, "127.0.0.1", async () => {
  console.log(JSON.stringify(base()));
  // The client is registered only now: a web app's address is a part of its registration.
  process.stdin.once("data", async (line) => {
    const { client_id, secret } = JSON.parse(line);
    configuration = await client.discovery(new URL(options.issuer), client_id, secret, undefined, {
      execute: [client.allowInsecureRequests],
    });
    console.log(JSON.stringify("ready"));
  });
});
