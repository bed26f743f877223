// A service that calls another in its own name, and that other one, which verifies the token with
// the published keys alone. Both use oauth4webapi. Options: issuer, client_id, secret, resource.
import * as oauth from "oauth4webapi";

const options = JSON.parse(process.argv[2]);
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(options.issuer);
const found = await oauth.discoveryRequest(issuer, insecure);
const as = await oauth.processDiscoveryResponse(issuer, found);

const caller = { client_id: options.client_id };
const answer = await oauth.clientCredentialsGrantRequest(
  as,
  caller,
  oauth.ClientSecretBasic(options.secret),
  { resource: options.resource },
  insecure,
);
const { access_token } = await oauth.processClientCredentialsResponse(as, caller, answer);

const headers = { authorization: `Bearer ${access_token}` };
const request = new Request(options.resource, { headers });
const claims = await oauth.validateJwtAccessToken(as, request, options.resource, insecure);
console.log(JSON.stringify(claims));

let refusal = null;
try {
  await oauth.validateJwtAccessToken(as, request, "https://other.example.com", insecure);
} catch (error) {
  refusal = error.message;
}
console.log(JSON.stringify(refusal));
