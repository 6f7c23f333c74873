// SPDX-License-Identifier: ISC
// The common small program, with node-postgres.
const { Client } = require('pg');
const assert = require('assert');

async function one(i) {
  const who = `node-pg ${i}`;
  const c = new Client({
    host: process.env.DBHOST, port: +process.env.DBPORT, user: process.env.DBUSER, password: process.env.DBPASSWORD,
    database: process.env.DBNAME, application_name: who,
  });
  await c.connect();
  assert.equal((await c.query('show application_name')).rows[0].application_name, who);
  await c.query('begin');
  for (let n = 0; n < 3; n++) await c.query('insert into scratch (who, note) values ($1, $2)', [who, String(n)]);
  await c.query('update scratch set note = $1 where who = $2 and note = $3', ['changed', who, '1']);
  assert.equal((await c.query('delete from scratch where who = $1 and note = $2', [who, '2'])).rowCount, 1);
  await c.query('commit');
  await c.query('begin');
  await c.query('insert into scratch (who) values ($1)', [who]);
  await c.query('rollback');
  assert.equal((await c.query('select count(*)::int as n from scratch where who = $1', [who])).rows[0].n, 2);
  for (let n = 0; n < 30; n++) {
    const r = await c.query({ name: 'double', text: 'select $1::int * 2 as d', values: [n] });
    assert.equal(r.rows[0].d, 2 * n);
  }
  await assert.rejects(c.query("insert into items values (1, 'x', 1)"), { code: '23505' });
  await c.query('begin');
  await assert.rejects(c.query('select 1/$1::int', [0]), { code: '22012' });
  await assert.rejects(c.query('select 1'), { code: '25P02' });
  await c.query('rollback');
  await assert.rejects(c.query({ name: 'bad', text: 'selec' }), { code: '42601' });
  const big = await c.query("select i, repeat('x', 100) as t from generate_series(1, 20000) i");
  assert.equal(big.rows.length, 20000);
  await c.query('delete from scratch where who = $1', [who]);
  await c.end();
}

Promise.all([...Array(+process.env.CLIENTS).keys()].map(one)).then(() => console.log('ok'), (e) => {
  console.error(e);
  process.exit(1);
});
