// A provider made with oidc-provider. Options: client_id, secret, redirect_uri, account (its claims).
// It signs the one account in without a page of its own.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const options = JSON.parse(process.argv[2]);

const server = createServer((request, response) => {
  const uid = /^\/interaction\/(.+)$/.exec(request.url)?.[1];
  if (!uid) return handle(request, response);
  return interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
});

let provider;
let handle;

async function interact(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    const login = { accountId: options.account.sub, amr: options.amr, acr: options.acr };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = new provider.Grant({ accountId: options.account.sub, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent });
}

server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(issuer, {
    clients: [
      {
        client_id: options.client_id,
        client_secret: options.secret,
        redirect_uris: [options.redirect_uri],
        response_types: ["code"],
        grant_types: ["authorization_code"],
      },
    ],
    claims: { email: ["email", "email_verified"], profile: ["name"] },
    cookies: { keys: ["a key of tests"] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => options.account }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  });
  handle = provider.callback();
  console.log(JSON.stringify(issuer));
});
