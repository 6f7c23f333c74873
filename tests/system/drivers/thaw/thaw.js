// SPDX-License-Identifier: ISC
// thaw.js pg|postgres: each line on stdin is a statement, its answer one line of JSON (see ../frozen.py).
'use strict';
const readline = require('readline');

const where = { host: process.env.DBHOST, port: +process.env.DBPORT, user: process.env.DBUSER,
                password: process.env.DBPASSWORD, database: process.env.DBNAME };

async function open(which) {
    if (which === 'pg') {
        const { Client } = require('pg');
        const c = new Client(where);
        c.on('error', () => {});
        await c.connect();
        return async (sql) => (await c.query({ text: sql, rowMode: 'array' })).rows;
    }
    const sql = require('postgres')({ ...where, max: 1, onnotice: () => {} });
    const c = await sql.reserve();
    return async (text) => Array.from(await c.unsafe(text, [], { prepare: !/^(begin|commit|rollback)/i.test(text) })).map((r) => Object.values(r));
}

(async () => {
    const run = await open(process.argv[2]);
    for await (const line of readline.createInterface({ input: process.stdin })) {
        let answer;
        try {
            answer = { rows: (await run(line)).map((r) => r.map(String)) };
        } catch (e) {
            answer = { error: e.code || e.name, text: e.message };
        }
        console.log(JSON.stringify(answer));
    }
    process.exit(0);
})();
