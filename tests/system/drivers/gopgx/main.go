// SPDX-License-Identifier: ISC

// The common small program, with pgx: named prepared statements cached by the driver, binary formats,
// batches in one Sync.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func check(ok bool, what string) {
	if !ok {
		panic(what)
	}
}

func one(i int) {
	who := fmt.Sprintf("pgx %d", i)
	c, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s application_name='%s' sslmode=disable",
		os.Getenv("DBHOST"), os.Getenv("DBPORT"), os.Getenv("DBUSER"), os.Getenv("DBPASSWORD"), os.Getenv("DBNAME"), who))
	must(err)
	defer c.Close(ctx)
	var name string
	must(c.QueryRow(ctx, "show application_name").Scan(&name))
	check(name == who, "application name")
	tx, err := c.Begin(ctx)
	must(err)
	for n := 0; n < 3; n++ {
		_, err = tx.Exec(ctx, "insert into scratch (who, note) values ($1, $2)", who, strconv.Itoa(n))
		must(err)
	}
	_, err = tx.Exec(ctx, "update scratch set note = $1 where who = $2 and note = $3", "changed", who, "1")
	must(err)
	t, err := tx.Exec(ctx, "delete from scratch where who = $1 and note = $2", who, "2")
	must(err)
	check(t.RowsAffected() == 1, "delete")
	must(tx.Commit(ctx))
	tx, err = c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "insert into scratch (who) values ($1)", who)
	must(err)
	must(tx.Rollback(ctx))
	var count int
	must(c.QueryRow(ctx, "select count(*) from scratch where who = $1", who).Scan(&count))
	check(count == 2, "count")
	for n := 0; n < 30; n++ {
		var d int
		must(c.QueryRow(ctx, "select $1::int * 2", n).Scan(&d))
		check(d == 2*n, "double")
	}
	batch := &pgx.Batch{}
	for n := 0; n < 30; n++ {
		batch.Queue("select $1::int + 1", n)
	}
	res := c.SendBatch(ctx, batch)
	for n := 0; n < 30; n++ {
		var d int
		must(res.QueryRow().Scan(&d))
		check(d == n+1, "batch")
	}
	must(res.Close())
	_, err = c.Exec(ctx, "insert into items values (1, 'x', 1)")
	check(code(err) == "23505", "23505")
	tx, err = c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "select 1/$1::int", 0)
	check(code(err) == "22012", "22012")
	_, err = tx.Exec(ctx, "select 1")
	check(code(err) == "25P02", "25P02")
	must(tx.Rollback(ctx))
	copied, err := c.CopyFrom(ctx, pgx.Identifier{"scratch"}, []string{"who", "note"}, pgx.CopyFromRows([][]interface{}{{who, "a"}, {who, "b"}}))
	must(err)
	check(copied == 2, "copy")
	rows, err := c.Query(ctx, "select i, repeat('x', 100) from generate_series(1, 20000) i")
	must(err)
	total := 0
	for rows.Next() {
		total++
	}
	must(rows.Err())
	check(total == 20000, "large")
	_, err = c.Exec(ctx, "delete from scratch where who = $1", who)
	must(err)
}

func main() {
	clients, _ := strconv.Atoi(os.Getenv("CLIENTS"))
	done := make(chan interface{})
	for i := 0; i < clients; i++ {
		go func(i int) {
			defer func() { done <- recover() }()
			one(i)
		}(i)
	}
	for i := 0; i < clients; i++ {
		if e := <-done; e != nil {
			fmt.Fprintln(os.Stderr, e)
			os.Exit(1)
		}
	}
	fmt.Println("ok")
}
