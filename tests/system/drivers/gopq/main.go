// SPDX-License-Identifier: ISC

// The common small program, with lib/pq: every query with parameters is an unnamed statement that is
// parsed in one Sync and bound in the next.
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"

	"github.com/lib/pq"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func code(err error) string {
	if e, ok := err.(*pq.Error); ok {
		return string(e.Code)
	}
	return fmt.Sprint(err)
}

func check(ok bool, what string) {
	if !ok {
		panic(what)
	}
}

func one(i int) {
	who := fmt.Sprintf("lib-pq %d", i)
	db, err := sql.Open("postgres", fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s application_name='%s' sslmode=disable",
		os.Getenv("DBHOST"), os.Getenv("DBPORT"), os.Getenv("DBUSER"), os.Getenv("DBPASSWORD"), os.Getenv("DBNAME"), who))
	must(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	var name string
	must(db.QueryRow("show application_name").Scan(&name))
	check(name == who, "application name")
	tx, err := db.Begin()
	must(err)
	for n := 0; n < 3; n++ {
		_, err = tx.Exec("insert into scratch (who, note) values ($1, $2)", who, strconv.Itoa(n))
		must(err)
	}
	_, err = tx.Exec("update scratch set note = $1 where who = $2 and note = $3", "changed", who, "1")
	must(err)
	r, err := tx.Exec("delete from scratch where who = $1 and note = $2", who, "2")
	must(err)
	n, _ := r.RowsAffected()
	check(n == 1, "delete")
	must(tx.Commit())
	tx, err = db.Begin()
	must(err)
	_, err = tx.Exec("insert into scratch (who) values ($1)", who)
	must(err)
	must(tx.Rollback())
	var count int
	must(db.QueryRow("select count(*) from scratch where who = $1", who).Scan(&count))
	check(count == 2, "count")
	st, err := db.Prepare("select $1::int * 2")
	must(err)
	for n := 0; n < 30; n++ {
		var d int
		must(st.QueryRow(n).Scan(&d))
		check(d == 2*n, "double")
	}
	must(st.Close())
	_, err = db.Exec("insert into items values (1, 'x', 1)")
	check(code(err) == "23505", "23505")
	tx, err = db.Begin()
	must(err)
	_, err = tx.Exec("select 1/$1::int", 0)
	check(code(err) == "22012", "22012")
	_, err = tx.Exec("select 1")
	check(code(err) == "25P02", "25P02")
	must(tx.Rollback())
	tx, err = db.Begin()
	must(err)
	in, err := tx.Prepare(pq.CopyIn("scratch", "who", "note"))
	must(err)
	for n := 0; n < 100; n++ {
		_, err = in.Exec(who, "copied")
		must(err)
	}
	_, err = in.Exec()
	must(err)
	must(in.Close())
	must(tx.Rollback())
	rows, err := db.Query("select i, repeat('x', 100) from generate_series(1, 20000) i")
	must(err)
	total := 0
	for rows.Next() {
		total++
	}
	must(rows.Err())
	check(total == 20000, "large")
	_, err = db.Exec("delete from scratch where who = $1", who)
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
