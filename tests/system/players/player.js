// SPDX-License-Identifier: ISC
// player.js mysql2|mariadb: plays the steps that it reads, one JSON object a line (see ../harness/players.py).
'use strict';
const readline = require('readline');

function plain(v) {
    if (v === null || v === undefined) return null;
    if (Buffer.isBuffer(v)) return '0x' + v.toString('hex');
    if (v instanceof Date) return v.toISOString();
    if (typeof v === 'bigint') return v.toString();
    if (typeof v === 'object') return JSON.stringify(v);
    return String(v);
}

function one(r, fields) {
    if (Array.isArray(r)) {
        return { columns: (fields || []).map((f) => (typeof f.name === 'function' ? f.name() : f.name)),
                 rows: r.map((row) => Object.values(row).map(plain)) };
    }
    return { affected: plain(r.affectedRows), id: plain(r.insertId), info: r.info || null,
             warnings: r.warningStatus === undefined ? null : r.warningStatus };
}

async function open(which) {
    const more = JSON.parse(process.env.OPTIONS || '{}');
    const where = { host: process.env.DBHOST, port: +process.env.DBPORT, user: process.env.DBUSER,
                    password: process.env.DBPASSWORD, database: process.env.DBNAME || undefined, multipleStatements: true, ...more };
    if (which === 'mysql2') {
        const conn = await require('mysql2/promise').createConnection({ ...where, rowsAsArray: false });
        return {
            query: async (sql, params) => { const [r, f] = await conn.query(sql, params); return many(r, f); },
            execute: async (sql, params) => { const [r, f] = await conn.execute(sql, params || []); return many(r, f); },
            unprepare: async (sql) => { conn.unprepare(sql); return []; },
            schema: async (name) => { await conn.changeUser({ database: name }); return []; },
            reset: async () => { await new Promise((ok, no) => conn.connection.reset((e) => (e ? no(e) : ok()))); return []; },
            ping: async () => { await conn.ping(); return []; },
            close: () => conn.end(), id: () => conn.threadId,
        };
    }
    const conn = await require('mariadb').createConnection({ ...where, insertIdAsNumber: true, bigIntAsNumber: true,
                                                             permitLocalInfile: true });
    const list = (r) => [Array.isArray(r) && !r.meta && r.length && (Array.isArray(r[0]) || r[0].affectedRows !== undefined)
        ? r.map((x) => one(x, x.meta)) : one(r, r.meta)].flat();
    return {
        query: async (sql, params) => list(await conn.query(sql, params)),
        execute: async (sql, params) => list(await conn.execute(sql, params)),
        unprepare: async () => [],
        schema: async (name) => { await conn.changeUser({ database: name, user: where.user, password: where.password }); return []; },
        reset: async () => { await conn.reset(); return []; },
        ping: async () => { await conn.ping(); return []; },
        close: () => conn.end(), id: () => conn.threadId,
    };
}

function many(r, f) {
    const several = Array.isArray(f) && f.length > 0 && (Array.isArray(f[0]) || f.some((x) => x === undefined));
    if (several) return r.map((x, i) => one(x, f[i]));
    return [one(r, f)];
}

async function main() {
    const conn = await open(process.argv[2]);
    const say = (o) => process.stdout.write(JSON.stringify(o) + '\n');
    say({ ready: 1 });
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const step = JSON.parse(line);
        if (step.op === 'close') { await conn.close(); say({ ok: 1 }); process.exit(0); }
        try {
            say({ sets: await (step.op === 'schema' ? conn.schema(step.name)
                : step.op === 'ping' ? conn.ping() : step.op === 'reset' ? conn.reset()
                : step.op === 'unprepare' ? conn.unprepare(step.sql)
                : step.op === 'execute' ? conn.execute(step.sql, step.params) : conn.query(step.sql, step.params)) });
        } catch (e) {
            say({ error: e.errno === undefined ? String(e.code) : e.errno, state: e.sqlState || null, text: e.sqlMessage || e.message });
        }
    }
}
main().catch((e) => { process.stdout.write(JSON.stringify({ fatal: String(e.message) }) + '\n'); process.exit(1); });
