// A web app that signs people in with openid-client 5, which countless apps have.
import { createServer } from "node:http";
import { Issuer, generators } from "openid-client-5";

const options = JSON.parse(process.argv[2]);
const sign_ins = new Map();
let client;

const server = createServer((request, response) => {
  answer(new URL(request.url, base()), request).then(
    ({ location, body }) => {
      response.writeHead(location ? 302 : 200, location ? { location } : { "content-type": "application/json" });
      response.end(body ? JSON.stringify(body) : "");
    },
    (error) => response.writeHead(500).end(error.message),
  );
});

const base = () => `http://127.0.0.1:${server.address().port}`;

async function answer(url, request) {
  if (url.pathname === "/login") {
    const [verifier, state, nonce] = [generators.codeVerifier(), generators.state(), generators.nonce()];
    sign_ins.set(state, { verifier, nonce });
    const challenge = generators.codeChallenge(verifier);
    const location = client.authorizationUrl({
      scope: "openid profile",
      code_challenge: challenge,
      code_challenge_method: "S256",
      state,
      nonce,
    });
    return { location };
  }
  const parameters = client.callbackParams(request);
  const { verifier, nonce } = sign_ins.get(parameters.state);
  const checks = { code_verifier: verifier, state: parameters.state, nonce };
  const tokens = await client.callback(`${base()}/callback`, parameters, checks);
  return { body: { claims: tokens.claims(), userinfo: await client.userinfo(tokens) } };
}

server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify(base()));
  process.stdin.once("data", async (line) => {
    const { client_id, secret } = JSON.parse(line);
    const issuer = await Issuer.discover(options.issuer);
    client = new issuer.Client({
      client_id,
      client_secret: secret,
      redirect_uris: [`${base()}/callback`],
      response_types: ["code"],
    });
    console.log(JSON.stringify("ready"));
  });
});
