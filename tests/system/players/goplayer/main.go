// SPDX-License-Identifier: ISC
// Plays the steps that it reads, one JSON object a line (see ../../harness/players.py), with go-sql-driver.
// MODE=interpolate puts parameters into the text; otherwise each statement with parameters is prepared.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-sql-driver/mysql"
)

type step struct {
	Op     string
	SQL    string
	Params []interface{}
	Keep   bool
}

func say(v interface{}) {
	b, _ := json.Marshal(v)
	fmt.Println(string(b))
}

func failed(err error) map[string]interface{} {
	if my, ok := err.(*mysql.MySQLError); ok {
		return map[string]interface{}{"error": my.Number, "text": my.Message}
	}
	return map[string]interface{}{"error": err.Error()}
}

func rowsOf(rows *sql.Rows) ([]interface{}, error) {
	defer rows.Close()
	sets := []interface{}{}
	for {
		columns, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		all := [][]interface{}{}
		for rows.Next() {
			cells := make([]sql.NullString, len(columns))
			into := make([]interface{}, len(columns))
			for i := range cells {
				into[i] = &cells[i]
			}
			if err := rows.Scan(into...); err != nil {
				return nil, err
			}
			row := make([]interface{}, len(columns))
			for i, c := range cells {
				if c.Valid {
					row[i] = c.String
				}
			}
			all = append(all, row)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		sets = append(sets, map[string]interface{}{"columns": columns, "rows": all})
		if !rows.NextResultSet() {
			return sets, rows.Err()
		}
	}
}

func play(conn *sql.Conn, kept map[string]*sql.Stmt, s step) interface{} {
	ctx := context.Background()
	if s.Op == "ping" {
		if err := conn.PingContext(ctx); err != nil {
			return failed(err)
		}
		return map[string]interface{}{"sets": []int{}}
	}
	var rows *sql.Rows
	var err error
	if s.Op == "exec" {
		r, err := conn.ExecContext(ctx, s.SQL, s.Params...)
		if err != nil {
			return failed(err)
		}
		n, _ := r.RowsAffected()
		id, _ := r.LastInsertId()
		return map[string]interface{}{"sets": []interface{}{map[string]int64{"affected": n, "id": id}}}
	}
	if s.Op == "execute" && s.Keep {
		st := kept[s.SQL]
		if st == nil {
			if st, err = conn.PrepareContext(ctx, s.SQL); err != nil {
				return failed(err)
			}
			kept[s.SQL] = st
		}
		rows, err = st.QueryContext(ctx, s.Params...)
	} else {
		rows, err = conn.QueryContext(ctx, s.SQL, s.Params...)
	}
	if err != nil {
		return failed(err)
	}
	sets, err := rowsOf(rows)
	if err != nil {
		return failed(err)
	}
	return map[string]interface{}{"sets": sets}
}

func main() {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", os.Getenv("DBHOST")+":"+os.Getenv("DBPORT")
	c.User, c.Passwd, c.DBName = os.Getenv("DBUSER"), os.Getenv("DBPASSWORD"), os.Getenv("DBNAME")
	c.MultiStatements = true
	c.InterpolateParams = os.Getenv("MODE") == "interpolate"
	db, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		say(map[string]string{"fatal": err.Error()})
		os.Exit(1)
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	if err != nil {
		say(map[string]string{"fatal": err.Error()})
		os.Exit(1)
	}
	say(map[string]int{"ready": 1})
	kept := map[string]*sql.Stmt{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var s step
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			say(map[string]string{"fatal": err.Error()})
			os.Exit(1)
		}
		for i, p := range s.Params {
			if f, ok := p.(float64); ok && f == float64(int64(f)) {
				s.Params[i] = int64(f)
			}
		}
		if s.Op == "close" {
			for _, st := range kept {
				st.Close()
			}
			conn.Close()
			db.Close()
			say(map[string]int{"ok": 1})
			return
		}
		say(play(conn, kept, s))
	}
}
