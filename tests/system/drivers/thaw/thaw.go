// SPDX-License-Identifier: ISC

// thaw pgx|pq: each line on stdin is a statement, its answer one line of JSON (see ../frozen.py).
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/lib/pq"
)

type runner func(string) ([][]string, error)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func openPgx(dsn string) runner {
	conn, err := pgx.Connect(context.Background(), dsn)
	must(err)
	return func(text string) ([][]string, error) {
		rows, err := conn.Query(context.Background(), text)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		all := [][]string{}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return nil, err
			}
			row := []string{}
			for _, v := range values {
				row = append(row, fmt.Sprint(v))
			}
			all = append(all, row)
		}
		return all, rows.Err()
	}
}

func openPq(dsn string) runner {
	db, err := sql.Open("postgres", dsn)
	must(err)
	conn, err := db.Conn(context.Background())
	must(err)
	return func(text string) ([][]string, error) {
		rows, err := conn.QueryContext(context.Background(), text)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		all := [][]string{}
		for rows.Next() {
			row := make([]string, len(columns))
			into := make([]interface{}, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				return nil, err
			}
			all = append(all, row)
		}
		return all, rows.Err()
	}
}

func failed(err error) map[string]interface{} {
	code := "unknown"
	var byPgx *pgconn.PgError
	var byPq *pq.Error
	if errors.As(err, &byPgx) {
		code = byPgx.Code
	} else if errors.As(err, &byPq) {
		code = string(byPq.Code)
	}
	return map[string]interface{}{"error": code, "text": err.Error()}
}

func main() {
	dsn := fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s sslmode=disable", os.Getenv("DBHOST"), os.Getenv("DBPORT"),
		os.Getenv("DBUSER"), os.Getenv("DBPASSWORD"), os.Getenv("DBNAME"))
	open := map[string]func(string) runner{"pgx": openPgx, "pq": openPq}[os.Args[1]]
	run := open(dsn)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var answer interface{}
		if rows, err := run(lines.Text()); err != nil {
			answer = failed(err)
		} else {
			answer = map[string]interface{}{"rows": rows}
		}
		b, _ := json.Marshal(answer)
		fmt.Println(string(b))
	}
}
