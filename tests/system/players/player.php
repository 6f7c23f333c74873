<?php
// SPDX-License-Identifier: ISC
// player.php emulate|prepare|laravel: PDO plays the steps that it reads, one JSON object a line (see ../harness/players.py).
$name = getenv('DBNAME');
$mode = $argv[1];
$options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => $mode === 'emulate',
            PDO::MYSQL_ATTR_LOCAL_INFILE => true];
try {
    $db = new PDO('mysql:host=' . getenv('DBHOST') . ';port=' . getenv('DBPORT') . ($name ? ";dbname=$name" : '') . ';charset=utf8mb4',
                  getenv('DBUSER'), getenv('DBPASSWORD'), $options);
    if ($mode === 'laravel') {
        $db->exec("use `$name`;");
        $db->exec("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci', SESSION sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,"
                  . "NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';");
    }
} catch (PDOException $e) {
    echo json_encode(['fatal' => $e->getMessage()]), "\n";
    exit(1);
}
echo json_encode(['ready' => 1]), "\n";

function collect($db, $st) {
    $sets = [];
    do {
        if ($st->columnCount() > 0) {
            $columns = [];
            for ($i = 0; $i < $st->columnCount(); $i++)
                $columns[] = $st->getColumnMeta($i)['name'];
            $rows = array_map(fn($r) => array_map(fn($v) => $v === null ? null : (string)$v, $r), $st->fetchAll(PDO::FETCH_NUM));
            $sets[] = ['columns' => $columns, 'rows' => $rows];
        } else {
            $sets[] = ['affected' => $st->rowCount(), 'id' => $db->lastInsertId()];
        }
    } while ($st->nextRowset());
    return $sets;
}

$kept = [];
while (($line = fgets(STDIN)) !== false) {
    $step = json_decode($line, true);
    try {
        switch ($step['op']) {
        case 'close':
            $kept = [];
            $db = null;
            echo json_encode(['ok' => 1]), "\n";
            exit(0);
        case 'execute':
            $key = $step['sql'];
            if (!isset($kept[$key]) || empty($step['keep']))
                $kept[$key] = $db->prepare($step['sql']);
            $kept[$key]->execute($step['params'] ?? []);
            $sets = collect($db, $kept[$key]);
            $kept[$key]->closeCursor();
            if (empty($step['keep']))
                unset($kept[$key]);
            echo json_encode(['sets' => $sets]), "\n";
            break;
        case 'ping':
            echo json_encode(['sets' => []]), "\n";
            break;
        default:
            $st = $db->query($step['sql']);
            echo json_encode(['sets' => collect($db, $st)]), "\n";
            $st = null;
        }
    } catch (PDOException $e) {
        echo json_encode(['error' => $e->errorInfo[1] ?? $e->getCode(), 'state' => $e->errorInfo[0] ?? null,
                          'text' => $e->errorInfo[2] ?? $e->getMessage()]), "\n";
    }
}
