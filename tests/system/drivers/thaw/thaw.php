<?php
// SPDX-License-Identifier: ISC
// PDO, with statements prepared at the server: a line on stdin is a statement (see ../frozen.py).
$db = new PDO(sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('DBHOST'), getenv('DBPORT'), getenv('DBNAME')), getenv('DBUSER'),
	getenv('DBPASSWORD'), [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => false]);
while (($line = fgets(STDIN)) !== false) {
	$sql = trim($line);
	try {
		if (preg_match('/^(begin|commit|rollback)/i', $sql)) {
			$db->exec($sql);
			$rows = [];
		} else {
			$q = $db->prepare($sql);
			$q->execute();
			$rows = array_map(fn($r) => array_map('strval', $r), $q->fetchAll(PDO::FETCH_NUM));
		}
		echo json_encode(['rows' => $rows]), "\n";
	} catch (PDOException $e) {
		echo json_encode(['error' => (string)$e->getCode(), 'text' => $e->getMessage()]), "\n";
	}
}
