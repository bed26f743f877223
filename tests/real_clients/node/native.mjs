// An installed app that signs its user in with openid-client 6: it opens a browser, and listens at
// a loopback port that the system chose. Options: issuer, client_id.
import { once } from "node:events";
import { createServer } from "node:http";
import * as client from "openid-client";

const options = JSON.parse(process.argv[2]);
const configuration = await client.discovery(
  new URL(options.issuer),
  options.client_id,
  undefined,
  client.None(),
  { execute: [client.allowInsecureRequests] },
);
const server = createServer();
await once(server.listen(0, "127.0.0.1"), "listening");
const redirect_uri = `http://127.0.0.1:${server.address().port}/callback`;
const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const url = client.buildAuthorizationUrl(configuration, {
  redirect_uri,
  scope: "openid profile",
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
console.log(JSON.stringify(url.href));
const [request, response] = await once(server, "request");
response.end("You can close this window.");
const tokens = await client.authorizationCodeGrant(
  configuration,
  new URL(request.url, redirect_uri),
  { pkceCodeVerifier: verifier, expectedState: state, idTokenExpected: true },
);
console.log(JSON.stringify(tokens.claims()));
server.close();
