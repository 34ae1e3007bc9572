// Drives the stand-in with the real client: node drive.mjs <base> <base with confirmation> <publishable> <secret>.
// One line per check that held; the first that does not ends it.
import assert from "node:assert/strict";
import { GoTrueAdminApi, GoTrueClient } from "@supabase/auth-js";

const [open, confirming, publishable, secret] = process.argv.slice(2);
const password = "correct horse battery";

function storage() {
  const items = new Map();
  return {
    items,
    getItem: async (key) => items.get(key) ?? null,
    setItem: async (key, value) => void items.set(key, value),
    removeItem: async (key) => void items.delete(key),
  };
}

function client(base, more = {}) {
  return new GoTrueClient({
    url: `${base}/auth/v1`,
    headers: { apikey: publishable },
    storageKey: "test",
    autoRefreshToken: false,
    detectSessionInUrl: false,
    storage: storage(),
    ...more,
  });
}

function admin(base, key) {
  return new GoTrueAdminApi({
    url: `${base}/auth/v1`,
    headers: { apikey: key, Authorization: `Bearer ${key}` },
  });
}

async function good(promise) {
  const { data, error } = await promise;
  assert.equal(error, null, error?.message);
  return data;
}

async function refused(promise, status, code) {
  const { error } = await promise;
  assert.ok(error, `expected ${code}`);
  assert.deepEqual([error.status, error.code], [status, code], error.message);
  return error;
}

