<?php
// SPDX-License-Identifier: ISC
// The common small program, with PDO: server-side prepared statements under names of its own, which it
// deallocates by SQL. One client for each process.
$i = getenv('NUMBER');
$who = "pdo $i";
function check($ok, $what) { if (!$ok) { fwrite(STDERR, "wrong: $what\n"); exit(1); } }
function code($work) { try { $work(); } catch (PDOException $e) { return $e->getCode(); } return null; }
$db = new PDO(sprintf("pgsql:host=%s;port=%s;dbname=%s;application_name='%s'", getenv('DBHOST'), getenv('DBPORT'), getenv('DBNAME'),
	$who), getenv('DBUSER'), getenv('DBPASSWORD'), [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => false]);
check($db->query('show application_name')->fetchColumn() === $who, 'application name');
$db->beginTransaction();
$in = $db->prepare('insert into scratch (who, note) values (?, ?)');
for ($n = 0; $n < 3; $n++) $in->execute([$who, $n]);
$db->prepare('update scratch set note = ? where who = ? and note = ?')->execute(['changed', $who, '1']);
$del = $db->prepare('delete from scratch where who = ? and note = ?');
$del->execute([$who, '2']);
check($del->rowCount() === 1, 'delete');
$db->commit();
$db->beginTransaction();
$in->execute([$who, 'x']);
$db->rollBack();
$count = $db->prepare('select count(*) from scratch where who = :who');
$count->execute(['who' => $who]);
check((int)$count->fetchColumn() === 2, 'count');
for ($round = 0; $round < 5; $round++) {
	$q = $db->prepare('select ?::int * 2');
	for ($n = 0; $n < 30; $n++) {
		$q->execute([$n]);
		check((int)$q->fetchColumn() === 2 * $n, 'double');
	}
	unset($q); // DEALLOCATE
}
check(code(fn() => $db->exec("insert into items values (1, 'x', 1)")) === '23505', '23505');
$db->beginTransaction();
check(code(fn() => $db->query('select 1/0')) === '22012', '22012');
check(code(fn() => $db->query('select 1')) === '25P02', '25P02');
$db->rollBack();
$big = $db->query("select i, repeat('x', 100) from generate_series(1, 20000) i");
check(count($big->fetchAll()) === 20000, 'large');
$db->prepare('delete from scratch where who = ?')->execute([$who]);
echo "ok\n";
