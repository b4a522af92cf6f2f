// Makes an assertion with the library `jose`, or reads one: a job as JSON on standard input, what
// came of it as JSON on standard output.
const jose = require("jose");

const SIGNED = { alg: "RS256" };
const SEALED = { alg: "RSA-OAEP-256", enc: "A128CBC-HS256" };

async function make({ claims, app_key, server_key }) {
  const signing = await jose.importPKCS8(app_key, SIGNED.alg);
  const sealing = await jose.importJWK(server_key, SEALED.alg);
  const inner = await new jose.CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader(SIGNED)
    .sign(signing);
  return new jose.CompactEncrypt(new TextEncoder().encode(inner))
    .setProtectedHeader(SEALED)
    .encrypt(sealing);
}

async function read({ token, app_certificate, server_key }) {
  const opening = await jose.importPKCS8(server_key, SEALED.alg);
  const checking = await jose.importX509(app_certificate, SIGNED.alg);
  const outer = await jose.compactDecrypt(token, opening);
  const inner = await jose.compactVerify(outer.plaintext, checking);
  return {
    outer: outer.protectedHeader,
    inner: inner.protectedHeader,
    claims: JSON.parse(new TextDecoder().decode(inner.payload)),
  };
}

async function main() {
  let text = "";
  for await (const part of process.stdin) text += part;
  const job = JSON.parse(text);
  process.stdout.write(JSON.stringify(await { make, read }[job.what](job)));
}

main();