const checks = {
  async "sign up opens a session"() {
    const auth = client(open);
    const { session, user } = await good(auth.signUp({ email: "Ada@example.org", password, options: { data: { name: "Ada" } } }));
    assert.equal(user.email, "ada@example.org");
    assert.equal(user.user_metadata.name, "Ada");
    assert.equal(session.token_type, "bearer");
    assert.equal(session.expires_in, 3600);
    assert.ok(session.access_token && session.refresh_token);
  },

  async "a taken address is told where nothing is confirmed"() {
    await refused(client(open).signUp({ email: "ada@example.org", password }), 422, "user_already_exists");
  },

  async "a weak password comes with its reasons"() {
    const error = await refused(client(open).signUp({ email: "weak@example.org", password: "pass" }), 422, "weak_password");
    assert.deepEqual(error.reasons, ["length"]);
  },

  async "a password past 72 bytes is not valid"() {
    await refused(client(open).signUp({ email: "long@example.org", password: "x".repeat(73) }), 400, "validation_failed");
  },

  async "sign in, and wrong passwords and unknown addresses alike"() {
    const auth = client(open);
    await refused(auth.signInWithPassword({ email: "ada@example.org", password: "wrong" }), 400, "invalid_credentials");
    await refused(auth.signInWithPassword({ email: "nobody@example.org", password }), 400, "invalid_credentials");
    const { session } = await good(auth.signInWithPassword({ email: "ada@example.org", password }));
    assert.equal(session.user.email, "ada@example.org");
  },

  async "the client itself verifies the token with the published keys"() {
    const auth = client(open);
    const { session } = await good(auth.signInWithPassword({ email: "ada@example.org", password }));
    const { claims, header } = await good(auth.getClaims());
    assert.equal(header.alg, "ES256");
    assert.equal(claims.sub, session.user.id);
    assert.equal(claims.aud, "authenticated");
    assert.equal(claims.role, "authenticated");
    assert.equal(claims.iss, `${open}/auth/v1`);
  },

  async "a session survives in the storage of the client"() {
    const kept = storage();
    await good(client(open, { storage: kept }).signInWithPassword({ email: "ada@example.org", password }));
    assert.equal(kept.items.size > 0, true);
    const { session } = await good(client(open, { storage: kept }).getSession());
    assert.equal(session.user.email, "ada@example.org");
  },

  async "refreshing gives the next pair"() {
    const auth = client(open);
    const first = (await good(auth.signInWithPassword({ email: "ada@example.org", password }))).session;
    const second = (await good(auth.refreshSession())).session;
    assert.notEqual(first.refresh_token, second.refresh_token);
    assert.equal((await good(auth.getUser())).user.email, "ada@example.org");
  },

  async "the parent of the active token gives the active one"() {
    const first = (await good(client(open).signInWithPassword({ email: "ada@example.org", password }))).session;
    const once = (await good(client(open).refreshSession(first))).session;
    const again = (await good(client(open).refreshSession(first))).session;
    assert.equal(again.refresh_token, once.refresh_token);
  },

  async "an answer that was lost is asked for again by the client"() {
    let lost = 0;
    const losing = async (url, options) => {
      const answer = await fetch(url, options);
      if (String(url).includes("refresh_token") && lost++ === 0) throw new TypeError("cut");
      return answer;
    };
    const auth = client(open, { fetch: losing });
    const first = (await good(auth.signInWithPassword({ email: "ada@example.org", password }))).session;
    const next = (await good(auth.refreshSession())).session;
    assert.equal(lost, 2);
    assert.notEqual(next.refresh_token, first.refresh_token);
  },

  async "an older token ends the whole session"() {
    const first = (await good(client(open).signInWithPassword({ email: "ada@example.org", password }))).session;
    const second = (await good(client(open).refreshSession(first))).session;
    const third = (await good(client(open).refreshSession(second))).session;
    await refused(client(open).refreshSession(first), 400, "refresh_token_already_used");
    await refused(client(open).refreshSession(third), 400, "refresh_token_not_found");
    const error = (await client(open).getUser(third.access_token)).error;
    assert.equal(error?.name, "AuthSessionMissingError");
  },

  async "a user changes what is theirs"() {
    const auth = client(open);
    await good(auth.signUp({ email: "bob@example.org", password }));
    const other = client(open);
    const elsewhere = (await good(other.signInWithPassword({ email: "bob@example.org", password }))).session;
    assert.equal((await good(auth.updateUser({ data: { colour: "blue" } }))).user.user_metadata.colour, "blue");
    await refused(auth.updateUser({ password }), 422, "same_password");
    await refused(auth.updateUser({ email: "ada@example.org" }), 422, "email_exists");
    await good(auth.updateUser({ password: "another horse battery" }));
    assert.ok((await client(open).getUser(elsewhere.access_token)).error, "other work has ended");
    await good(client(open).signInWithPassword({ email: "bob@example.org", password: "another horse battery" }));
  },

  async "signing out ends this session, others, or all"() {
    const [one, two] = [client(open), client(open)];
    await good(one.signInWithPassword({ email: "ada@example.org", password }));
    await good(two.signInWithPassword({ email: "ada@example.org", password }));
    const token = (await good(one.getSession())).session.access_token;
    assert.equal((await one.signOut({ scope: "local" })).error, null);
    assert.equal((await good(one.getSession())).session, null);
    assert.ok((await client(open).getUser(token)).error);
    await good(two.getUser());
    await good(one.signInWithPassword({ email: "ada@example.org", password }));
    assert.equal((await one.signOut({ scope: "others" })).error, null);
    assert.ok((await two.getUser()).error);
    await good(one.getUser());
    assert.equal((await one.signOut()).error, null);
    assert.equal((await one.signOut()).error, null, "twice is no error");
  },

  async "with confirmation, signing up opens nothing and tells nothing"() {
    const auth = client(confirming);
    const first = await good(auth.signUp({ email: "ada@example.org", password }));
    assert.equal(first.session, null);
    assert.equal(first.user.identities.length, 1);
    await refused(auth.signInWithPassword({ email: "ada@example.org", password }), 400, "email_not_confirmed");
    await good(admin(confirming, secret).updateUserById(first.user.id, { email_confirm: true }));
    await good(auth.signInWithPassword({ email: "ada@example.org", password }));
    const invented = await good(auth.signUp({ email: "ada@example.org", password: "somebody else's" }));
    assert.equal(invented.session, null);
    assert.notEqual(invented.user.id, first.user.id);
    assert.equal(invented.user.identities.length, 0);
  },

  async "only the secret key administers"() {
    const made = await good(admin(open, secret).createUser({ email: "eve@example.org", password, email_confirm: true }));
    assert.equal(made.user.email, "eve@example.org");
    await good(client(open).signInWithPassword({ email: "eve@example.org", password }));
    await refused(admin(open, secret).createUser({ email: "eve@example.org", password }), 422, "email_exists");
    assert.ok((await admin(open, publishable).createUser({ email: "mallory@example.org", password })).error);
    const { users } = await good(admin(open, secret).listUsers());
    assert.ok(users.some((user) => user.email === "eve@example.org"));
    await good(admin(open, secret).deleteUser(made.user.id));
    await refused(client(open).signInWithPassword({ email: "eve@example.org", password }), 400, "invalid_credentials");
  },

  async "an unknown key gets no further than the gateway"() {
    const auth = client(open, { headers: { apikey: "sb_publishable_wrong" } });
    const { error } = await auth.signInWithPassword({ email: "ada@example.org", password });
    assert.deepEqual([error.status, error.message], [401, "Invalid API key"]);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    console.error(`not ok - ${name}\n${error.stack}`);
    process.exit(1);
  }
  console.log(`ok - ${name}`);
}
