// SPDX-License-Identifier: ISC
// The common small program, with postgres.js: pipelines and prepared statements by default.
const postgres = require('postgres');
const assert = require('assert');

async function one(i) {
  const who = `postgres.js ${i}`;
  const sql = postgres({
    host: process.env.DBHOST, port: +process.env.DBPORT, user: process.env.DBUSER, password: process.env.DBPASSWORD,
    database: process.env.DBNAME, connection: { application_name: who }, max: 2, onnotice: () => {},
  });
  assert.equal((await sql`show application_name`)[0].application_name, who);
  await sql.begin(async (t) => {
    for (let n = 0; n < 3; n++) await t`insert into scratch ${t({ who, note: String(n) })}`;
    await t`update scratch set note = 'changed' where who = ${who} and note = '1'`;
    assert.equal((await t`delete from scratch where who = ${who} and note = '2'`).count, 1);
  });
  await assert.rejects(sql.begin(async (t) => {
    await t`insert into scratch ${t({ who })}`;
    throw new Error('roll back');
  }), /roll back/);
  assert.equal((await sql`select count(*)::int as n from scratch where who = ${who}`)[0].n, 2);
  const many = await Promise.all([...Array(30).keys()].map((n) => sql`select ${n}::int * 2 as d`));
  many.forEach((r, n) => assert.equal(r[0].d, 2 * n));
  await assert.rejects(sql`insert into items values (1, 'x', 1)`, { code: '23505' });
  await assert.rejects(sql.begin((t) => t`select 1/${0}::int`), { code: '22012' });
  const own = await sql.reserve();
  for (const text of ['select 1 as kept', 'deallocate all', 'select 1 as kept']) await own.unsafe(text, [], { prepare: true });
  own.release();
  let rows = 0;
  await sql`select i, repeat('x', 100) as t from generate_series(1, 20000) i`.cursor(1000, (r) => { rows += r.length; });
  assert.equal(rows, 20000);
  await sql`delete from scratch where who = ${who}`;
  await sql.end();
}

Promise.all([...Array(+process.env.CLIENTS).keys()].map(one)).then(() => console.log('ok'), (e) => {
  console.error(e);
  process.exit(1);
});
